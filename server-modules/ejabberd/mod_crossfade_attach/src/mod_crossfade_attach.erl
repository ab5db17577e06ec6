%% Attached sessions for a gateway: the server's half of docs/attach-protocol.md, urn:crossfade:attach:1, for ejabberd. This file: the
%% module's options, its hooks, and who may speak.
-module(mod_crossfade_attach).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([from_component/1, refuse/1, hide/5, decode_iq_subel/1, user_removed/2, stopping/0]).
-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_crossfade_attach.hrl").

-define(PARTS, [mod_crossfade_attach_session, mod_crossfade_attach_seen, mod_crossfade_attach_observe, mod_crossfade_attach_lock,
                mod_crossfade_attach_stamp, mod_crossfade_attach_offline]).

start(Host, Opts) ->
    case gen_mod:start_child(mod_crossfade_attach_server, Host, Opts) of
        {ok, _} = Started ->
            [Part:hook(Host) || Part <- ?PARTS],
            ejabberd_hooks:add(remove_user, Host, ?MODULE, user_removed, 10),
            gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_ATTACH, ?MODULE, refuse),
            ejabberd_hooks:add(disco_local_features, Host, ?MODULE, hide, 110), % behind mod_disco (100)
            ejabberd_hooks:add(component_send_packet, ?MODULE, from_component, 50),
            ejabberd_hooks:add(ejabberd_stopping, ?MODULE, stopping, 10),
            Started;
        Failed -> Failed
    end.

stop(Host) ->
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true -> ok;
        false ->
            ejabberd_hooks:delete(ejabberd_stopping, ?MODULE, stopping, 10),
            ejabberd_hooks:delete(component_send_packet, ?MODULE, from_component, 50)
    end,
    mod_crossfade_attach_server:end_all(Host, <<"unloaded">>),
    ejabberd_hooks:delete(disco_local_features, Host, ?MODULE, hide, 110),
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_ATTACH),
    ejabberd_hooks:delete(remove_user, Host, ?MODULE, user_removed, 10),
    [Part:unhook(Host) || Part <- ?PARTS],
    gen_mod:stop_child(mod_crossfade_attach_server, Host).

%% New bounds hold at once; another component begins with its own hello.
reload(Host, NewOpts, _) -> mod_crossfade_attach_server:set(Host, NewOpts).

%% Stopped before those: what goes back finds offline storage.
depends(_, _) -> [{mod_offline, soft}, {mod_mam, soft}, {mod_carboncopy, soft}].

mod_opt_type(component) -> econf:domain();
mod_opt_type(resume_timeout) -> econf:non_neg_int();
mod_opt_type(max_unacked) -> econf:pos_int().

-spec mod_options(binary()) -> [{component, binary()} | {atom(), any()}].
mod_options(_) -> [component, {resume_timeout, 3600}, {max_unacked, 20000}].

mod_doc() ->
    #{desc => <<"Lets a gateway hold client sessions of this host over its component connection: "
                "no socket, login or password for each. See the README beside it.">>}.

%% Runs in the process of a component's stream, so that process is the connection. Requests never reach the router, which would not
%% take several in one iq, nor tell us which connection has asked.
from_component({#iq{type = Type, to = #jid{luser = <<>>, lresource = <<>>, lserver = Host}, sub_els = [First | _]} = Iq, State} = Acc)
  when Type == set; Type == get ->
    case xmpp:get_ns(First) == ?NS_ATTACH andalso gen_mod:is_loaded(Host, ?MODULE) of
        false -> Acc;
        true ->
            serve(Host, Iq, State),
            {stop, {drop, State}}
    end;
from_component(Acc) -> Acc.

serve(Host, #iq{from = #jid{luser = <<>>, lserver = From}} = Iq, #{remote_server := Component}) ->
    case gen_mod:get_module_opt(Host, ?MODULE, component) of
        Component when From == Component -> mod_crossfade_attach_server:tell(Host, {request, self(), Iq});
        _ -> self() ! {route, refuse(Iq)}
    end;
serve(_, Iq, _) -> self() ! {route, refuse(Iq)}.

%% Everybody else: clients and other servers, by the way of all iqs.
refuse(Iq) -> mod_crossfade_attach_server:error_reply(Iq, auth, forbidden, <<"only the configured component may do this">>).

%% A handler of iqs is a feature of the host, by which each client would be told that the module is there: in its first stream features, too.
hide({result, Features}, _, _, _, _) -> {result, lists:delete(?NS_ATTACH, Features)};
hide(Acc, _, _, _, _) -> Acc.

decode_iq_subel(El) -> El.

%% Before ejabberd_sm (100) ends all sessions of the account as in a conflict.
user_removed(User, Host) -> mod_crossfade_attach_server:user_removed(Host, jid:nodeprep(User)).

%% From now on legacy clients are just leaving: what goes back goes to offline storage.
stopping() -> [mod_crossfade_attach_server:tell(Host, stopping) || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE)].
