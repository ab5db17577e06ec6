%% Inside the tests' private ejabberd: runs the lines of Erlang that come on standard input, one by one, and prints `=> value` or
%% `!! fault` for each. When standard input ends, so does the server: none outlives its test.
-module(ejabberd_control).
-export([start/0, settle/0, is_pending/1]).

start() ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    io:format("=> ready~n"),
    spawn(fun loop/0).

loop() ->
    case io:get_line(standard_io, "") of
        Line when is_list(Line); is_binary(Line) ->
            try io:format("=> ~0tp~n", [eval(unicode:characters_to_list(Line))])
            catch Class:Reason -> io:format("!! ~0tp~n", [{Class, Reason}])
            end,
            loop();
        _ -> halt(1)
    end.

eval(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, []),
    Value.

%% Returns when every session and room has done what was in its mailbox, and what that has sent to others, too; and the module's process. What
%% they have stored is on the disk then: Mnesia's log waits in memory else, and a kill loses it.
settle() ->
    [begin
         [settle(Pid) || Pid <- ejabberd_sm:get_all_pids()],
         catch sys:get_status(ejabberd_router_multicast),
         [catch sys:get_status(Pid) || Host <- ejabberd_option:hosts(), {_, _, Pid} <- mod_muc:get_online_rooms(<<"conference.", Host/binary>>)]
     end || _ <- [1, 2, 3]],
    [catch sys:get_status(Pid) || Host <- ejabberd_option:hosts(), Pid <- [whereis(gen_mod:get_module_proc(Host, mod_crossfade_attach_server))], is_pid(Pid)],
    catch mnesia:sync_log(),
    ok.

settle(Pid) ->
    try ejabberd_c2s:call(Pid, get_presence, 5000) of _ -> ok
    catch exit:_ -> ok
    end.

%% Does this session wait for its resumption (XEP-0198)?
is_pending(Pid) ->
    case sys:get_state(Pid) of
        #{mgmt_state := pending} -> true;
        State when is_tuple(State) -> lists:any(fun(#{mgmt_state := pending}) -> true; (_) -> false end, tuple_to_list(State));
        _ -> false
    end.
