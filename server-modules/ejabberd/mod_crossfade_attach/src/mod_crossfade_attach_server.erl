%% One process per host: holds the link and knows the attached sessions. It takes requests one by one (mod_crossfade_attach_commands says
%% what each does), what the sessions are sent, and word of their ends.
-module(mod_crossfade_attach_server).
-behaviour(gen_server).
-export([tell/2, end_all/2, user_removed/2, set/2, reply/3, error_reply/4]).
-export([say_hello/3, when_written/1, when_closed/2, begin_session/3, session_of/2, wait_for/4, finish/3, end_link/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).
-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_crossfade_attach_server.hrl").

-define(LINK, mod_crossfade_attach_link).
-define(TABLE, mod_crossfade_attach_table).
-define(BACK, mod_crossfade_attach_back).
%% So long others wait for a session that ends: it may hang in somebody's hook (a database that does not answer).
-define(PATIENCE_MS, 5000).

proc(Host) -> gen_mod:get_module_proc(Host, ?MODULE).
tell(Host, Message) -> gen_server:cast(proc(Host), Message).

%% Ends every link and session, gives back what was not acknowledged, closes the connection. An uninstall stops once more what is stopped already.
end_all(Host, Reason) ->
    case whereis(proc(Host)) of
        undefined -> ok;
        _ -> call(Host, {end_all, Reason})
    end.
user_removed(Host, User) -> call(Host, {user_removed, User}).
set(Host, Opts) -> call(Host, {set, Opts}).

call(Host, Request) ->
    try gen_server:call(proc(Host), Request, 60000)
    catch exit:Why -> ?ERROR_MSG("~p was not answered: ~p", [Request, Why]), ok
    end.

init([Host, Opts]) ->
    process_flag(trap_exit, true),
    ?TABLE:new(Host),
    {ok, take_options(Opts, #state{host = Host})}.

take_options(Opts, State) ->
    State#state{component = gen_mod:get_opt(component, Opts), resume_timeout = gen_mod:get_opt(resume_timeout, Opts),
                max_unacked = gen_mod:get_opt(max_unacked, Opts)}.

handle_call(Request, From, State) ->
    try called(Request, From, State)
    catch Class:Reason:Stack ->
        ?ERROR_MSG("~p failed: ~p", [Request, {Class, Reason, Stack}]),
        {reply, ok, State}
    end.

called({gone, Pid}, _, State) -> {reply, ok, gone(Pid, State)};
called({end_all, Reason}, From, #state{connection = Connection} = State) ->
    State1 = end_link(Reason, State),
    {noreply, when_closed(fun(S) -> close_connection(Connection, Reason), gen_server:reply(From, ok), S end, State1)};
called({user_removed, User}, _, State) -> {reply, ok, remove_user(User, State)};
called({set, Opts}, _, #state{component = Before} = State) ->
    case take_options(Opts, State) of
        #state{component = Before} = State1 -> {reply, ok, State1};
        State1 -> {reply, ok, end_link(none, State1)}
    end;
called(_, _, State) -> {reply, ok, State}.

handle_cast(Message, State) -> handle_info(Message, State).

handle_info(Message, State) ->
    try {noreply, handle(Message, State)}
    catch Class:Reason:Stack ->
        Name = if is_tuple(Message) -> element(1, Message); true -> Message end,
        ?ERROR_MSG("~p failed: ~p", [Name, {Class, Reason, Stack}]),
        {noreply, State}
    end.

%% If this process fails its sessions end with it, and the gateway is to say hello to the next one.
terminate(Reason, #state{connection = Connection}) when Reason /= normal, Reason /= shutdown -> close_connection(Connection, <<"failed">>);
terminate(_, _) -> ok.
code_change(_, State, _) -> {ok, State}.

handle({request, Connection, Iq}, State) -> request(Connection, Iq, State);
handle({out, Pid, User, El, Seen}, State) -> out(Pid, User, El, Seen, State);
handle({copy, _, _, _, _}, #state{link = none} = State) -> State;
handle({copy, User, Dir, Sid, El}, State) -> on_link(fun(L) -> ?LINK:copy(User, bare_jid(User, State), Dir, Sid, in_client_ns(El), L) end, State);
handle({missed, User}, State) -> on_link(fun(L) -> ?LINK:tell_missed(?LINK:miss(User, bare_jid(User, State), L)) end, State);
handle({flushed, Pid, Ref}, #state{sessions = Sessions} = State) ->
    case Sessions of
        #{Pid := #session{overflowed = Overflowed} = Session} ->
            mod_crossfade_attach_session:flush_again(Pid, Ref, Overflowed),
            State#state{sessions = Sessions#{Pid := Session#session{overflowed = false}}};
        _ -> State
    end;
handle({done, Pid, Ref, Result}, State) -> done(Pid, Ref, Result, State);
handle({bound, Pid, {User, Host, Resource}}, #state{sessions = Sessions, by_jid = ByJid} = State) ->
    case Sessions of
        #{Pid := Session} ->
            ?TABLE:attach(Host, User, Resource, Pid),
            Jid = jid:encode({User, Host, Resource}),
            on_link(fun(L) -> ?LINK:forget_end(Jid, L) end,
                    State#state{sessions = Sessions#{Pid := Session#session{jid = Jid}}, by_jid = ByJid#{Jid => Pid}});
        _ -> State
    end;
handle({reason, Pid, Reason}, #state{sessions = Sessions} = State) ->
    case Sessions of
        #{Pid := Session} -> State#state{sessions = Sessions#{Pid := Session#session{reason = Reason}}};
        _ -> State
    end;
handle({written, Connection}, #state{connection = Connection} = State) -> on_link(fun ?LINK:announce_more/1, State);
handle({'DOWN', Monitor, process, _, _}, #state{monitor = Monitor} = State) -> away(State);
handle({'DOWN', _, process, Pid, _}, State) -> gone(Pid, State);
handle(expired, #state{expiry = Timer} = State) when Timer /= none -> end_link(<<"expired">>, State#state{expiry = none});
handle({overdue, Pid}, #state{closing = Closing, late = Late} = State) when is_map_key(Pid, Closing) ->
    #session{user = User, jid = Jid} = Session = maps:get(Pid, Closing),
    ?WARNING_MSG("~ts has not ended in ~B ms, and is not waited for any longer", [Jid, ?PATIENCE_MS]),
    go_on(refuse_rest(Session, State#state{closing = maps:remove(Pid, Closing), late = Late#{Pid => User}}));
handle(stopping, State) -> State#state{stopping = true};
handle(_, State) -> State.

%% While sessions are on their way out, whatever is asked waits: the next attach finds their names free.
request(Connection, Iq, #state{closing = Closing, waiting = Waiting} = State) when map_size(Closing) > 0 ->
    State#state{waiting = queue:in({Connection, Iq}, Waiting)};
request(Connection, Iq, State) ->
    try mod_crossfade_attach_commands:run(Connection, Iq, State)
    catch Class:Reason:Stack ->
        ?ERROR_MSG("A request failed: ~p", [{Class, Reason, Stack}]),
        reply(Connection, Iq, {error, wait, 'internal-server-error', <<"the server failed on this request">>}),
        State
    end.

%% Answers go to the stream itself: behind all that the link has sent before.
reply(Connection, Iq, Result) ->
    Connection ! {route, answer(Iq, Result)},
    ok.

answer(Iq, ok) -> result_of(Iq, []);
answer(Iq, {ok, Els}) -> result_of(Iq, Els);
answer(Iq, {error, Type, Condition, Text}) -> error_reply(Iq, Type, Condition, Text).

result_of(#iq{id = Id, from = From, to = To}, Els) -> #iq{type = result, id = Id, from = To, to = From, sub_els = Els}.

error_reply(#iq{id = Id, from = From, to = To}, Type, Condition, Text) ->
    Error = #stanza_error{type = Type, reason = Condition, text = if Text == <<>> -> []; true -> xmpp:mk_text(Text, <<"en">>) end},
    #iq{type = error, id = Id, from = To, to = From, sub_els = [Error]}.

on_link(_, #state{link = none} = State) -> State;
on_link(Work, #state{link = Link} = State) -> State#state{link = Work(Link)}.

bare_jid(User, #state{host = Host}) -> jid:encode({User, Host, <<>>}).

in_client_ns(#xmlel{attrs = Attrs} = El) ->
    case lists:keymember(<<"xmlns">>, 1, Attrs) of
        true -> El;
        false -> El#xmlel{attrs = [{<<"xmlns">>, ?NS_CLIENT} | Attrs]}
    end.

%% This connection carries the link from now on; an older one ends. What ejabberd itself sends the component goes to any connection that has a
%% route, and is lost in one that is about to end: so the older one's is taken away before the new one is answered.
say_hello(Connection, Link, #state{component = Component, connection = Old, monitor = Monitor, expiry = Timer} = State) ->
    if Monitor /= none -> erlang:demonitor(Monitor, [flush]); true -> ok end,
    if Timer /= none -> erlang:cancel_timer(Timer); true -> ok end,
    case Old == none orelse Old == Connection of
        true -> ok;
        false ->
            ejabberd_router:unregister_route(Component, Old),
            xmpp_stream_in:send(Old, xmpp:serr_conflict(<<"Replaced by new connection">>, <<"en">>))
    end,
    State#state{link = ?LINK:connect(Connection, Link), connection = Connection, monitor = erlang:monitor(process, Connection), expiry = none}.

%% When the connection has written, or lost, all that it was given until now, {written, Connection} comes.
when_written(Connection) ->
    Self = self(),
    spawn(fun() ->
                  catch sys:get_state(Connection, infinity),
                  Self ! {written, Connection}
          end).

%% The gateway is away: its sessions stay and their stanzas wait, for a while.
away(#state{resume_timeout = Timeout} = State) ->
    Timer = erlang:send_after(Timeout * 1000, self(), expired),
    on_link(fun ?LINK:disconnect/1, State#state{connection = none, monitor = none, expiry = Timer}).

%% --- sessions

begin_session(User, Resource, #state{host = Host, sessions = Sessions, by_request = ByRequest} = State) ->
    Pid = mod_crossfade_attach_session:start(Host, User),
    erlang:monitor(process, Pid),
    Session = #session{user = User, request = {User, Resource}},
    {Pid, State#state{sessions = Sessions#{Pid => Session}, by_request = ByRequest#{{User, Resource} => Pid}}}.

%% By its full JID, or by what was asked for: {User, Resource}.
session_of({User, Resource}, #state{host = Host, by_request = ByRequest, by_jid = ByJid}) ->
    maps:get({User, Resource}, ByRequest, maps:get(jid:encode({User, Host, Resource}), ByJid, none));
session_of(Jid, #state{by_jid = ByJid}) -> maps:get(Jid, ByJid, none).

%% When the session says that it is done with Ref, or ends before, Then(Result, Session, State) is called.
wait_for(Ref, Pid, Then, #state{sessions = Sessions} = State) ->
    #{Pid := #session{asked = Asked} = Session} = Sessions,
    State#state{sessions = Sessions#{Pid := Session#session{asked = Asked#{Ref => Then}}}}.

done(Pid, Ref, Result, #state{sessions = Sessions, closing = Closing} = State) ->
    case {Sessions, Closing} of
        {#{Pid := #session{asked = #{Ref := Then}} = Session}, _} ->
            Session1 = not_asked(Ref, Session),
            Then(Result, Session1, State#state{sessions = Sessions#{Pid := Session1}});
        {_, #{Pid := #session{asked = #{Ref := Then}} = Session}} -> % on its way out
            Session1 = not_asked(Ref, Session),
            Then(Result, Session1, State#state{closing = Closing#{Pid := Session1}});
        _ -> State
    end.

not_asked(Ref, #session{asked = Asked} = Session) -> Session#session{asked = maps:remove(Ref, Asked)}.

%% A stanza for a session. What the queue does not take goes the way of a client that is not there.
out(Pid, User, El, Seen, #state{sessions = Sessions, link = Link} = State) ->
    IsCopy = Seen orelse ?BACK:is_copy(El, bare_jid(User, State)),
    case Sessions of
        #{Pid := #session{jid = Jid} = Session} when Jid /= none ->
            Attrs = [{<<"to">>, Jid} | [{<<"seen">>, <<"1">>} || Seen]],
            case ?LINK:push(Pid, User, Attrs, El, IsCopy, Link) of
                {ok, Link1} -> State#state{link = Link1};
                {full, Link1} ->
                    pass_on(User, El, IsCopy, State#state{link = Link1, sessions = Sessions#{Pid := Session#session{overflowed = true}}})
            end;
        _ ->
            give_back([{User, El, erlang:timestamp(), IsCopy}], State),
            State
    end.

%% What others have, or are given instead, the app lacks: it is in the archive.
pass_on(User, #xmlel{name = Name} = El, IsCopy, State) ->
    give_back([{User, El, erlang:timestamp(), IsCopy}], State),
    case IsCopy orelse Name == <<"message">> of
        true -> on_link(fun(L) -> ?LINK:miss(User, bare_jid(User, State), L) end, State);
        false -> State
    end.

give_back(Items, #state{host = Host, stopping = Stopping}) -> ?BACK:reroute_all(Host, Items, Stopping).

%% Ends a session for the gateway: {H, Returned} and the state, in which it is on its way out. What it had not acknowledged goes back
%% to its user; contacts see a plain unavailable. Reason: set when the server ends it, then the gateway is told.
finish(Pid, Reason, #state{sessions = Sessions, closing = Closing} = State) ->
    #{Pid := Session} = Sessions,
    ?TABLE:leaving(State#state.host, Pid), % the observer sees again what the session is sent, even before ejabberd knows of its end
    Result = forget(Pid, Session, Reason, State#state{closing = Closing#{Pid => Session}}),
    mod_crossfade_attach_session:close(Pid),
    erlang:send_after(?PATIENCE_MS, self(), {overdue, Pid}),
    Result.

forget(Pid, #session{user = User, jid = Jid, request = Request}, Reason, State) ->
    State1 = State#state{sessions = maps:remove(Pid, State#state.sessions), by_jid = maps:remove(Jid, State#state.by_jid),
                         by_request = remove_if(Request, Pid, State#state.by_request)},
    take_back(Pid, User, Jid, Reason, State1).

%% What the session was asked and has not done by its end.
refuse_rest(#session{asked = Asked} = Session, State) ->
    Gone = {error, cancel, 'item-not-found', <<"there is no such attached session">>},
    maps:fold(fun(_, Then, S) -> Then(Gone, Session, S) end, State, Asked).

remove_if(Key, Value, Map) ->
    case Map of
        #{Key := Value} -> maps:remove(Key, Map);
        _ -> Map
    end.

take_back(_, _, _, _, #state{link = none} = State) -> {{0, 0}, State};
take_back(Pid, User, Jid, Reason, #state{link = Link} = State) ->
    {Taken, Link1} = ?LINK:take_back(Pid, Link),
    give_back(Taken, State),
    Link2 = case lists:any(fun({_, _, _, IsCopy}) -> IsCopy end, Taken) of
                true -> ?LINK:miss(User, bare_jid(User, State), Link1);
                false -> Link1
            end,
    Link3 = ?LINK:tell_missed(Link2),
    H = ?LINK:acked(Link3),
    Returned = length(Taken),
    {{H, Returned}, State#state{link = if Jid == none -> Link3; true -> ?LINK:ended(Jid, Returned, Reason, Link3) end}}.

%% ejabberd has no such session any more: as we have asked, or for its own reasons.
gone(Pid, #state{host = Host, sessions = Sessions, closing = Closing, late = Late} = State) ->
    case Sessions of
        #{Pid := #session{user = User, reason = Reason} = Session} ->
            ?TABLE:detach(Host, User, Pid),
            {_, State1} = forget(Pid, Session, said(Reason), if_stopping(Reason, State)),
            refuse_rest(Session, State1);
        _ when is_map_key(Pid, Closing) ->
            #session{user = User} = Session = maps:get(Pid, Closing),
            ?TABLE:detach(Host, User, Pid),
            go_on(refuse_rest(Session, State#state{closing = maps:remove(Pid, Closing)}));
        _ when is_map_key(Pid, Late) ->
            ?TABLE:detach(Host, maps:get(Pid, Late), Pid),
            State#state{late = maps:remove(Pid, Late)};
        _ -> State
    end.

said(<<"system-shutdown">>) -> <<"shutdown">>;
said(Reason) -> Reason.

if_stopping(<<"system-shutdown">>, State) -> State#state{stopping = true};
if_stopping(_, State) -> State.

remove_user(User, #state{host = Host, sessions = Sessions, link = Link} = State) ->
    State1 = lists:foldl(fun(Pid, S) -> {_, S1} = finish(Pid, <<"deleted">>, S), S1 end, State,
                         [Pid || {Pid, #session{user = U}} <- maps:to_list(Sessions), U == User]),
    WasObserved = ?TABLE:is_observed(Host, User),
    ?TABLE:unobserve(Host, User),
    ?TABLE:unlock(Host, User),
    case WasObserved andalso Link /= none of
        true -> on_link(fun(L) -> ?LINK:ended(bare_jid(User, State), 0, <<"deleted">>, L) end, State1);
        false -> State1
    end.

%% Takes everything back first, so that its order is kept. Reason none: a new hello replaces the link, which has nothing more to say.
end_link(_, #state{link = none} = State) -> State;
end_link(Reason, #state{host = Host, link = Link, sessions = Sessions, expiry = Timer} = State) ->
    if Timer /= none -> erlang:cancel_timer(Timer); true -> ok end,
    ?TABLE:forget_all(Host),
    {Taken, Link1} = ?LINK:take_back(all, Link),
    give_back(Taken, State),
    Silent = if Reason == none -> ?LINK:disconnect(Link1); true -> Link1 end,
    State1 = lists:foldl(fun(Pid, S) -> {_, S1} = finish(Pid, if Reason == none -> none; true -> Reason end, S), S1 end,
                         State#state{link = Silent, expiry = none}, maps:keys(Sessions)),
    ?INFO_MSG("Link of ~ts ended (~ts): ~B sessions, ~B stanzas given back",
              [State#state.component, if Reason == none -> <<"a new epoch">>; true -> Reason end, map_size(Sessions), length(Taken)]),
    State1#state{link = none}.

close_connection(none, _) -> ok;
close_connection(Connection, Reason) ->
    xmpp_stream_in:send(Connection, xmpp:serr_reset(<<"mod_crossfade_attach: ", Reason/binary>>, <<"en">>)).

%% --- what waits for sessions on their way out

when_closed(Work, #state{closing = Closing} = State) when map_size(Closing) == 0 -> Work(State);
when_closed(Work, #state{after_closing = Works} = State) -> State#state{after_closing = Works ++ [Work]}.

go_on(#state{closing = Closing} = State) when map_size(Closing) > 0 -> State;
go_on(#state{after_closing = Works} = State) ->
    take_waiting(lists:foldl(fun(Work, S) -> Work(S) end, State#state{after_closing = []}, Works)).

take_waiting(#state{closing = Closing} = State) when map_size(Closing) > 0 -> State;
take_waiting(#state{waiting = Waiting} = State) ->
    case queue:out(Waiting) of
        {{value, {Connection, Iq}}, Rest} -> take_waiting(request(Connection, Iq, State#state{waiting = Rest}));
        {empty, _} -> State
    end.
