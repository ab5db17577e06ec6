%% Offline messages of an attached session, in order with live ones. Everything here runs in the session's process.
%%
%% The first presence flushes, as for any client. Who looked for resources before that was known stores offline what comes after the flush,
%% and what the same sender has sent us since must wait. So storage is flushed once more before that is let through; and whoever was slower
%% than that wakes us when its message is stored (mod_crossfade_attach_offline).
-module(mod_crossfade_attach_flush).
-export([none/0, is_begun/2, start/1, hold/2, again/1, late/1, release/1]).
-include("xmpp.hrl").

%% waiting: live messages, the last first, while flushes are under way.
none() -> #{flushes => 0, waiting => []}.

%% mod_offline flushes at the first presence that is not negative.
is_begun(#presence{type = available, priority = Priority, from = From, to = To}, State) ->
    jid:tolower(jid:remove_resource(From)) == jid:tolower(To) andalso (Priority == undefined orelse Priority >= 0)
        andalso case State of
                    #{pres_last := #presence{priority = Last}} -> is_integer(Last) andalso Last < 0;
                    _ -> true
                end;
is_begun(_, _) -> false.

start(#{crossfade := #{flushes := N} = Own} = State) -> State#{crossfade := Own#{flushes := N + 1}}.

%% While offline messages are flushed, live ones wait: they are younger.
hold(#message{meta = Meta} = Message, #{crossfade := #{flushes := N, waiting := Waiting} = Own} = State)
  when N > 0, not is_map_key(from_offline, Meta) ->
    {stop, State#{crossfade := Own#{waiting := [Message | Waiting]}}};
hold(_, State) -> State.

again(#{lserver := Host} = State) ->
    case gen_mod:is_loaded(Host, mod_offline) of
        true -> mod_offline:c2s_self_presence({#presence{type = available, priority = 0}, maps:remove(pres_last, State)});
        false -> ok
    end.

%% One that has not flushed yet will do so by its presence.
late(#{crossfade := _, pres_last := #presence{priority = Priority}} = State) when Priority == undefined; Priority >= 0 ->
    State1 = start(State),
    again(State1),
    self() ! {crossfade, flushed_late},
    State1;
late(State) -> State.

%% The last flush lets through what has waited.
release(#{crossfade := #{flushes := 1, waiting := Waiting}} = State) ->
    lists:foldl(fun(Message, S) -> ejabberd_c2s:process_info(S, {route, Message}) end,
                State#{crossfade := none()}, lists:reverse(Waiting));
release(#{crossfade := #{flushes := N} = Own} = State) when N > 1 -> State#{crossfade := Own#{flushes := N - 1}};
release(State) -> State.
