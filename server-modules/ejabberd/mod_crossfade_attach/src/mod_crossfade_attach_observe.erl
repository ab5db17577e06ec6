%% Copies of what a user sends and receives, for the gateway, without any session: nobody can tell. docs/attach-protocol.md, "observe".
-module(mod_crossfade_attach_observe).
-export([hook/1, unhook/1, sent/1, received/1]).
-include("logger.hrl").
-include("xmpp.hrl").

%% Behind archive (88) and carbons (89) of what is sent, behind all that changes or drops what is received.
hook(Host) ->
    ejabberd_hooks:add(user_send_packet, Host, ?MODULE, sent, 95),
    ejabberd_hooks:add(sm_receive_packet, Host, ?MODULE, received, 95).

unhook(Host) ->
    ejabberd_hooks:delete(user_send_packet, Host, ?MODULE, sent, 95),
    ejabberd_hooks:delete(sm_receive_packet, Host, ?MODULE, received, 95).

sent({#message{type = Type, meta = Meta} = Message, #{jid := #jid{luser = User, lserver = Host}} = State} = Acc)
  when Type /= groupchat, not is_map_key(carbon_copy, Meta), not is_map_key(crossfade, State) ->
    copy(Host, User, <<"out">>, none, Message),
    Acc;
sent(Acc) -> Acc.

received(#message{type = Type, to = #jid{luser = User, lserver = Host} = To, meta = Meta} = Message)
  when Type /= groupchat, User /= <<>>, not is_map_key(carbon_copy, Meta), not is_map_key(from_offline, Meta) ->
    case mod_crossfade_attach_table:is_observed(Host, User)
         andalso allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [To, Message, in]) of
        true -> copy(Host, User, <<"in">>, archive_id(Host, Message), Message);
        false -> ok
    end,
    Message;
received(Packet) -> Packet.

copy(Host, User, Dir, Sid, Message) ->
    case mod_crossfade_attach_table:is_observed(Host, User) andalso not is_attached(Host, User) of
        false -> ok;
        true ->
            try mod_crossfade_attach_server:tell(Host, {copy, User, Dir, Sid, xmpp:encode(Message, ?NS_CLIENT)})
            catch Class:Reason -> ?ERROR_MSG("A copy for the observer of ~ts@~ts failed: ~p", [User, Host, {Class, Reason}])
            end
    end.

%% Its own session gets what goes to it or is carbon-copied: the gateway is not told twice.
is_attached(Host, User) ->
    lists:any(fun({Resource, Pid}) ->
                      case ejabberd_sm:get_user_info(User, Host, Resource) of
                          offline -> false;
                          Info ->
                              proplists:get_value(pid, Info) == Pid andalso is_integer(proplists:get_value(priority, Info))
                                  andalso proplists:is_defined(carboncopy, Info)
                      end
              end, [One || {_, Pid} = One <- mod_crossfade_attach_table:attached(Host, User), not mod_crossfade_attach_table:is_leaving(Host, Pid)]).

%% mod_mam names what comes in before it decides, at each receiver, whether to keep it. This repeats the parts of that decision
%% which do not depend on the user's own preferences (XEP-0313 §5); those may leave out what has a name here.
archive_id(Host, #message{meta = #{stanza_id := Id}} = Message) ->
    case gen_mod:is_loaded(Host, mod_mam) andalso is_kept(Message) of
        true -> integer_to_binary(Id);
        false -> none
    end;
archive_id(_, _) -> none.

is_kept(#message{type = Type}) when Type == error; Type == groupchat -> false;
is_kept(#message{type = Type, body = Body, subject = Subject} = Message) ->
    case [Hint || Hint <- [store, 'no-store', 'no-storage', 'no-permanent-store', 'no-permanent-storage'],
                  xmpp:has_subtag(Message, #hint{type = Hint})] of
        [store | _] -> true;
        [_ | _] -> false;
        [] when Type == headline -> false;
        [] -> xmpp:get_text(Body) /= <<>> orelse xmpp:get_text(Subject) /= <<>>
    end.
