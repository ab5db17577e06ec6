%% Decides `seen`: the message that an attached session gets now was also handed to a legacy resource. A wrong yes loses a message
%% at a rollback, a wrong no only repeats one, so every doubt is a no.
%%
%% Who else gets it directly: those of the highest priority when it was routed, noted in the sender's process right before ejabberd_sm
%% looks, who still are there when the session gets it. Who gets a carbon: overheard, since the session that mod_carboncopy makes
%% responsible for the copies routes them in its own process. If that is not the attached session, it is a legacy one, which has the message.
-module(mod_crossfade_attach_seen).
-export([hook/1, unhook/1, routed/1, begins/1, received/1, leaves/1, pending/1, resumed/1, gone/3, take/0, is_elsewhere/2]).
-include("xmpp.hrl").

hook(Host) -> [ejabberd_hooks:add(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].
unhook(Host) -> [ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].

hooks() ->
    [{sm_receive_packet, routed, 100}, % the last before routing
     {user_receive_packet, begins, 5}, % before carbons (89)
     {user_receive_packet, received, 1000}, % behind all that may drop it
     {c2s_filter_send, leaves, 1000},
     {c2s_session_pending, pending, 50}, {c2s_session_resumed, resumed, 50}, {sm_remove_connection_hook, gone, 50}].

routed(#message{to = #jid{luser = User, lserver = Host, lresource = Resource}, meta = Meta} = Message) when User /= <<>> ->
    case maps:is_key(carbon_copy, Meta) of
        true -> overhear(Resource), Message;
        false ->
            case mod_crossfade_attach_table:attached(Host, User) of
                [] -> Message;
                _ -> xmpp:put_meta(Message, crossfade_routed, present(Host, User))
            end
    end;
routed(Packet) -> Packet.

%% All resources with presence: [{Priority, Resource, Pid}].
present(Host, User) ->
    [{Priority, Resource, proplists:get_value(pid, Info)}
     || {Resource, Info} <- ejabberd_sm:get_user_info(User, Host),
        Priority <- [proplists:get_value(priority, Info)], is_integer(Priority)].

overhear(Resource) ->
    case get(crossfade_carbons) of
        undefined -> ok; % not the process of an attached session
        Resources -> put(crossfade_carbons, [Resource | Resources])
    end.

begins({_, State} = Acc) when is_map_key(crossfade, State) ->
    put(crossfade_carbons, []),
    Acc;
begins(Acc) -> Acc.

received({#message{meta = Meta} = Message, #{crossfade := _, jid := Jid} = State}) when not is_map_key(carbon_copy, Meta) ->
    {xmpp:put_meta(Message, crossfade_seen, is_seen(Message, Jid)), State};
received(Acc) -> Acc.

is_seen(Message, #jid{luser = User, lserver = Host} = Jid) ->
    Carbons = get(crossfade_carbons),
    lists:any(fun({Resource, _, _}) -> lists:member(Resource, Carbons) end, mod_crossfade_attach_table:legacy(Host, User))
        orelse is_elsewhere(Message, Jid).

%% Directly, by routing.
is_elsewhere(#message{to = #jid{lresource = To}, meta = Meta}, #jid{luser = User, lserver = Host, lresource = Own}) ->
    To /= Own andalso is_top(maps:get(crossfade_routed, Meta, []), mod_crossfade_attach_table:legacy(Host, User)).

is_top([], _) -> false;
is_top(Routed, Legacy) ->
    {Highest, _, _} = lists:max(Routed),
    lists:any(fun({Priority, Resource, Pid}) -> Priority == Highest andalso lists:member({Resource, Priority, Pid}, Legacy) end, Routed).

%% From here the stanza goes straight to the session's socket, in this process: that takes the answer with it.
leaves({Packet, State} = Acc) when is_map_key(crossfade, State) ->
    put(crossfade_seen, is_record(Packet, message) andalso xmpp:get_meta(Packet, crossfade_seen, false)),
    Acc;
leaves(Acc) -> Acc.

take() -> erase(crossfade_seen) == true.

pending(#{lserver := Host} = State) ->
    mod_crossfade_attach_table:pending(Host, self()),
    State.

resumed(#{lserver := Host} = State) ->
    mod_crossfade_attach_table:not_pending(Host, self()),
    State.

gone({_, Pid}, #jid{lserver = Host}, _) -> mod_crossfade_attach_table:not_pending(Host, Pid).
