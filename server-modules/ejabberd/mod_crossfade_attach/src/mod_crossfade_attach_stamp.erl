%% Takes off what a client or another server says in the name of a host of ours: a delay stamp (XEP-0203). ejabberd lets it pass, and writes no
%% stamp of its own beside it, so that a gateway would take the message for as old as its sender likes.
-module(mod_crossfade_attach_stamp).
-export([hook/1, unhook/1, said/1]).
-include("xmpp.hrl").

%% Before the archive and carbons.
hook(Host) -> [ejabberd_hooks:add(Hook, Host, ?MODULE, said, 5) || Hook <- hooks()].
unhook(Host) -> [ejabberd_hooks:delete(Hook, Host, ?MODULE, said, 5) || Hook <- hooks()].

hooks() -> [user_send_packet, s2s_receive_packet].

said({#message{} = Message, State} = Acc) ->
    Els = xmpp:get_els(Message),
    case lists:filter(fun(El) -> not is_ours(El) end, Els) of
        Els -> Acc;
        Others -> {xmpp:set_els(Message, Others), State}
    end;
said(Acc) -> Acc.

is_ours(#xmlel{name = <<"delay">>} = El) ->
    fxml:get_tag_attr_s(<<"xmlns">>, El) == ?NS_DELAY andalso
        try jid:decode(fxml:get_tag_attr_s(<<"from">>, El)) of
            From -> is_host(From)
        catch
            _:{bad_jid, _} -> false
        end;
is_ours(#delay{from = From}) -> is_host(From);
is_ours(_) -> false.

is_host(#jid{luser = <<>>, lserver = Host}) -> lists:member(Host, ejabberd_option:hosts());
is_host(_) -> false.
