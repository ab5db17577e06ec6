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
  fault: /\terror\t|traceback/i,
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
