%% Binding of legacy clients: a locked user's are kept out, with a text, and one that asks for the resource of an attached session
%% gets another. docs/attach-protocol.md, "lock" and "attach".
%%
%% ejabberd has no hook for it. So right before a client binds, the module that its process calls back is this one, for this one
%% call: bind/2 answers, or passes on to ejabberd_c2s.
-module(mod_crossfade_attach_lock).
-export([hook/1, unhook/1, before_bind/3, bind/2, free_resource/3, kick/3]).
-include("xmpp.hrl").

hook(Host) -> ejabberd_hooks:add(c2s_handle_recv, Host, ?MODULE, before_bind, 90).
unhook(Host) -> ejabberd_hooks:delete(c2s_handle_recv, Host, ?MODULE, before_bind, 90).

before_bind(#{stream_state := wait_for_bind, mod := ejabberd_c2s, user := User, lserver := Host} = State, _, #iq{type = set, sub_els = [_]} = Iq) ->
    try xmpp:try_subtag(Iq, #bind{}) of
        #bind{} ->
            case {mod_crossfade_attach_table:lock_of(Host, User), mod_crossfade_attach_table:attached(Host, User)} of
                {none, []} -> State;
                _ -> State#{mod => ?MODULE}
            end;
        _ -> State
    catch
        _:{xmpp_codec, _} -> State
    end;
before_bind(State, _, _) -> State.

bind(Resource, #{user := User, lserver := Host} = State) ->
    State1 = State#{mod => ejabberd_c2s},
    case mod_crossfade_attach_table:lock_of(Host, User) of
        {ok, Text} -> {error, xmpp:err_not_allowed(Text, <<"en">>), State1};
        none ->
            Held = [R || {R, _} <- mod_crossfade_attach_table:attached(Host, User)],
            Wanted = jid:resourceprep(Resource),
            Free = case lists:member(Wanted, Held) of
                       true -> free_resource(Host, User, Resource);
                       false -> Resource
                   end,
            ejabberd_c2s:bind(Free, State1)
    end.

%% A name no other session of the user has.
free_resource(Host, User, Resource) ->
    case ejabberd_sm:is_existing_resource(User, Host, Resource) of
        false -> Resource;
        true -> <<Resource/binary, $-, (binary:part(p1_rand:get_alphanum_string(20), 0, 8))/binary>>
    end.

kick(Host, User, Text) ->
    Attached = [Pid || {_, Pid} <- mod_crossfade_attach_table:attached(Host, User)],
    Error = xmpp:serr_policy_violation(Text, <<"en">>),
    [ejabberd_c2s:send(Pid, Error) || {_, Pid} <- ejabberd_sm:get_session_sids(User, Host), not lists:member(Pid, Attached)],
    ok.
