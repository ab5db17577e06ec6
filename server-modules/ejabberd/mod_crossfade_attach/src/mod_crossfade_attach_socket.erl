%% What an attached session has in place of a socket, as xmpp_socket wants it: stanzas go to the server process of this module.
-module(mod_crossfade_attach_socket).
-export([new/2, send_xml/2, get_owner/1, get_transport/1, change_shaper/2, controlling_process/2, close/1, sockname/1, peername/1,
         setopts/2, reset_stream/1]).
-include("xmpp.hrl").

-record(attached_socket, {server, host, user}).

%% Made by the server process; when that ends, so do its sessions.
new(Host, User) -> #attached_socket{server = self(), host = Host, user = User}.

send_xml(#attached_socket{host = Host} = Socket, {xmlstreamelement, #xmlel{name = Name} = El}) ->
    case Name of
        <<"stream:error">> -> tell(Socket, {reason, self(), reason(El)});
        _ when Name == <<"message">>; Name == <<"presence">>; Name == <<"iq">> ->
            case is_ping(El, Host) of
                true -> answer_ping(El);
                false -> out(El, Socket)
            end;
        _ -> ok % nonzas have no place on a link
    end;
send_xml(_, _) -> ok.

out(El, #attached_socket{user = User} = Socket) ->
    #xmlel{attrs = Attrs} = El0 = without_lost_id(El),
    El1 = case lists:keymember(<<"xmlns">>, 1, Attrs) of
              true -> El0;
              false -> El0#xmlel{attrs = [{<<"xmlns">>, ?NS_CLIENT} | Attrs]}
          end,
    tell(Socket, {out, self(), User, El1, mod_crossfade_attach_seen:take()}).

%% ejabberd keeps a contact's request until it is answered, but not its id: told to the next session it would look like another one.
without_lost_id(#xmlel{name = <<"presence">>, attrs = Attrs} = El) ->
    case lists:keyfind(<<"type">>, 1, Attrs) of
        {_, <<"subscribe">>} -> El#xmlel{attrs = lists:keydelete(<<"id">>, 1, Attrs)};
        _ -> El
    end;
without_lost_id(El) -> El.

tell(#attached_socket{server = Server}, Message) ->
    Server ! Message,
    ok.

reason(#xmlel{children = Children}) ->
    case [Name || #xmlel{name = Name} <- Children, Name /= <<"text">>] of
        [Name | _] -> Name;
        [] -> <<"closed">>
    end.

%% mod_ping asks whether a socket is alive, and may end those that do not answer: here there is none, and the gateway may be away.
is_ping(#xmlel{name = <<"iq">>} = El, Host) ->
    fxml:get_tag_attr_s(<<"type">>, El) == <<"get">> andalso fxml:get_tag_attr_s(<<"from">>, El) == Host
        andalso fxml:get_subtag_with_xmlns(El, <<"ping">>, ?NS_PING) /= false;
is_ping(_, _) -> false.

answer_ping(El) ->
    Attrs = [{<<"type">>, <<"result">>}, {<<"id">>, fxml:get_tag_attr_s(<<"id">>, El)}, {<<"to">>, fxml:get_tag_attr_s(<<"from">>, El)}],
    self() ! {'$gen_event', {xmlstreamelement, #xmlel{name = <<"iq">>, attrs = Attrs}}},
    ok.

get_owner(#attached_socket{server = Server}) -> Server.
get_transport(_) -> websocket.
change_shaper(_, _) -> ok.
controlling_process(_, _) -> ok.
close(_) -> ok.
%% No address that could be banned for somebody's failed logins.
sockname(_) -> {ok, {{0, 0, 0, 0}, 0}}.
peername(_) -> {ok, {{0, 0, 0, 0}, 0}}.
setopts(_, _) -> ok.
reset_stream(Socket) -> Socket.
