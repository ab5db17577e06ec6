%% One link: what the server still has to hand to the gateway, in order, until it is acknowledged. docs/attach-protocol.md, "The link".
-module(mod_crossfade_attach_link).
-export([new/3, connect/2, disconnect/1, write/2, push/6, copy/6, miss/3, tell_missed/1, ack/2, replay/1, take_back/2]).
-export([end_of/2, ended/4, told/2, forget_end/2, announce_ends/1, announce_more/1, has_key/2, remember_key/2]).
-export([epoch/1, n/1, acked/1, connection/1]).
-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_crossfade_attach.hrl").

-define(MAX_REMEMBERED_ENDS, 10000).
%% So many stanzas, and so many words of ends, are on their way at once: the connection's process ends when more than max_fsm_queue wait for
%% it, and operators have that at 10,000.
-define(WINDOW, 5000).
-define(ENDS_AT_ONCE, 1000).

-record(link, {
    component, host, epoch, max_unacked,
    connection = none, % the process of the component's stream after its hello
    n = 0, sent = 0, acked = 0,
    queue = #{}, % n -> #item{}
    unacked = #{}, % session -> how many of its stanzas are in the queue
    is_full = false,
    missed = #{}, % user -> bare JID: copies of its messages did not fit. Empty whenever there is room
    ended = mod_crossfade_attach_cache:new(?MAX_REMEMBERED_ENDS), % JID -> {H, Returned, Reason}
    untold = queue:new(), telling = 0, % ends that wait to be announced; announced since the connection was last known to have written all
    keys
}).
%% session: none where it is an observer's copy. at: when it came. is_copy: somebody else has it, too.
-record(item, {session, user, attrs, stanza, at, is_copy}).

new(Component, Host, MaxUnacked) ->
    Epoch = base64:encode(crypto:strong_rand_bytes(18)), % 24 characters, no padding
    #link{component = jid:make(Component), host = jid:make(Host), epoch = url_safe(Epoch), max_unacked = MaxUnacked,
          keys = mod_crossfade_attach_cache:new(2 * MaxUnacked)}.

epoch(#link{epoch = Epoch}) -> Epoch.
n(#link{n = N}) -> N.
acked(#link{acked = Acked}) -> Acked.
connection(#link{connection = Connection}) -> Connection.
connect(Connection, Link) -> Link#link{connection = Connection}.
disconnect(Link) -> Link#link{connection = none}.

%% To the stream itself, not through the router: what a broken connection swallows is still in the queue.
write(_, #link{connection = none}) -> ok;
write(El, #link{connection = Connection, component = Component, host = Host}) ->
    Connection ! {route, #message{from = Host, to = Component, sub_els = [El]}},
    ok.

is_full(#link{n = N, acked = Acked, max_unacked = Max} = Link) when N - Acked < Max -> {false, Link};
is_full(#link{is_full = true} = Link) -> {true, Link};
is_full(#link{component = Component, max_unacked = Max} = Link) ->
    ?WARNING_MSG("~ts has not acknowledged ~B stanzas: further ones go to other resources or offline storage, copies are left out",
                 [jid:encode(Component), Max]),
    {true, Link#link{is_full = true}}.

%% Gives the next number, queues, then sends.
number(Item, #link{n = N, queue = Queue} = Link) -> send_on(Link#link{n = N + 1, queue = Queue#{N + 1 => Item}}).

send_on(#link{connection = none} = Link) -> Link;
send_on(#link{n = N, sent = Sent, acked = Acked, queue = Queue} = Link) when Sent < N, Sent - Acked < ?WINDOW ->
    write(d(Sent + 1, maps:get(Sent + 1, Queue), Link), Link),
    send_on(Link#link{sent = Sent + 1});
send_on(Link) -> Link.

d(N, #item{attrs = Attrs, stanza = Stanza}, #link{epoch = Epoch}) ->
    #xmlel{name = <<"d">>,
           attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"epoch">>, Epoch}, {<<"n">>, integer_to_binary(N)} | Attrs],
           children = [Stanza || Stanza /= none]}.

%% Queues one stanza for a session, or says `full`: then the caller must not drop it.
push(Session, User, Attrs, Stanza, IsCopy, Link) ->
    case is_full(Link) of
        {true, Link1} -> {full, Link1};
        {false, #link{unacked = Unacked} = Link1} ->
            Item = #item{session = Session, user = User, attrs = Attrs, stanza = Stanza, at = erlang:timestamp(), is_copy = IsCopy},
            {ok, number(Item, Link1#link{unacked = maps:update_with(Session, fun(C) -> C + 1 end, 1, Unacked)})}
    end.

%% Queues a copy for an observer. One that does not fit is left out.
copy(User, BareJid, Dir, Sid, Stanza, Link) ->
    case is_full(Link) of
        {true, Link1} -> miss(User, BareJid, Link1);
        {false, Link1} ->
            Attrs = [{<<"to">>, BareJid}, {<<"dir">>, Dir} | [{<<"sid">>, Sid} || Sid /= none]],
            number(#item{session = none, user = User, attrs = Attrs, stanza = Stanza}, Link1)
    end.

%% A copy did not fit, one for an observer or a carbon: the gateway is told as soon as there is room.
miss(User, BareJid, #link{missed = Missed} = Link) -> Link#link{missed = Missed#{User => BareJid}}.

tell_missed(#link{missed = Missed} = Link) ->
    lists:foldl(fun({User, BareJid}, L) ->
                        case is_full(L) of
                            {true, L1} -> L1;
                            {false, L1} ->
                                Attrs = [{<<"to">>, BareJid}, {<<"missed">>, <<"1">>}],
                                Item = #item{session = none, user = User, attrs = Attrs, stanza = none},
                                number(Item, L1#link{missed = maps:remove(User, L1#link.missed)})
                        end
                end, Link, maps:to_list(Missed)).

%% Cumulative; frees everything up to H.
ack(H, #link{acked = Acked} = Link) when H =< Acked -> Link;
ack(H, #link{acked = Acked, sent = Sent} = Link) ->
    Link1 = lists:foldl(fun free/2, Link, lists:seq(Acked + 1, H)),
    tell_missed(send_on(Link1#link{acked = H, sent = max(H, Sent), is_full = false})).

free(N, #link{queue = Queue} = Link) ->
    {#item{session = Session}, Queue1} = maps:take(N, Queue),
    forget_unacked(Session, Link#link{queue = Queue1}).

forget_unacked(none, Link) -> Link;
forget_unacked(Session, #link{unacked = Unacked} = Link) ->
    case Unacked of
        #{Session := 1} -> Link#link{unacked = maps:remove(Session, Unacked)};
        #{Session := C} -> Link#link{unacked = Unacked#{Session := C - 1}};
        _ -> Link
    end.

%% Sends what is not acknowledged once more, same numbers, same order.
replay(#link{acked = Acked} = Link) -> send_on(Link#link{sent = Acked}).

%% Takes the unacknowledged stanzas of one session (`all`: of all) out of the queue, oldest first: {User, Stanza, At, IsCopy}. Their
%% numbers stay, as empty <d/>, so that a replay has no gaps. Observers' copies are nobody's loss and stay.
take_back(Session, #link{unacked = Unacked} = Link) when Session /= all, not is_map_key(Session, Unacked) -> {[], Link};
take_back(Session, #link{acked = Acked, n = N} = Link) ->
    {Taken, Link1} = lists:foldl(fun(I, Acc) -> take_one(Session, I, Acc) end, {[], Link}, lists:seq(Acked + 1, N)),
    {lists:reverse(Taken), Link1}.

take_one(Session, N, {Taken, #link{queue = Queue} = Link}) ->
    case Queue of
        #{N := #item{session = S, user = User, attrs = Attrs, stanza = Stanza, at = At, is_copy = IsCopy}}
          when S /= none, (Session == all orelse S == Session) ->
            Hole = #item{session = none, user = User, attrs = [lists:keyfind(<<"to">>, 1, Attrs)], stanza = none},
            {[{User, Stanza, At, IsCopy} | Taken], forget_unacked(S, Link#link{queue = Queue#{N := Hole}})};
        _ -> {Taken, Link}
    end.

%% The server remembers how the last sessions ended: a repeated detach gets the same answer.
end_of(Jid, #link{ended = Ended}) -> mod_crossfade_attach_cache:get(Jid, Ended).

%% Reason: set when the server ended it; then the gateway is told, after each hello, until it attaches or detaches that address.
ended(Jid, Returned, Reason, #link{acked = H, ended = Ended, untold = Untold} = Link) ->
    tell_ends(Link#link{ended = mod_crossfade_attach_cache:put(Jid, {H, Returned, Reason}, Ended),
                        untold = if Reason == none -> Untold; true -> queue:in(Jid, Untold) end}).

told(Jid, #link{ended = Ended} = Link) ->
    case mod_crossfade_attach_cache:get(Jid, Ended) of
        {ok, {H, Returned, Reason}} when Reason /= none ->
            Link#link{ended = mod_crossfade_attach_cache:put(Jid, {H, Returned, none}, Ended)};
        _ -> Link
    end.

forget_end(Jid, #link{ended = Ended} = Link) -> Link#link{ended = mod_crossfade_attach_cache:remove(Jid, Ended)}.

announce_ends(#link{ended = Ended} = Link) ->
    Untold = [Jid || {Jid, {_, _, Reason}} <- mod_crossfade_attach_cache:to_list(Ended), Reason /= none],
    tell_ends(Link#link{untold = queue:from_list(Untold), telling = 0}).

%% The connection has written what it was given.
announce_more(Link) -> tell_ends(Link#link{telling = 0}).

%% No number or acknowledgement bounds them: so the connection is asked now and then whether it has written them.
tell_ends(#link{connection = none} = Link) -> Link#link{untold = queue:new()};
tell_ends(#link{telling = ?ENDS_AT_ONCE} = Link) -> Link;
tell_ends(#link{untold = Untold, telling = Telling, connection = Connection} = Link) ->
    case queue:out(Untold) of
        {empty, _} -> Link;
        {{value, Jid}, Rest} ->
            announce_end(Jid, Link),
            if Telling + 1 == ?ENDS_AT_ONCE -> mod_crossfade_attach_server:when_written(Connection); true -> ok end,
            tell_ends(Link#link{untold = Rest, telling = Telling + 1})
    end.

announce_end(Jid, #link{ended = Ended} = Link) ->
    case mod_crossfade_attach_cache:get(Jid, Ended) of
        {ok, {H, _, Reason}} when Reason /= none ->
            write(#xmlel{name = <<"detached">>,
                         attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"jid">>, Jid}, {<<"reason">>, Reason}, {<<"h">>, integer_to_binary(H)}]}, Link);
        _ -> ok % attached or detached meanwhile
    end.

has_key(Key, #link{keys = Keys}) -> mod_crossfade_attach_cache:get(Key, Keys) /= none.

remember_key(none, Link) -> Link;
remember_key(Key, #link{keys = Keys} = Link) -> Link#link{keys = mod_crossfade_attach_cache:put(Key, true, Keys)}.

url_safe(Text) -> << <<(case C of $+ -> $-; $/ -> $_; _ -> C end)>> || <<C>> <= Text >>.
