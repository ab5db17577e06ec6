// Our addresses beside Prosody's: what we make of one is to the server the same address, and what comes from the server stays as it is.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { fullOf, type Jid, parseJid } from '../../src/xmpp/jid.ts';
import type { Verdict } from './beside-expat.ts';
import { junk, mistaken } from './generators.ts';

/** Its parts; null: none; undefined: with code points that stringprep does not know, which it leaves as they are. */
type Theirs = Jid | null | undefined;

const odd = fc.constantFrom(
  ...'aBzß.-ςσΣÄüéıİﬃǅΩк',
  'u\u0308',
  '\u0308',
  ...'❤☃אبｂ',
  '\u00ad',
  '\u200c',
  '\u200d',
  '\u3000',
  '가',
  'が',
);
const part = fc.string({
  unit: fc.oneof({ weight: 3, arbitrary: odd }, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })),
  minLength: 1,
  maxLength: 4,
});
const addresses = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(part, fc.oneof(part, fc.constant('Example.com')), part).map(([l, d, r]) => `${l}@${d}/${r}`),
  },
  {
    weight: 2,
    arbitrary: mistaken([
      'alice@example.com/phone',
      'ALICE@EXAMPLE.com',
      'ß@straße.de/ﬃ',
      'a\\20b@gw.example.com',
      'д@пример.example/Ω',
      'bücher@bücher.example/ü',
    ]),
  },
  { weight: 1, arbitrary: junk },
);

/** A-labels and other dots (IDNA), Hangul fillers, and five characters whose decomposition Unicode has mended (Corrigendum 4). */
const leftOut = /xn--|[\u3002\uff0e\uff61\u115f\u1160\u3164\uffa0\u{2f868}\u{2f874}\u{2f91f}\u{2f95f}\u{2f9bf}]/iu;

/** So many addresses from this seed, all in one process of Lua's. `ours` stands in for our preparation where a test breaks it. */
export function besideProsody(seed: number, inputs: number, ours = parseJid): Verdict {
  const texts = fc.sample(addresses, { seed, numRuns: inputs }).map((text) => Buffer.from(text).toString());
  const mine = texts.map((text) => ours(text));
  const theirs = prosodyPrepares(texts);
  const again = prosodyPrepares(mine.map((jid, at) => (jid ? fullOf(jid) : texts[at]!)));
  let same = 0;
  for (const [at, text] of texts.entries()) {
    const [own, server] = [mine[at]!, theirs[at]];
    // docs/decisions/jid-preparation.md: newer code points, and what a server refuses that we let pass.
    if (!server || again[at] === undefined || leftOut.test(text)) continue;
    const told = (what: string) => ({ inputs: at + 1, same, fault: `${JSON.stringify(text)} ${what}` });
    if (own && textOf(again[at]) !== textOf(server))
      return told(`is ${fullOf(own)} to us, which is ${textOf(again[at])} to Prosody, and not ${textOf(server)}`);
    const kept = ours(fullOf(server));
    if (kept === null ? !isRestricted(server) : !isSame(kept, server))
      return told(`is ${fullOf(server)} to Prosody, which is ${kept && fullOf(kept)} to us`);
    if (own && kept) same += 1;
  }
  return { inputs, same, fault: null };
}

/** Without a final dot of the domain, which we take away. */
function textOf(jid: Jid | null | undefined): string | null {
  return jid ? fullOf({ ...jid, domain: jid.domain.replace(/\.$/, '') }) : null;
}

/** But for capitals newer than stringprep's small letters (Georgian, Cherokee), which it leaves. */
function isSame(kept: Jid, server: Jid): boolean {
  const { local, domain } = server;
  return textOf(kept) === textOf(server) || (/\p{Lu}/u.test(local + domain) && kept.resource === server.resource);
}

/** What RFC 7622 forbids and stringprep does not: symbols and Old Hangul in a local part, and domains that no DNS knows, or mixed in direction. */
function isRestricted({ local, domain }: Jid): boolean {
  return (
    /[^\p{Ll}\p{Lo}\p{Lm}\p{Mn}\p{Mc}\p{Nd}\x21-\x7e]|[\u0640\u1100-\u11ff\u302e\u302f\u3031-\u3035\u303b]/u.test(
      local,
    ) ||
    !/^(?:[\p{L}\p{N}_-][\p{L}\p{Mn}\p{Mc}\p{N}_-]*\.?)+$/u.test(domain) ||
    /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(domain)
  );
}

function prosodyPrepares(texts: string[]): Theirs[] {
  const program = join(import.meta.dirname, 'prosody-jids.lua');
  const input = texts.map((text) => `${Buffer.from(text).toString('hex')}\n`).join('');
  const lines = execFileSync('lua5.4', [program], { input, encoding: 'utf8', maxBuffer: 2 ** 28 }).split('\n');
  return texts.map((_, at): Theirs => {
    const line = lines[at]!;
    if (line === '?') return undefined;
    if (line === '-') return null;
    const [local, domain, resource] = line.split(' ').map((hex) => Buffer.from(hex, 'hex').toString());
    return { local: local!, domain: domain!, resource: resource! };
  });
}
