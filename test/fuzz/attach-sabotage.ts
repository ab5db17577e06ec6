// Server modules broken on purpose, each in one place: what the judge of the hostile gateway must find.

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Sabotage {
  /** The module … */
  what: string;
  file?: string;
  from: string;
  to: string;
  /** What the judge says. */
  found: RegExp;
  /** Plays of these commands come to it soon. */
  only: string[];
}

export const sabotages: Sabotage[] = [
  {
    what: 'believes every acknowledgement',
    from: 'return h and h <= link.n and h or false;',
    to: 'return h;',
    found: /the server failed on <iq/,
    only: ['a', 'attach'],
  },
  {
    what: 'answers no repeated key',
    from: 'if key and link.keys:get(key) then return true; end',
    to: 'if key and link.keys:get(key) then return; end',
    found: /no answer to <iq/,
    only: ['attach', 'return'],
  },
  {
    what: 'serves every component',
    from: 'if origin.type ~= "component" or not components:contains(origin.host) then\n\t\t\trespond',
    to: 'if false then\n\t\t\trespond',
    found: /a stranger was served/,
    only: ['hello'],
  },
  {
    what: 'leaves out a number',
    file: 'link.lib.lua',
    from: 'local n = self.n + 1;',
    to: 'local n = self.n + 1; if n % 3 == 0 then self.queue[n] = { text = "" }; n = n + 1; end',
    found: /number \d+ follows \d+/,
    only: ['attach', 'send'],
  },
  {
    what: 'ends the links of all when one begins anew',
    from: 'if link then end_link(link); end',
    to: 'if link then for _, any in pairs(links) do end_link(any); end end',
    found: /the other gateway/,
    only: ['hello'],
  },
  {
    what: 'knows one lock for all gateways',
    file: 'lock.lib.lua',
    from: 'locks[link] = nil;',
    to: 'locked[username] = nil; do return; end',
    found: /locked by the other gateway is/,
    only: ['lock', 'unlock'],
  },
];

/** A folder with the module as it is, but for these places; for the `moduleDir` of a Prosody. The caller removes it. */
export async function brokenModule({
  file = 'mod_crossfade_attach.lua',
  from,
  to,
}: Pick<Sabotage, 'file' | 'from' | 'to'>) {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-sabotage-'));
  await cp(fileURLToPath(new URL('../../server-modules/prosody', import.meta.url)), dir, { recursive: true });
  const path = join(dir, 'mod_crossfade_attach', file);
  const text = await readFile(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} does not say ${from}`);
  await writeFile(
    path,
    text.replaceAll(from, () => to),
  );
  return { dir, remove: () => rm(dir, { recursive: true }) };
}
