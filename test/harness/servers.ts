// The table of legacy servers: the protocol suite and the most important plays run on each.

import { startEjabberd } from './ejabberd.ts';
import type { ServerKind } from './legacy-server.ts';
import { startProsody } from './prosody.ts';

export const prosody: ServerKind = {
  name: 'Prosody',
  start: startProsody,
  carbonsWithoutPresence: true,
  foreignFrom: 'replaced',
  keepsOrder: true,
  archivedQuickly: 1_000,
  unknownMark: 'item-not-found',
  severalGateways: true,
  dropsAtEnd: false,
  // But for what 0.12 says of bytes that came behind the end of a component's connection, which concerns nobody.
  fault:
    /\terror\t(?!Error calling onincoming: \S+mod_component\.lua:\d+: attempt to index a nil value \(local 'session'\))/,
  keepsRequestIds: true,
};

export const ejabberd: ServerKind = {
  name: 'ejabberd',
  start: startEjabberd,
  carbonsWithoutPresence: false,
  foreignFrom: 'ends the stream',
  keepsOrder: false,
  archivedQuickly: 300, // Mnesia looks through all of an account's for each new one
  unknownMark: undefined, // its ids are times, and it answers from that time on; it refuses what is no time
  severalGateways: false, // its module is set to one component for each host
  dropsAtEnd: true, // what is in the mailbox of the connection's process, and comes there until its route is gone
  fault: /\[(?:error|critical|emergency)\]/,
  keepsRequestIds: false, // its roster has no place for them; so that both tellings are alike, the module leaves the first one's out
};

export const servers: readonly ServerKind[] = [prosody, ejabberd];
