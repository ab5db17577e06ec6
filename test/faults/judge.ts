// Was a promise broken? Judged from outside alone: what everybody sent and saw, what the server archived, what the gateway acknowledged. Pure.

/** One message as one place saw it, in the order in which it saw them. */
export interface Sight {
  body: string;
  /** At apps: the ledger's key. */
  key?: string;
  /**
   * Comes late, so its place does not count. At apps: from the archive, or seen by somebody else, too (DESIGN §4). At contacts: the app
   * has said it more than once, since no in/ack came.
   */
  copy?: boolean;
  /**
   * What was seen in one life may be seen again in a later one. At contacts: how often the server had been killed by then, for what it
   * had handed out and not written down. At apps: how often the user had been moved back by then, for what no app had acknowledged.
   */
  life?: number;
}

/** One direction of one conversation; bodies are in the order in which they were said, and no two are alike. */
export interface Heard {
  name: string;
  said: string[];
  /** These must have come: archived or accepted for an app, acknowledged by `in/ack` for a contact. */
  owed: string[];
  seen: Sight[];
  /** The receiver's own word that it has them elsewhere: a contact's archive. */
  elsewhere?: string[];
}

export interface Verdict {
  said: number;
  owed: number;
  seen: number;
  lost: string[];
  repeated: string[];
  disordered: string[];
}

export function judge(conversations: Heard[]): Verdict {
  const verdict: Verdict = { said: 0, owed: 0, seen: 0, lost: [], repeated: [], disordered: [] };
  for (const { name, said, owed, seen, elsewhere = [] } of conversations) {
    const first = firstSights(seen);
    verdict.said += said.length;
    verdict.owed += owed.length;
    verdict.seen += first.size;
    const has = (body: string) => first.has(body) || elsewhere.includes(body);
    verdict.lost.push(...owed.filter((body) => !has(body)).map((body) => `${name}: ${body}`));
    verdict.repeated.push(...repeats(seen).map((body) => `${name}: ${body}`));
    verdict.disordered.push(...outOfOrder(said, [...first.values()]).map((body) => `${name}: ${body}`));
  }
  return verdict;
}

export function isKept({ lost, repeated, disordered }: Verdict): boolean {
  return lost.length + repeated.length + disordered.length === 0;
}

function firstSights(seen: Sight[]): Map<string, Sight> {
  const first = new Map<string, Sight>();
  for (const sight of seen) if (!first.has(sight.body)) first.set(sight.body, sight);
  return first;
}

/** An app that honours the key shows each key once; whatever else comes again is a repeat, but for the first time in a later life. */
function repeats(seen: Sight[]): string[] {
  const keys = new Set<string>();
  const lives = new Map<string, number>();
  const again: string[] = [];
  for (const { body, key, life = 0 } of seen) {
    if (key !== undefined && keys.has(key)) continue;
    if (key !== undefined) keys.add(key);
    const before = lives.get(body);
    if (before !== undefined && before >= life) again.push(body);
    lives.set(body, life);
  }
  return again;
}

/** Those that came before one that was said earlier; what is brought late does not count. */
function outOfOrder(said: string[], first: Sight[]): string[] {
  const place = new Map(said.map((body, at) => [body, at]));
  const wrong: string[] = [];
  let highest = -1;
  for (const { body, copy } of first) {
    if (copy) continue;
    const at = place.get(body) ?? -1;
    if (at < highest) wrong.push(body);
    else highest = at;
  }
  return wrong;
}
