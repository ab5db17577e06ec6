// Who and what is on the stage, and what the acts ask of it.

import type { LegacyClient } from '../test/harness/legacy-client.ts';
import { legacyClient } from '../test/harness/legacy-client.ts';
import { type ContactSeen, contactSeen } from './people.ts';
import { Phone } from './phone.ts';
import type { Screen } from './screen.ts';
import type { Talk } from './talk.ts';
import type { World } from './world.ts';

export const alice = 'alice@example.com';
export const bob = 'bob@example.com';

export interface Show {
  world: World;
  screen: Screen;
  talk: Talk;
}

export interface Cast extends Show {
  alice: LegacyClient;
  /** Bob's laptop. */
  bob: LegacyClient;
  phone: Phone;
}

export function aliceAtHerDesk(show: Show): Promise<LegacyClient> {
  return logIn(show, 'alice', 'desk', 'Alice');
}

export function bobAtHisLaptop(show: Show): Promise<LegacyClient> {
  return logIn(show, 'bob', 'laptop', "Bob's laptop");
}

function logIn({ world, talk }: Show, user: string, resource: string, who: string): Promise<LegacyClient> {
  const { c2sPort: port } = world.prosody;
  return legacyClient({ port, user, resource, password: world.passwords[user]!, onStanza: talk.heardBy(who) });
}

/** `fresh`: without what the broker has kept for it. */
export function bobsPhone({ world }: Show, fresh = false): Promise<Phone> {
  const { url, protocolVersion } = world.broker;
  return Phone.open({ url, protocolVersion, user: 'bob', password: world.passwords.bob!, fresh });
}

/** Runs a command of the operator, and shows it; resolves to how long it took, in ms. */
export async function operate({ world, screen }: Show, args: string[]): Promise<number> {
  screen.command(`crossfade ${args.map((arg) => (arg.includes(' ') ? `"${arg}"` : arg)).join(' ')}`);
  const { code, out, durationMs } = await world.crossfade(args);
  screen.output(out);
  if (code !== 0) screen.count({ what: 'exit code of the command', actual: code, expected: 0 });
  return durationMs;
}

export type LaneCounts = Record<string, number>;

/** Entries by lane and state. */
export async function ledgerCounts({ world }: Show): Promise<{ toMqtt: LaneCounts; toXmpp: LaneCounts }> {
  return JSON.parse((await world.crossfade(['ledger', 'counts', '--json'])).out);
}

/** All entries ever accepted on a lane: each is in exactly one state. */
export function sum(counts: LaneCounts): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Bob in Alice's contact list. */
export function bobSeen(cast: Cast): ContactSeen {
  return contactSeen(cast.alice.inbox.all, bob);
}
