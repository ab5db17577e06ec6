%% An attached session: a client's session for ejabberd (a process of ejabberd_c2s), without a socket of its own; what it is sent goes
%% to the server process of this module. Everything here runs in the session's process, but start/2 and the requests.
-module(mod_crossfade_attach_session).
-export([start/2, attach/6, stanza/3, flush_again/3, close/1, hook/1, unhook/1, info/2, gone/3]).
-include("logger.hrl").
-include("xmpp.hrl").

%% A process that has opened its stream and waits for attach/6. Nobody asks it for a password: the component is trusted.
start(Host, User) ->
    Socket = mod_crossfade_attach_socket:new(Host, User),
    {ok, Pid} = ejabberd_c2s:start(mod_crossfade_attach_socket, Socket, [{stream_management, false}]),
    ejabberd_c2s:accept(Pid),
    Pid ! {'$gen_event', {xmlstreamstart, <<"stream:stream">>,
                          [{<<"xmlns">>, ?NS_CLIENT}, {<<"xmlns:stream">>, ?NS_STREAM}, {<<"to">>, Host}, {<<"version">>, <<"1.0">>}]}},
    Pid.

%% Answered by {done, Pid, Ref, ok | {error, Type, Condition, Text}} to the server process, when all that it has caused is sent.
attach(Pid, Ref, User, Resource, Carbons, Presence) ->
    Pid ! {crossfade, {attach, Ref, {self(), User, Resource}, Carbons, Presence}},
    ok.

stanza(Pid, Ref, El) ->
    Pid ! {crossfade, {stanza, Ref, El}},
    ok.

%% Stored: whether any of what was flushed did not fit into the queue, and is in offline storage again.
flush_again(Pid, Ref, Stored) ->
    Pid ! {crossfade, {flush_again, Ref, Stored}},
    ok.

%% In its turn: what has come before is still handed to the server process.
close(Pid) ->
    Pid ! {crossfade, close},
    ok.

hook(Host) ->
    ejabberd_hooks:add(c2s_handle_info, Host, ?MODULE, info, 10),
    ejabberd_hooks:add(sm_remove_connection_hook, Host, ?MODULE, gone, 10).

unhook(Host) ->
    ejabberd_hooks:delete(c2s_handle_info, Host, ?MODULE, info, 10),
    ejabberd_hooks:delete(sm_remove_connection_hook, Host, ?MODULE, gone, 10).

info(State, {crossfade, close}) -> {stop, {stop, State}};
info(State, {crossfade, Request}) -> {stop, handle(Request, State)};
%% The stream has ended, by ejabberd: it would drop what comes until the session has ended, too.
info(#{crossfade := _, stream_state := disconnected} = State, {route, #message{} = Message}) ->
    put(crossfade_late, [Message | late()]),
    {stop, State};
%% While offline messages are flushed, live ones wait: they are younger.
info(#{crossfade := #{flushing := Waiting} = Own} = State, {route, #message{meta = Meta} = Message})
  when is_list(Waiting), not is_map_key(from_offline, Meta) ->
    {stop, State#{crossfade := Own#{flushing := [Message | Waiting]}}};
info(State, _) -> State.

handle({attach, Ref, {Server, _, _} = Who, Carbons, Presence}, State) ->
    put(crossfade_server, Server),
    case bind(Who, State) of
        {ok, State1} -> first_presence(Ref, Presence, set_carbons(Carbons, State1));
        {error, Error, State1} ->
            done(Ref, Error, State1),
            ejabberd_c2s:stop_async(self()),
            State1
    end;
handle({stanza, Ref, El}, State) -> process(Ref, El, State);
handle({fence, Ref}, State) -> done(Ref, ok, State);
handle({flushed, Ref}, State) ->
    get(crossfade_server) ! {flushed, self(), Ref},
    State;
handle({flush_again, Ref, Stored}, State) -> flush_rest(Ref, Stored, State);
handle({flushed_again, Ref}, State) -> done(Ref, ok, release(State));
handle(_, State) -> State. % a fence that outlived the module

bind(_, #{crossfade := _} = State) -> {ok, State};
bind({Server, User, Resource}, #{lserver := Host} = State) ->
    Free = mod_crossfade_attach_lock:free_resource(Host, User, Resource),
    case ejabberd_c2s:bind(Free, State#{user => User, auth_module => ?MODULE, stream_authenticated => true}) of
        {ok, #{jid := Jid} = State1} ->
            Server ! {bound, self(), jid:tolower(Jid)},
            {ok, State1#{crossfade => #{flushing => none}}};
        {error, #stanza_error{type = Type, reason = Reason, text = Text}, State1} ->
            {error, {error, Type, Reason, xmpp:get_text(Text)}, State1}
    end.

set_carbons(Carbons, #{jid := #jid{luser = User, lserver = Host, lresource = Resource}} = State) ->
    case Carbons of
        true -> ejabberd_sm:set_user_info(User, Host, Resource, carboncopy, ?NS_CARBONS_2);
        false -> ejabberd_sm:del_user_info(User, Host, Resource, carboncopy)
    end,
    State.

%% Processed only if the session has none yet.
first_presence(Ref, none, State) -> fence(Ref, State);
first_presence(Ref, _, #{pres_last := _} = State) -> fence(Ref, State);
first_presence(Ref, Presence, State) -> process(Ref, Presence, State).

%% As xmpp_stream_in does it with what a socket brings; but a fault is answered and ends nothing. The sender is the session.
process(Ref, #xmlel{attrs = Attrs} = El, #{codec_options := Options} = State) ->
    El1 = El#xmlel{attrs = lists:keydelete(<<"from">>, 1, Attrs)},
    try xmpp:decode(El1, ?NS_CLIENT, Options) of
        Packet ->
            Packet1 = complete(Packet, State),
            case begins_flush(Packet1, State) of
                true -> after_flush(Ref, ejabberd_c2s:handle_authenticated_packet(Packet1, start_flush(State)));
                false -> fence(Ref, ejabberd_c2s:handle_authenticated_packet(Packet1, State))
            end
    catch
        error:{xmpp_codec, Why} ->
            fence(Ref, answer_error(El1, xmpp:err_bad_request(xmpp:io_format_error(Why), <<"en">>), State));
        Class:Reason:Stack ->
            ?ERROR_MSG("A stanza of ~ts failed: ~p", [jid:encode(maps:get(jid, State)), {Class, Reason, Stack}]),
            done(Ref, {error, cancel, 'internal-server-error', <<"the server failed on this stanza">>}, State)
    end.

complete(Packet, #{jid := Jid, lang := Lang}) ->
    To = case xmpp:get_to(Packet) of
             undefined -> jid:remove_resource(Jid);
             Other -> Other
         end,
    Packet1 = xmpp:set_from_to(Packet, Jid, To),
    case xmpp:get_lang(Packet1) of
        <<>> -> xmpp:set_lang(Packet1, Lang);
        _ -> Packet1
    end.

%% To the session itself, as to any client whose stanza cannot be read; never about an error or an answer.
answer_error(El, Error, State) ->
    case xmpp:get_type(El) of
        Type when Type == <<"error">>; Type == <<"result">> -> State;
        _ -> xmpp_stream_in:send(State, xmpp:make_error(El, Error))
    end.

%% mod_offline flushes at the first presence that is not negative.
begins_flush(#presence{type = available, priority = Priority, from = From, to = To}, State) ->
    jid:tolower(jid:remove_resource(From)) == jid:tolower(To) andalso (Priority == undefined orelse Priority >= 0)
        andalso case State of
                    #{pres_last := #presence{priority = Last}} -> is_integer(Last) andalso Last < 0;
                    _ -> true
                end;
begins_flush(_, _) -> false.

start_flush(#{crossfade := Own} = State) -> State#{crossfade := Own#{flushing := []}}.

%% The flushed messages are in our own mailbox by now, between live ones. Behind them comes this.
after_flush(Ref, State) ->
    self() ! {crossfade, {flushed, Ref}},
    State.

%% Who looked for resources before our presence was known stores offline what comes after the flush; and what the same sender has sent
%% us since waits here. So storage is flushed once more before that is let through; not where our server process has just put back what
%% its queue did not take.
flush_rest(Ref, Stored, #{lserver := Host, user := User} = State) ->
    case not Stored andalso gen_mod:is_loaded(Host, mod_offline) andalso mod_offline:count_offline_messages(User, Host) > 0 of
        true -> mod_offline:c2s_self_presence({#presence{type = available, priority = 0}, maps:remove(pres_last, State)});
        false -> ok
    end,
    self() ! {crossfade, {flushed_again, Ref}},
    State.

release(#{crossfade := #{flushing := Waiting} = Own} = State) when is_list(Waiting) ->
    lists:foldl(fun(Message, S) -> ejabberd_c2s:process_info(S, {route, Message}) end,
                State#{crossfade := Own#{flushing := none}}, lists:reverse(Waiting));
release(State) -> State.

%% What processing has sent to this very session is in its mailbox: the answer comes behind it.
fence(Ref, State) ->
    self() ! {crossfade, {fence, Ref}},
    State.

done(Ref, Result, State) ->
    get(crossfade_server) ! {done, self(), Ref, Result},
    State.

%% ejabberd has no such session any more, and would route what is left in the mailbox to others. What is older, in the link's queue, goes
%% back first; and what others have had already is not given to them again.
gone({_, Pid}, Jid, _) when Pid == self() ->
    case get(crossfade_server) of
        undefined -> ok;
        Server ->
            [Server ! {done, Pid, Ref, ok} || Ref <- fences()],
            catch gen_server:call(Server, {gone, Pid}, 30000),
            [pass_on(Message, Jid, Server) || Message <- lists:reverse(late()) ++ left()],
            ok
    end;
gone(_, _, _) -> ok.

%% What has been processed is answered so.
fences() ->
    receive {crossfade, {fence, Ref}} -> [Ref | fences()]
    after 0 -> []
    end.

late() ->
    case get(crossfade_late) of
        undefined -> [];
        Messages -> Messages
    end.

left() ->
    receive {route, #message{} = Message} -> [Message | left()]
    after 0 -> []
    end.

pass_on(#message{meta = Meta} = Message, #jid{luser = User} = Jid, Server) ->
    case maps:is_key(carbon_copy, Meta) orelse mod_crossfade_attach_seen:is_elsewhere(Message, Jid) of
        true -> Server ! {missed, User}, ok;
        false -> ejabberd_router:route(xmpp:del_meta(Message, crossfade_routed))
    end.
