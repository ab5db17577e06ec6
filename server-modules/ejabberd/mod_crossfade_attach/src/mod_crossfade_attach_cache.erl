%% A map that keeps the last so many keys and forgets the oldest.
-module(mod_crossfade_attach_cache).
-export([new/1, get/2, put/3, remove/2, to_list/1]).

%% A key that was put again or removed leaves a stale place in the order, which goes when its turn comes.
-record(cache, {max, puts = 0, places = 0, map = #{}, order = queue:new()}).

new(Max) -> #cache{max = Max}.

get(Key, #cache{map = Map}) ->
    case Map of
        #{Key := {_, Value}} -> {ok, Value};
        _ -> none
    end.

put(Key, Value, #cache{puts = At, places = Places, map = Map, order = Order} = Cache) ->
    trim(Cache#cache{puts = At + 1, places = Places + 1, map = Map#{Key => {At, Value}}, order = queue:in({At, Key}, Order)}).

remove(Key, #cache{map = Map} = Cache) -> Cache#cache{map = maps:remove(Key, Map)}.

to_list(#cache{map = Map}) -> [{Key, Value} || {Key, {_, Value}} <- maps:to_list(Map)].

trim(#cache{max = Max, places = Places, map = Map} = Cache) when Places =< 2 * Max, map_size(Map) =< Max -> Cache;
trim(#cache{places = Places, map = Map, order = Order} = Cache) ->
    {{value, {At, Key}}, Rest} = queue:out(Order),
    Map1 = case Map of
               #{Key := {At, _}} -> maps:remove(Key, Map);
               _ -> Map
           end,
    trim(Cache#cache{places = Places - 1, map = Map1, order = Rest}).
