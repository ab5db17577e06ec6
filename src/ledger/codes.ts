// How states, lanes, custody and the words of others stand in the file, and how a key is made from a number.

import type { Custody, Lane, State } from './ledger.ts';

export const lanes: readonly Lane[] = ['toMqtt', 'toXmpp'];
export const custodies: readonly Custody[] = ['sole', 'copy'];

/** Ordered so that a comparison tells the group: to send ≤ 1, waiting ≤ 2, open ≤ 4, ended ≥ 5 (sql/0001 relies on it). */
export const states: readonly State[] = [
  'accepted',
  'sent',
  'acked',
  'parked',
  'dead',
  'settled',
  'returned',
  'discarded',
];

export const toMqtt = 0;
export const toXmpp = 1;
export const sole = 0;
export const copy = 1;
export const accepted = 0;
export const sent = 1;
export const acked = 2;
export const parked = 3;
export const dead = 4;
export const settled = 5;
export const returned = 6;
export const discarded = 7;

const maxWords = 1_024;

/** An id or a text that others have chosen, as it stands in an entry's line, which outlives the body by days: its beginning. */
export function words(text: string): string {
  return text.length > maxWords ? text.slice(0, maxWords) : text;
}

/**
 * What the keys of a file begin with. A ledger that was restored has a space of its own for what comes since; what is older
 * keeps the keys under which apps and server know it.
 */
export interface KeySpace {
  name: string;
  /** Numbers up to this one belong to the space before. */
  after: number;
  before?: KeySpace;
}

/** ≤ 64 ASCII characters, never the same twice in one file, and across files and their lives by chance of 2^-64 only. */
export function keyOf(space: KeySpace, seq: number): string {
  return seq > space.after || !space.before ? `${space.name}-${seq.toString(36)}` : keyOf(space.before, seq);
}

/**
 * For `<return>`: one for each time the stanza came to us, since a key stands for one act. `link` means the epoch, too: what came in an
 * earlier one may be handed back in this, and come again under the same number.
 */
export function returnKeyOf(space: KeySpace, seq: number, { link, n }: Place): string {
  return n === null ? keyOf(space, seq) : `${keyOf(space, seq)}.${link}.${n}`;
}

/** Where an entry came last; both null for what came by no link. */
export interface Place {
  link: number | null;
  n: number | null;
}

/** The number in a key; undefined for whatever this file has not made. */
export function seqOf(space: KeySpace, key: string): number | undefined {
  const dash = key.lastIndexOf('-');
  const seq = Number.parseInt(key.slice(dash + 1), 36);
  return Number.isSafeInteger(seq) && keyOf(space, seq) === key ? seq : undefined;
}
