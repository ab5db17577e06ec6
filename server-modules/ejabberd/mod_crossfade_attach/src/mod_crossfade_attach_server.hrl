%% The state of the process per host.
-record(state, {
    host, component, resume_timeout, max_unacked,
    link = none,
    connection = none, monitor = none, % the process of the component's stream that has said hello last, while it lives
    expiry = none, % the timer while the gateway is away
    sessions = #{}, % pid -> #session{}
    by_jid = #{}, by_request = #{}, % full JID, or {User, the resource asked for} -> pid
    closing = #{}, % sessions on their way out: pid -> #session{}
    late = #{}, % those that hang meanwhile, for which nobody waits any more: pid -> user
    after_closing = [], waiting = queue:new(), % works, and requests, that wait for them
    sending = #{}, % key -> who else waits for the answer of a `send` in hand
    stopping = false
}).
%% overflowed: something did not fit since its last flush. jid: none until it is bound. asked: Ref -> what to do when the session is done with it. reason: why ejabberd ends it.
-record(session, {user, request, jid = none, asked = #{}, overflowed = false, reason = <<"closed">>}).
