// Fills a ledger before its gateway starts, through the ledger's own store: users moved long ago, users that are only known, entries that wait.

import { createHash } from 'node:crypto';
import type { Call } from '../src/ledger/engine.ts';
import { openFile } from '../src/ledger/file.ts';
import { host, localOf, rootOf, type Side, stanzaOf, users } from './traffic.ts';

export interface Seed {
  /** Users whose messages are sent, in phase `mqtt`; 1,000 if absent. */
  moved?: number;
  /** Users in phase `legacy`. */
  known?: number;
  /** Users in phase `mqtt` without a device. */
  attached?: number;
  /** Entries for some of those, divided evenly, each user's in ten conversations. */
  waiting?: { users: number; entries: number };
}

const batch = 10_000;
const peers = 10;

/** Creates the ledger with what `seed` says. */
export function seedLedger(
  path: string,
  side: Side,
  { moved = users, known = 0, attached = 0, waiting }: Seed = {},
): void {
  const { store, close } = openFile(path);
  const write = (count: number, callOf: (at: number) => Call) => {
    for (let from = 0; from < count; from += batch)
      store.run(Array.from({ length: Math.min(batch, count - from) }, (_, step) => callOf(from + step)));
  };
  const changedAt = Date.now();
  const user = (jid: string, phase: string): Call => {
    return { name: 'putUser', args: { row: { jid, phase, version: 1, acks: false, changedAt } } };
  };
  try {
    write(moved, (at) => user(`${localOf(at)}@${host}`, 'mqtt'));
    write(known, (at) => user(`${numbered('known', at)}@${host}`, 'legacy'));
    write(attached, (at) => user(`${awayUser(at)}@${host}`, 'mqtt'));
    if (waiting) write(waiting.entries, (at) => entry(side, at, waiting.users, changedAt));
  } finally {
    close();
  }
}

function awayUser(at: number): string {
  return numbered('away', at);
}

function numbered(name: string, at: number): string {
  return `${name}${String(at).padStart(7, '0')}`;
}

/** As the gateway writes one for a message of the benchmark. */
function entry(side: Side, number: number, owners: number, at: number): Call {
  const local = awayUser(number % owners);
  const user = `${local}@${host}`;
  const peer = `friend${Math.floor(number / owners) % peers}@${host}`;
  const id = `waits-${number}`;
  const original = stanzaOf({ tag: 'waits', at: number, to: `${user}/mqtt` });
  const payload = JSON.stringify({ key: `k${number}`, at: new Date(at), direction: 'received', id, body: original });
  const contentKey = createHash('sha256').update(original).digest('base64url');
  const draft = { lane: 'toMqtt', user, peer, channel: 'message', id, custody: 'sole', at, payload, original } as const;
  const topic = `${rootOf(side)}/${local}/in/message`;
  return {
    name: 'accept',
    args: { seq: number + 1, at, draft: { ...draft, topic, contentKey, mapping: 'rfc6121-message' } },
  };
}
