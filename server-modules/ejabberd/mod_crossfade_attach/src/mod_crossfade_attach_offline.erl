%% Offline storage beside flushes. A sender's process that finds no session of the user stores its message; in between, and while it does
%% so, one may come and flush. Then Mnesia's flush would delete what is stored, without a lock, between its reading and its deleting; and what
%% is stored behind it would lie there until the user comes anew. So senders store under the lock of the flush, and wake the session.
-module(mod_crossfade_attach_offline).
-export([hook/1, unhook/1, store/1, stored/1, locked/3]).
-include("logger.hrl").
-include("xmpp.hrl").

hook(Host) -> [ejabberd_hooks:add(offline_message_hook, Host, ?MODULE, Function, Seq) || {Function, Seq} <- hooks()].
unhook(Host) -> [ejabberd_hooks:delete(offline_message_hook, Host, ?MODULE, Function, Seq) || {Function, Seq} <- hooks()].

%% Right before mod_offline (50, too, and behind us by its name; the archive has 49), and right behind it.
hooks() -> [{store, 50}, {stored, 51}].

store({_, #message{to = #jid{luser = User, lserver = Host}}} = Acc) ->
    case gen_mod:is_loaded(Host, mod_offline) andalso locked(Host, User, fun() -> mod_offline:store_packet(Acc) end) of
        {offlined, Message} -> {offlined, xmpp:set_subtag(Message, #offline{})}; % mod_offline stores nothing that has this
        stop -> stop;
        {error, Why} ->
            ?WARNING_MSG("No lock for the offline storage of ~ts@~ts: ~p", [User, Host, Why]),
            Acc;
        _ -> Acc
    end;
store(Acc) -> Acc.

stored({offlined, #message{to = #jid{luser = User, lserver = Host}} = Message}) ->
    [mod_crossfade_attach_session:flush_late(Pid) || {_, Pid} <- mod_crossfade_attach_table:attached(Host, User)],
    {offlined, xmpp:remove_subtag(Message, #offline{})};
stored(Acc) -> Acc.

%% Runs Store while nobody flushes this user's messages from Mnesia; other databases have locks of their own.
locked(Host, User, Store) ->
    case gen_mod:db_mod(Host, mod_offline) of
        mod_offline_mnesia ->
            Locked = fun() ->
                             mnesia:lock({record, offline_msg, {User, Host}}, write),
                             Store()
                     end,
            case mnesia:transaction(Locked) of
                {atomic, Result} -> Result;
                {aborted, Why} -> {error, Why}
            end;
        _ -> Store()
    end.
