%% What this server is set to, for the gateway's doctor (docs/attach-protocol.md, about). Changes nothing, needs no link.
-module(mod_crossfade_attach_about).
-export([describe/2, has_archive/1]).
-include("xmpp.hrl").
-include("mod_crossfade_attach.hrl").

%% Sizes in bytes, times in seconds.
describe(Host, Component) ->
    Option = fun(Name) -> integer_to_binary(gen_mod:get_module_opt(Host, mod_crossfade_attach, Name)) end,
    #xmlel{name = <<"about">>,
           attrs = [{<<"xmlns">>, ?NS_ATTACH}, {<<"v">>, ?VERSION}, {<<"name">>, <<"ejabberd">>}, {<<"release">>, ejabberd_option:version()},
                    {<<"resume-timeout">>, Option(resume_timeout)}, {<<"max-unacked">>, Option(max_unacked)},
                    {<<"replaces">>, <<"1">>}, {<<"announces">>, <<"1">>}, {<<"at">>, now_text()}]
               ++ [{<<"stanza-limit">>, integer_to_binary(Limit)} || Limit <- stanza_limit(Component)]
               ++ [{<<"offline-limit">>, integer_to_binary(Limit)} || Limit <- offline_limit(Host)]
               ++ [{Name, <<"1">>} || {Name, true} <- flags(Host, Component)]}.

flags(Host, Component) ->
    [{<<"archive">>, has_archive(Host)}, {<<"carbons">>, gen_mod:is_loaded(Host, mod_carboncopy)},
     {<<"offline">>, gen_mod:is_loaded(Host, mod_offline)}, {<<"smacks">>, gen_mod:is_loaded(Host, mod_stream_mgmt)},
     {<<"s2s">>, may_go_out(Host, Component)}].

%% mod_mam keeps nothing of accounts that have not asked for it unless its `default` says so.
has_archive(Host) -> gen_mod:is_loaded(Host, mod_mam) andalso gen_mod:get_module_opt(Host, mod_mam, default) == always.

%% Without its component, a domain is looked for among other servers, if s2s_access lets us.
may_go_out(Host, Component) ->
    try acl:match_rule(Host, ejabberd_option:s2s_access(Host), jid:make(Component)) == allow
    catch _:_ -> true
    end.

%% Messages that offline storage keeps for an account with no rights of its own; none: without bound.
offline_limit(Host) ->
    case gen_mod:is_loaded(Host, mod_offline) andalso ejabberd_shaper:match(Host, offline_access(Host), jid:make(<<"crossfade-probe">>, Host)) of
        Limit when is_integer(Limit) -> [Limit];
        _ -> []
    end.

offline_access(Host) -> gen_mod:get_module_opt(Host, mod_offline, access_max_user_messages).

%% Of the listener that names the component; what has no limit is absent.
stanza_limit(Component) ->
    Limits = [proplists:get_value(max_stanza_size, Options, infinity)
              || {_, ejabberd_service, Options} <- listeners(), lists:keymember(Component, 1, proplists:get_value(hosts, Options, []))],
    lists:sublist([Limit || Limit <- lists:sort(Limits), is_integer(Limit)], 1).

listeners() ->
    [{Where, Module, if is_map(Options) -> maps:to_list(Options); true -> Options end} || {Where, Module, Options} <- ejabberd_option:listen()].

now_text() ->
    list_to_binary(calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}])).
