#!/bin/sh
# Compiles the module with plain erlc: sh compile.sh [FOLDER], by default ./ebin. Needs erlc and ejabberd as they are installed here;
# for an ejabberd elsewhere name the folder that holds its ebin/ and include/ (and those of its libraries) in ERL_LIBS.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/ebin}
if [ -z "${ERL_LIBS:-}" ]; then # Debian keeps ejabberd outside Erlang's own folder
  for folder in /usr/lib/*-linux-gnu /opt/ejabberd*/lib; do
    if ls -d "$folder"/ejabberd-*/ebin >/dev/null 2>&1; then ERL_LIBS=$folder; fi
  done
  export ERL_LIBS="${ERL_LIBS:-}"
fi

# The folder of each library that has headers; Debian gives ProcessOne's a prefix.
find_headers='
  Lib = fun(Names) ->
          case [filename:dirname(filename:dirname(Beam)) || {Name, App} <- Names, Beam <- [code:which(Name)], is_list(Beam), is_atom(App)] of
            [Folder | _] -> Folder;
            [] -> io:format(standard_error, "compile.sh: ~p is not installed here (ERL_LIBS names the folder of its libraries)~n", [element(2, hd(Names))]), halt(1)
          end
        end,
  [io:format("~ts~n", [Lib([One])]) || One <- [{ejabberd, ejabberd}, {xmpp, xmpp}, {fxml, fast_xml}]],
  halt(0).'
headers=$(erl -noshell -noinput -eval "$find_headers")

set --
beams=
for folder in $headers; do
  set -- "$@" -I "$folder/include"
  [ -n "$beams" ] || beams=$folder/ebin
done
mkdir -p "$out"
erlc -Wall +debug_info -pa "$beams" "$@" -o "$out" "$here"/src/*.erl
