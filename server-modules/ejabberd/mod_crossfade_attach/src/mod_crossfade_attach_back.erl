%% Gives a stanza that no app got back to its user: other resources first, else offline storage with the original time. Neither
%% archive nor carbons see it a second time. What no resource gets is treated as RFC 6121 §8.5 says.
-module(mod_crossfade_attach_back).
-export([give_back/5, reroute/4, reroute_all/3, is_copy/2, rising/2]).
-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_offline.hrl").

%% Users of whom it is remembered up to when they were given something back.
-define(MAX_STAMPS, 10000).
%% ejabberd takes for a JID what has a domain of nothing but characters that preparation leaves out (a soft hyphen).
-define(HAS_NO_DOMAIN(Jid), (is_record(Jid, jid) andalso Jid#jid.lserver == <<>>)).
-define(NO_DOMAIN, {error, modify, 'bad-request', <<"an address of the stanza has no domain">>}).

%% Copies of what is kept elsewhere: carbons and archive results, which only the own account can send (XEP-0280 §11, XEP-0313).
is_copy(#xmlel{name = <<"message">>} = El, BareJid) ->
    From = fxml:get_tag_attr_s(<<"from">>, El),
    (From == <<>> orelse From == BareJid)
        andalso lists:any(fun({Name, Ns}) -> fxml:get_subtag_with_xmlns(El, Name, Ns) /= false end,
                          [{<<"received">>, ?NS_CARBONS_2}, {<<"sent">>, ?NS_CARBONS_2}, {<<"result">>, ?NS_MAM_2}]);
is_copy(_, _) -> false.

%% When: a timestamp, or none for the stanza's own stamp (of this server), else Otherwise. Only offline: where the legacy clients are
%% just leaving. ok when the stanza is dealt with, or {error, Type, Condition, Text}.
give_back(Host, User, El, {When, Otherwise}, OnlyOffline) ->
    try xmpp:decode(El, ?NS_CLIENT, [ignore_els]) of
        #iq{from = From, to = To} when ?HAS_NO_DOMAIN(From); ?HAS_NO_DOMAIN(To) -> ?NO_DOMAIN;
        #message{from = From, to = To} when ?HAS_NO_DOMAIN(From); ?HAS_NO_DOMAIN(To) -> ?NO_DOMAIN;
        #iq{type = Type} = Iq when Type == get; Type == set ->
            bounce(Iq, error_of(cancel, 'service-unavailable', <<>>));
        #message{type = Type} = Message when Type == chat; Type == normal ->
            BareJid = jid:encode({User, Host, <<>>}),
            case {is_copy(El, BareJid), ejabberd_auth:user_exists(User, Host)} of
                {true, _} -> ok;
                {false, true} -> give_message(Host, User, Message, {When, Otherwise}, OnlyOffline);
                {false, false} -> {error, cancel, 'service-unavailable', <<>>}
            end;
        _ -> ok
    catch
        _:{xmpp_codec, Why} -> {error, modify, 'bad-request', xmpp:io_format_error(Why)}
    end.

give_message(Host, User, #message{to = To, from = From} = Message, {When, Otherwise}, OnlyOffline) ->
    {Els, Own} = take_own_stamp(xmpp:get_els(Message), Host),
    At = first([When, Own, Otherwise]),
    Bare = jid:make(User, Host),
    Message1 = Message#message{sub_els = Els, to = first([To, Bare]), from = first([From, jid:make(Host)])},
    case not OnlyOffline andalso send_to_resources(Host, User, Message1, At) of
        true -> ok;
        false -> store(Host, User, Message1, At)
    end.

first([Value]) -> Value;
first([Value | Rest]) -> if Value == none; Value == undefined -> first(Rest); true -> Value end.

%% The server's own delay stamp is taken off: the flush of offline storage, or we, will write it anew.
take_own_stamp(Els, Host) ->
    lists:foldr(fun(El, {Kept, Stamp}) ->
                        case own_stamp(El, Host) of
                            none -> {[El | Kept], Stamp};
                            At -> {Kept, At}
                        end
                end, {[], none}, Els).

own_stamp(#xmlel{name = <<"delay">>} = El, Host) ->
    try xmpp:decode(El) of
        #delay{stamp = At, from = #jid{luser = <<>>, lserver = Host}} -> At;
        _ -> none
    catch
        _:{xmpp_codec, _} -> none
    end;
own_stamp(#delay{stamp = At, from = #jid{luser = <<>>, lserver = Host}}, Host) -> At;
own_stamp(_, _) -> none.

%% The available legacy resources of the highest priority, as RFC 6121 §8.5.2.1.1 would choose them. One that waits for a resumption
%% (XEP-0198) is none: ejabberd by default drops or bounces what waits in such a session.
send_to_resources(Host, User, Message, At) ->
    Present = [{Priority, Pid} || {_, Priority, Pid} <- mod_crossfade_attach_table:legacy(Host, User), is_integer(Priority), Priority >= 0],
    case Present of
        [] -> false;
        _ ->
            {Highest, _} = lists:max(Present),
            Stamped = misc:add_delay_info(Message, jid:make(Host), At),
            [ejabberd_c2s:send(Pid, Stamped) || {Priority, Pid} <- Present, Priority == Highest],
            true
    end.

store(Host, User, #message{from = From, to = To} = Message, At) ->
    case gen_mod:is_loaded(Host, mod_offline) of
        false -> {error, cancel, 'service-unavailable', <<"there is no offline storage here">>};
        true ->
            Offline = #offline_msg{us = {User, Host}, timestamp = rising(User, At), expire = never,
                                   from = From, to = To, packet = Message},
            case mod_crossfade_attach_offline:locked(Host, User, fun() -> mod_offline:store_offline_msg(Offline) end) of
                ok -> ok;
                Other ->
                    ?WARNING_MSG("Offline storage of ~ts@~ts did not take a message: ~p", [User, Host, Other]),
                    {error, wait, 'resource-constraint', <<"offline storage did not take the message">>}
            end
    end.

%% Offline storage sorts by time: what is given back with one stamp after the other keeps its order by rising microseconds. All of it is given
%% back by one process, that of the host, which remembers.
rising(User, At) ->
    Stamps = case get(crossfade_stamps) of
                 undefined -> mod_crossfade_attach_cache:new(?MAX_STAMPS);
                 Known -> Known
             end,
    Time = case mod_crossfade_attach_cache:get(User, Stamps) of
               {ok, {At, Used}} -> add_microsecond(Used);
               _ -> At
           end,
    put(crossfade_stamps, mod_crossfade_attach_cache:put(User, {At, Time}, Stamps)),
    Time.

add_microsecond({Mega, Secs, Micro}) when Micro < 999999 -> {Mega, Secs, Micro + 1};
add_microsecond({Mega, Secs, _}) when Secs < 999999 -> {Mega, Secs + 1, 0};
add_microsecond({Mega, _, _}) -> {Mega + 1, 0, 0}.

%% The same for a stanza on its way to an attached session; when nobody can take it, its sender is told.
reroute(Host, {User, El, At}, OnlyOffline, When) ->
    try give_back(Host, User, El, {When, At}, OnlyOffline) of
        ok -> ok;
        {error, Type, Condition, Text} -> bounce_el(El, error_of(Type, Condition, Text))
    catch
        Class:Reason:Stack ->
            ?ERROR_MSG("Giving back a stanza of ~ts@~ts failed: ~p", [User, Host, {Class, Reason, Stack}]),
            bounce_el(El, error_of(wait, 'internal-server-error', <<>>))
    end.

%% Items taken out of a link's queue, in their order. What another resource has had is not given to it again.
reroute_all(Host, Items, OnlyOffline) ->
    [reroute(Host, {User, El, At}, OnlyOffline, none) || {User, El, At, false} <- Items],
    ok.

bounce_el(El, Error) ->
    try xmpp:decode(El, ?NS_CLIENT, [ignore_els]) of
        #xmlel{} -> ok;
        Packet -> bounce(Packet, Error)
    catch
        _:{xmpp_codec, _} -> ok
    end.

bounce(Packet, Error) ->
    case {xmpp:get_from(Packet), xmpp:get_to(Packet)} of
        {#jid{}, #jid{}} -> ejabberd_router:route_error(Packet, Error);
        _ -> ok % from this server itself
    end.

error_of(Type, Condition, <<>>) -> #stanza_error{type = Type, reason = Condition};
error_of(Type, Condition, Text) -> #stanza_error{type = Type, reason = Condition, text = xmpp:mk_text(Text, <<"en">>)}.
