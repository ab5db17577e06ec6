%% An attached session: a client's session for ejabberd (a process of ejabberd_c2s), without a socket of its own; what it is sent goes
%% to the server process of this module. Everything here runs in the session's process, but start/2 and the requests.
-module(mod_crossfade_attach_session).
-export([start/2, attach/6, stanza/3, flush_again/3, flush_late/1, close/1, hook/1, unhook/1, info/2, gone/3]).
-include("logger.hrl").
-include("xmpp.hrl").

-define(FLUSH, mod_crossfade_attach_flush).
-define(ECHO_TIMEOUT, 5000).

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

%% A message has been stored offline for its user, though it may have flushed already.
flush_late(Pid) ->
    Pid ! {crossfade, flush_late},
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
info(State, {route, #message{} = Message}) -> ?FLUSH:hold(Message, State);
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
handle({flush_again, Ref, Stored}, State) ->
    if Stored -> ok; true -> ?FLUSH:again(State) end,
    self() ! {crossfade, {flushed_again, Ref}},
    State;
handle({flushed_again, Ref}, State) -> done(Ref, ok, ?FLUSH:release(State));
handle(flush_late, State) -> ?FLUSH:late(State);
handle(flushed_late, State) -> ?FLUSH:release(State);
handle(_, State) -> State. % a fence that outlived the module

bind(_, #{crossfade := _} = State) -> {ok, State};
bind({Server, User, Resource}, #{lserver := Host} = State) ->
    Free = mod_crossfade_attach_lock:free_resource(Host, User, Resource),
    case ejabberd_c2s:bind(Free, State#{user => User, auth_module => ?MODULE, stream_authenticated => true}) of
        {ok, #{jid := Jid} = State1} ->
            Server ! {bound, self(), jid:tolower(Jid)},
            {ok, State1#{crossfade => ?FLUSH:none()}};
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
            case ?FLUSH:is_begun(Packet1, State) of
                true ->
                    State1 = ejabberd_c2s:handle_authenticated_packet(Packet1, ?FLUSH:start(State)),
                    self() ! {crossfade, {flushed, Ref}}, % behind the flushed messages, which are in our mailbox between live ones
                    State1;
                false -> fence_behind(Packet1, Ref, ejabberd_c2s:handle_authenticated_packet(Packet1, State))
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

%% What processing has sent to this very session is in its mailbox: the answer comes behind it.
fence(Ref, State) ->
    self() ! {crossfade, {fence, Ref}},
    State.

%% A contact's sessions on this server answer a probe, each in its own process and turn: the fence comes behind what they say.
fence_behind(#presence{type = probe, to = #jid{luser = User, lserver = Host}}, Ref, #{lserver := Host} = State) ->
    Self = self(),
    Asked = [Pid || {_, Pid} <- ejabberd_sm:get_session_sids(User, Host), Pid /= Self],
    spawn(fun() ->
                  [catch ejabberd_c2s:call(Pid, get_presence, ?ECHO_TIMEOUT) || Pid <- Asked],
                  Self ! {crossfade, {fence, Ref}}
          end),
    State;
fence_behind(_, Ref, State) -> fence(Ref, State).

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
