// Server modules broken on purpose, each in one place: what the judge of the hostile gateway must find.

import type { Breach, ServerKind } from '../harness/legacy-server.ts';

export interface Sabotage {
  /** The module … */
  what: string;
  /** Where it is broken, in the module for each server; absent where it has nothing that could be broken so. */
  in: Partial<Record<ServerKind['name'], Breach>>;
  /** What the judge says. */
  found: RegExp;
  /** Plays of these commands come to it soon. */
  only: string[];
}

const lua = 'mod_crossfade_attach.lua';
const commands = 'mod_crossfade_attach_commands.erl';

/** For the gateway of this release. */
export const ofAnotherVersion: Record<ServerKind['name'], Breach> = {
  Prosody: { file: lua, from: 'local version = "1";', to: 'local version = "2";' },
  ejabberd: { file: commands, from: '?VERSION', to: '<<"2">>' },
};

export const sabotages: Sabotage[] = [
  {
    what: 'believes every acknowledgement',
    in: {
      Prosody: { file: lua, from: 'return h and h <= link.n and h or false;', to: 'return h;' },
      ejabberd: { file: commands, from: 'H -> H =< ?LINK:n(Link) andalso H end', to: 'H -> H end' },
    },
    found: /the server failed on <iq/,
    only: ['a', 'attach'],
  },
  {
    what: 'answers no repeated key',
    in: {
      Prosody: {
        file: lua,
        from: 'if key and link.keys:get(key) then return true; end',
        to: 'if key and link.keys:get(key) then return; end',
      },
      ejabberd: { file: commands, from: 'true -> respond(Connection, Iq, ok, State);', to: 'true -> State;' },
    },
    found: /no answer to <iq/,
    only: ['attach', 'return'],
  },
  {
    what: 'serves every component',
    in: {
      Prosody: {
        file: lua,
        from: 'if origin.type ~= "component" or not components:contains(origin.host) then\n\t\t\trespond',
        to: 'if false then\n\t\t\trespond',
      },
      ejabberd: { file: 'mod_crossfade_attach.erl', from: 'Component when From == Component ->', to: '_ ->' },
    },
    found: /a stranger was served/,
    only: ['hello'],
  },
  {
    what: 'leaves out a number',
    in: {
      Prosody: {
        file: 'link.lib.lua',
        from: 'local n = self.n + 1;',
        to: 'local n = self.n + 1; if n % 3 == 0 then self.queue[n] = { text = "" }; n = n + 1; end',
      },
      ejabberd: {
        file: 'mod_crossfade_attach_link.erl',
        from: '{<<"n">>, integer_to_binary(N)}',
        to: '{<<"n">>, integer_to_binary(N + N div 3)}',
      },
    },
    found: /number \d+ follows \d+/,
    only: ['attach', 'send'],
  },
  {
    what: 'ends the links of all when one begins anew',
    in: {
      Prosody: {
        file: lua,
        from: 'if link then end_link(link); end',
        to: 'if link then for _, any in pairs(links) do end_link(any); end end',
      },
    },
    found: /do not hear each other/,
    only: ['hello'],
  },
  {
    what: 'knows one lock for all gateways',
    in: {
      Prosody: { file: 'lock.lib.lua', from: 'locks[link] = nil;', to: 'locked[username] = nil; do return; end' },
    },
    found: /locked by the other gateway is/,
    only: ['lock', 'unlock'],
  },
  {
    what: 'ends the clients of all when one user is locked out',
    in: {
      ejabberd: {
        file: 'mod_crossfade_attach_lock.erl',
        from: '{_, Pid} <- ejabberd_sm:get_session_sids(User, Host)',
        to: '{_, Pid} <- [{User, Any} || Any <- ejabberd_sm:get_all_pids()]',
      },
    },
    found: /do not hear each other/,
    only: ['lock'],
  },
];
