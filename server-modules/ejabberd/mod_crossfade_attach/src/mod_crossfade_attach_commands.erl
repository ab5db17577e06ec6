%% The requests of docs/attach-protocol.md: what is asked, what is refused, the answer.
-module(mod_crossfade_attach_commands).
-export([run/3]).
-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_crossfade_attach.hrl").
-include("mod_crossfade_attach_server.hrl").

-define(LINK, mod_crossfade_attach_link).
-define(SERVER, mod_crossfade_attach_server).
-define(TABLE, mod_crossfade_attach_table).
%% Levels of a stanza: fast_xml, in C, writes them by recursion, and some 3,500 of them end the whole server.
-define(MAX_DEPTH, 100).
-define(MAX_KEY_BYTES, 256).

%% Connection: the process of the stream that asks, of the configured component. Answers now or later; gives the new state.
run(Connection, #iq{type = Type, sub_els = [First | _] = Els} = Iq, State) ->
    Name = xmpp:get_name(First),
    case {Type, Name} of
        {get, <<"about">>} ->
            About = mod_crossfade_attach_about:describe(State#state.host, State#state.component),
            respond(Connection, Iq, {ok, [About]}, State);
        {set, <<"hello">>} -> hello(Connection, Iq, First, State);
        {set, _} ->
            case {State#state.link /= none andalso ?LINK:connection(State#state.link) == Connection, Name, Els} of
                {false, _, _} -> respond(Connection, Iq, {error, wait, 'unexpected-request', <<"say hello first on this connection">>}, State);
                {true, <<"attach">>, _} -> attach_all(Connection, Iq, Els, State);
                {true, _, [_]} -> command(Name, Connection, Iq, First, State);
                _ -> respond(Connection, Iq, bad_request(<<"only attach may stand beside others">>), State)
            end;
        _ -> respond(Connection, Iq, unknown(), State)
    end.

respond(Connection, Iq, Result, State) ->
    ?SERVER:reply(Connection, Iq, Result),
    State.

bad_request(Text) -> {error, modify, 'bad-request', Text}.
unknown() -> {error, cancel, 'service-unavailable', <<"there is no such request">>}.
long_key() -> bad_request(<<"a key has at most 256 bytes">>).
no_session() -> {error, cancel, 'item-not-found', <<"there is no such attached session">>}.
no_account() -> {error, cancel, 'item-not-found', <<"there is no such account">>}.

attribute(Name, El) ->
    case fxml:get_tag_attr(Name, El) of
        {value, Value} -> Value;
        false -> none
    end.

children(#xmlel{children = Children}) -> [El || #xmlel{} = El <- Children].

%% A count: digits only, not more than the link has numbered. Absent is none, anything else false.
read_h(El, Link) ->
    case attribute(<<"h">>, El) of
        none -> none;
        Text ->
            case Text /= <<>> andalso byte_size(Text) < 20 andalso << <<C>> || <<C>> <= Text, C >= $0, C =< $9 >> == Text of
                true -> case binary_to_integer(Text) of H -> H =< ?LINK:n(Link) andalso H end;
                false -> false
            end
    end.

too_high(Link) -> bad_request(<<"h is no number up to ", (integer_to_binary(?LINK:n(Link)))/binary>>).

hello(Connection, Iq, El, #state{link = Link} = State) ->
    Resumed = Link /= none andalso attribute(<<"epoch">>, El) == ?LINK:epoch(Link),
    H = Resumed andalso read_h(El, Link),
    case attribute(<<"v">>, El) of
        ?VERSION when Resumed, H == false -> respond(Connection, Iq, too_high(Link), State);
        ?VERSION when Resumed -> welcome(Connection, Iq, true, H, State);
        ?VERSION ->
            #state{closing = Closing, waiting = Waiting} = State1 = ?SERVER:end_link(none, State),
            case map_size(Closing) of
                0 -> welcome(Connection, Iq, false, none, new_link(State1));
                _ -> State1#state{waiting = queue:in_r({Connection, Iq}, Waiting)} % once more, when the old sessions are gone
            end;
        Other ->
            Text = iolist_to_binary(["this server speaks version ", ?VERSION, ", not ", if Other == none -> "none"; true -> Other end]),
            respond(Connection, Iq, {error, cancel, 'feature-not-implemented', Text}, State)
    end.

new_link(#state{component = Component, host = Host, max_unacked = Max} = State) -> State#state{link = ?LINK:new(Component, Host, Max)}.

welcome(Connection, Iq, Resumed, H, State) ->
    #state{link = Link} = State1 = ?SERVER:say_hello(Connection, State#state.link, State),
    Link1 = if is_integer(H) -> ?LINK:ack(H, ?LINK:replay(?LINK:disconnect(Link))); true -> Link end,
    Acked = ?LINK:acked(Link1),
    Waiting = ?LINK:n(Link1) - Acked,
    Number = fun(Name, Value) -> {Name, integer_to_binary(Value)} end,
    Attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"v">>, ?VERSION}, {<<"epoch">>, ?LINK:epoch(Link1)}, Number(<<"h">>, Acked),
             Number(<<"sessions">>, map_size(State#state.by_jid)), Number(<<"queue">>, Waiting)]
        ++ [{<<"archive">>, <<"1">>} || mod_crossfade_attach_about:has_archive(State#state.host)],
    ?SERVER:reply(Connection, Iq, {ok, [#xmlel{name = <<"welcome">>, attrs = Attrs}]}),
    ?INFO_MSG("Link of ~ts ~ts at ~B, ~B unacknowledged",
              [State#state.component, if Resumed -> <<"resumed">>; true -> <<"begins">> end, Acked, Waiting]),
    Link2 = ?LINK:connect(Connection, Link1),
    State1#state{link = ?LINK:replay(?LINK:announce_ends(Link2))}.

command(<<"a">>, Connection, Iq, El, #state{link = Link} = State) ->
    case {attribute(<<"epoch">>, El) == ?LINK:epoch(Link), read_h(El, Link)} of
        {false, _} -> respond(Connection, Iq, {error, cancel, conflict, <<"this is the number of another epoch">>}, State);
        {true, H} when is_integer(H) -> respond(Connection, Iq, ok, State#state{link = ?LINK:ack(H, Link)});
        _ -> respond(Connection, Iq, too_high(Link), State)
    end;
command(<<"send">>, Connection, Iq, El, State) -> send(Connection, Iq, El, State);
command(<<"return">>, Connection, Iq, El, State) -> return(Connection, Iq, El, State);
command(<<"detach">>, Connection, Iq, El, State) -> detach(Connection, Iq, attribute(<<"jid">>, El), State);
command(<<"observe">>, Connection, Iq, El, #state{host = Host} = State) ->
    for_account(Connection, Iq, El, State, fun(User) ->
        ?TABLE:observe(Host, User),
        State#state{link = ?LINK:forget_end(jid:encode({User, Host, <<>>}), State#state.link)}
    end);
command(<<"unobserve">>, Connection, Iq, El, #state{host = Host} = State) ->
    for_any(Connection, Iq, El, State, fun(User) ->
        ?TABLE:unobserve(Host, User),
        State#state{link = ?LINK:forget_end(jid:encode({User, Host, <<>>}), State#state.link)}
    end);
command(<<"lock">>, Connection, Iq, El, #state{host = Host} = State) ->
    for_account(Connection, Iq, El, State, fun(User) ->
        Text = fxml:get_tag_cdata(El),
        ?TABLE:lock(Host, User, Text),
        case attribute(<<"kick">>, El) of
            <<"1">> -> mod_crossfade_attach_lock:kick(Host, User, Text);
            _ -> ok
        end,
        State
    end);
command(<<"unlock">>, Connection, Iq, El, #state{host = Host} = State) ->
    for_any(Connection, Iq, El, State, fun(User) -> ?TABLE:unlock(Host, User), State end);
command(_, Connection, Iq, _, State) -> respond(Connection, Iq, unknown(), State).

%% The prepared local part of a JID, or error.
read_user(El) ->
    case attribute(<<"user">>, El) of
        none -> error;
        Text -> case jid:nodeprep(Text) of <<>> -> error; User -> User end
    end.

for_any(Connection, Iq, El, State, Work) ->
    case read_user(El) of
        error -> respond(Connection, Iq, {error, modify, 'jid-malformed', <<"user is no local part of a JID">>}, State);
        User -> respond(Connection, Iq, ok, Work(User))
    end.

for_account(Connection, Iq, El, #state{host = Host} = State, Work) ->
    User = read_user(El),
    case User == error orelse ejabberd_auth:user_exists(User, Host) of
        false -> respond(Connection, Iq, no_account(), State);
        true -> for_any(Connection, Iq, El, State, Work)
    end.

%% The one stanza inside a request, or error; not nested too deeply.
read_stanza(El) ->
    case children(El) of
        [#xmlel{name = Name} = Inner] when Name == <<"message">>; Name == <<"presence">>; Name == <<"iq">> ->
            case attribute(<<"xmlns">>, Inner) == ?NS_CLIENT andalso not is_deeper(Inner, ?MAX_DEPTH) of
                true -> Inner;
                false -> error
            end;
        _ -> error
    end.

is_deeper(El, Levels) -> lists:any(fun(Child) -> Levels == 0 orelse is_deeper(Child, Levels - 1) end, children(El)).

%% Absent is none.
read_key(El) ->
    case attribute(<<"key">>, El) of
        Key when is_binary(Key), byte_size(Key) > ?MAX_KEY_BYTES -> error;
        Key -> Key
    end.

send(Connection, Iq, El, #state{link = Link, sending = Sending} = State) ->
    Key = read_key(El),
    case {?SERVER:session_of(attribute(<<"from">>, El), State), read_stanza(El)} of
        _ when Key == error -> respond(Connection, Iq, long_key(), State);
        {none, _} -> respond(Connection, Iq, no_session(), State);
        {_, error} -> respond(Connection, Iq, bad_request(<<"send holds exactly one message, presence or iq, at most 100 levels deep">>), State);
        {Pid, Stanza} ->
            case Key /= none andalso (?LINK:has_key(Key, Link) orelse Sending) of
                true -> respond(Connection, Iq, ok, State);
                #{Key := Others} -> State#state{sending = Sending#{Key := [{Connection, Iq} | Others]}}; % the first is still in hand
                _ -> hand_over(Pid, Stanza, Key, {Connection, Iq}, State)
            end
    end.

hand_over(Pid, Stanza, Key, Asker, #state{link = Link, sending = Sending} = State) ->
    Ref = make_ref(),
    Epoch = ?LINK:epoch(Link),
    mod_crossfade_attach_session:stanza(Pid, Ref, Stanza),
    State1 = if Key == none -> State; true -> State#state{sending = Sending#{Key => []}} end,
    ?SERVER:wait_for(Ref, Pid, fun(Result, _, S) -> sent(Result, Key, Asker, Epoch, S) end, State1).

sent(Result, Key, Asker, Epoch, #state{link = Link, sending = Sending} = State) ->
    [?SERVER:reply(Connection, Iq, Result) || {Connection, Iq} <- [Asker | maps:get(Key, Sending, [])]],
    Link1 = case Result == ok andalso Link /= none andalso ?LINK:epoch(Link) == Epoch of
                true -> ?LINK:remember_key(Key, Link);
                false -> Link
            end,
    State#state{link = Link1, sending = maps:remove(Key, Sending)}.

return(Connection, Iq, El, #state{host = Host, link = Link, stopping = Stopping} = State) ->
    Key = read_key(El),
    case Key /= error andalso Key /= none andalso ?LINK:has_key(Key, Link) of
        _ when Key == error -> respond(Connection, Iq, long_key(), State);
        true -> respond(Connection, Iq, ok, State);
        false ->
            case give_back(Host, El, Stopping) of
                ok -> respond(Connection, Iq, ok, State#state{link = ?LINK:remember_key(Key, Link)});
                Error -> respond(Connection, Iq, Error, State)
            end
    end.

give_back(Host, El, Stopping) ->
    case {account(Host, attribute(<<"to">>, El)), read_stanza(El), read_stamp(attribute(<<"stamp">>, El))} of
        {error, _, _} -> no_account();
        {User, Stanza, When} when Stanza /= error, When /= error ->
            mod_crossfade_attach_back:give_back(Host, User, Stanza, {When, erlang:timestamp()}, Stopping);
        _ -> bad_request(<<"return holds exactly one stanza, at most 100 levels deep, and a stamp as in XEP-0082">>)
    end.

account(_, none) -> error;
account(Host, Text) ->
    try jid:decode(Text) of
        #jid{luser = User, lserver = Host} when User /= <<>> ->
            case ejabberd_auth:user_exists(User, Host) of true -> User; false -> error end;
        _ -> error
    catch _:{bad_jid, _} -> error
    end.

read_stamp(none) -> none;
read_stamp(Text) ->
    try xmpp_util:decode_timestamp(Text) of
        {Mega, _, _} = At when Mega >= 0 -> At;
        _ -> error
    catch _:_ -> error
    end.

detach(Connection, Iq, Jid, #state{link = Link} = State) ->
    case {?SERVER:session_of(Jid, State), ?LINK:end_of(Jid, Link)} of
        {Pid, _} when is_pid(Pid) ->
            {Ended, State1} = ?SERVER:finish(Pid, none, State),
            ?SERVER:when_closed(fun(S) -> respond(Connection, Iq, {ok, [detached(Jid, Ended)]}, S) end, State1);
        {none, {ok, {H, Returned, _}}} ->
            respond(Connection, Iq, {ok, [detached(Jid, {H, Returned})]}, State#state{link = ?LINK:told(Jid, Link)});
        {none, none} -> respond(Connection, Iq, no_session(), State)
    end.

detached(Jid, {H, Returned}) ->
    #xmlel{name = <<"detached">>, attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"jid">>, Jid}, {<<"h">>, integer_to_binary(H)},
                                           {<<"returned">>, integer_to_binary(Returned)}]}.

%% --- attach: one answer for each, in order; a bad one harms no other

attach_all(Connection, Iq, Els, State) ->
    Collector = make_ref(),
    put({attaching, Collector}, {length(Els), #{}}),
    {_, State1} = lists:foldl(fun(El, {I, S}) ->
        Answer = fun(Result, S1) -> collect(Collector, I, Result, Connection, Iq), S1 end,
        {I + 1, attach_one(El, Answer, S)}
    end, {1, State}, Els),
    State1.

collect(Collector, I, Result, Connection, Iq) ->
    {Missing, Results} = get({attaching, Collector}),
    Results1 = Results#{I => Result},
    case Missing of
        1 ->
            erase({attaching, Collector}),
            ?SERVER:reply(Connection, Iq, {ok, [El || {_, El} <- lists:sort(maps:to_list(Results1))]});
        _ -> put({attaching, Collector}, {Missing - 1, Results1})
    end.

attach_one(El, Answer, State) ->
    try attach(El, Answer, State)
    catch Class:Reason:Stack ->
        ?ERROR_MSG("An attach failed: ~p", [{Class, Reason, Stack}]),
        Answer(refused({error, wait, 'internal-server-error', <<"the server failed on this request">>}), State)
    end.

attach(El, Answer, #state{host = Host} = State) ->
    Refuse = fun(Error) -> Answer(refused(Error), State) end,
    case read_attach(El) of
        {error, _, _, _} = Error -> Refuse(Error);
        {User, Resource, Carbons, Presence} ->
            case ejabberd_auth:user_exists(User, Host) of
                true -> attach_session(User, Resource, Carbons, Presence, Answer, State);
                false -> Refuse(no_account())
            end
    end.

read_attach(El) ->
    Presence = children(El),
    case {xmpp:get_name(El), xmpp:get_ns(El), attribute(<<"user">>, El), attribute(<<"resource">>, El)} of
        {<<"attach">>, ?NS_ATTACH, User, Resource} when User /= none, Resource /= none ->
            case {lists:all(fun is_first_presence/1, Presence) andalso length(Presence) < 2, read_user(El), jid:resourceprep(Resource)} of
                {false, _, _} -> bad_attach();
                {true, User1, Resource1} when User1 == error; Resource1 == error; Resource1 == <<>> ->
                    {error, modify, 'jid-malformed', <<"user or resource is no part of a JID">>};
                {true, User1, Resource1} -> {User1, Resource1, attribute(<<"carbons">>, El) == <<"1">>, hd(Presence ++ [none])}
            end;
        _ -> bad_attach()
    end.

bad_attach() -> bad_request(<<"attach has a user, a resource and at most one undirected, available presence">>).

is_first_presence(#xmlel{name = <<"presence">>} = El) ->
    attribute(<<"xmlns">>, El) == ?NS_CLIENT andalso attribute(<<"type">>, El) == none andalso attribute(<<"to">>, El) == none
        andalso not is_deeper(El, ?MAX_DEPTH);
is_first_presence(_) -> false.

attach_session(User, Resource, Carbons, Presence, Answer, State) ->
    {Pid, Resumed, State1} = case ?SERVER:session_of({User, Resource}, State) of
                                 none -> {P, S} = ?SERVER:begin_session(User, Resource, State), {P, false, S};
                                 P -> {P, true, State}
                             end,
    Ref = make_ref(),
    mod_crossfade_attach_session:attach(Pid, Ref, User, Resource, Carbons, Presence),
    ?SERVER:wait_for(Ref, Pid, fun(Result, Session, S) -> Answer(attached(Result, Resumed, Session), S) end, State1).

attached(ok, _, #session{jid = none}) -> ended_at_once(); % it was bound when its link had ended
attached(ok, Resumed, #session{jid = Jid}) ->
    #xmlel{name = <<"attached">>, attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"jid">>, Jid} | [{<<"resumed">>, <<"1">>} || Resumed]]};
attached({error, cancel, 'item-not-found', _}, _, _) -> ended_at_once();
attached(Error, _, _) -> refused(Error).

ended_at_once() -> refused({error, wait, 'recipient-unavailable', <<"the session ended at once">>}).

refused({error, Type, Condition, Text}) ->
    #xmlel{name = <<"refused">>, attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"type">>, atom_to_binary(Type)},
                                          {<<"condition">>, atom_to_binary(Condition)}, {<<"text">>, Text}]}.
