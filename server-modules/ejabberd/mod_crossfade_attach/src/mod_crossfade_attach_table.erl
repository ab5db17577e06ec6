%% What hooks in other processes ask: who is attached, observed, locked. One table per host, written by its server process, but
%% for `pending`.
-module(mod_crossfade_attach_table).
-export([new/1, attach/4, leaving/2, is_leaving/2, detach/3, attached/2, legacy/2, observe/2, unobserve/2, is_observed/2, lock/3, unlock/2, lock_of/2]).
-export([forget_all/1, pending/2, not_pending/2]).

name(Host) -> gen_mod:get_module_proc(Host, mod_crossfade_attach).

new(Host) -> ets:new(name(Host), [named_table, public, set, {read_concurrency, true}]).

%% No table: the module is just being started or stopped, and nobody is attached, observed or locked.
lookup(Host, Key) ->
    try ets:lookup_element(name(Host), Key, 2) of
        Value -> {ok, Value}
    catch
        error:badarg -> none
    end.

put(Host, Key, Value) -> ets:insert(name(Host), {Key, Value}).

delete(Host, Key) -> catch ets:delete(name(Host), Key), true.

%% The attached sessions of a user: [{Resource, Pid}].
attached(Host, User) ->
    case lookup(Host, {attached, User}) of
        {ok, Sessions} -> Sessions;
        none -> []
    end.

attach(Host, User, Resource, Pid) -> put(Host, {attached, User}, [{Resource, Pid} | attached(Host, User)]).

%% On its way out: still nobody's legacy client, but what it is sent goes elsewhere.
leaving(Host, Pid) -> put(Host, {leaving, Pid}, true).
is_leaving(Host, Pid) -> lookup(Host, {leaving, Pid}) /= none.

detach(Host, User, Pid) ->
    delete(Host, {leaving, Pid}),
    case [One || {_, P} = One <- attached(Host, User), P /= Pid] of
        [] -> delete(Host, {attached, User});
        Rest -> put(Host, {attached, User}, Rest)
    end.

%% The user's legacy sessions that have a live connection: [{Resource, Priority or undefined, Pid}].
legacy(Host, User) ->
    Attached = [Pid || {_, Pid} <- attached(Host, User)],
    [{Resource, proplists:get_value(priority, Info), Pid}
     || {Resource, Info} <- ejabberd_sm:get_user_info(User, Host),
        Pid <- [proplists:get_value(pid, Info)], not lists:member(Pid, Attached), lookup(Host, {pending, Pid}) == none].

observe(Host, User) -> put(Host, {observe, User}, true).
unobserve(Host, User) -> delete(Host, {observe, User}).
is_observed(Host, User) -> lookup(Host, {observe, User}) /= none.

lock(Host, User, Text) -> put(Host, {lock, User}, Text).
unlock(Host, User) -> delete(Host, {lock, User}).
lock_of(Host, User) -> lookup(Host, {lock, User}).

%% The link is gone, and what it observed and locked with it.
forget_all(Host) ->
    ets:match_delete(name(Host), {{observe, '_'}, '_'}),
    ets:match_delete(name(Host), {{lock, '_'}, '_'}).

%% Sessions without a connection that wait for their resumption.
pending(Host, Pid) -> catch put(Host, {pending, Pid}, true).
not_pending(Host, Pid) -> delete(Host, {pending, Pid}).
