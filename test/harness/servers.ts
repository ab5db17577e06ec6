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
};

export const ejabberd: ServerKind = {
  name: 'ejabberd',
  start: startEjabberd,
  carbonsWithoutPresence: false,
  foreignFrom: 'ends the stream',
  keepsOrder: false,
  archivedQuickly: 300, // Mnesia looks through all of an account's for each new one
  unknownMark: undefined, // its ids are times, and it answers from that time on; it refuses what is no time
};

export const servers: readonly ServerKind[] = [prosody, ejabberd];
