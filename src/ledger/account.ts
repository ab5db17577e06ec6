// The account of the ledger: what a check of it finds, and what an operator can do about each fault. Pure.

import type { Counts, Lane, State } from './ledger.ts';

/** One piece of the check; `next`: where the following piece begins. */
export type Piece = { next: number } | { account: Account };

/** A lane of the whole ledger: accepted = rows + forgotten, and both the same by state. */
export interface LaneAccount {
  /** Counted as it was accepted; of a part of the ledger (one user, a time): the rows that were looked at. */
  accepted: number;
  /** As it is counted beside the entries, the forgotten history included; of a part: as the rows say. */
  states: Record<State, number>;
  /** Ended, counted, and gone with the history. */
  forgotten: number;
}

export interface Account {
  lanes: Record<Lane, LaneAccount>;
  /** Entries that were looked at, in the file itself. */
  checked: number;
  faults: Fault[];
  /** There are more kinds of faults than are listed. */
  more: boolean;
}

export const faultKinds = [
  'sum',
  'count',
  'no-body',
  'body-kept',
  'body-alone',
  'unreadable',
  'no-end',
  'number',
  'memory',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  kind: FaultKind;
  /** How many entries, or by how many a count is wrong. */
  count: number;
  lane?: Lane;
  state?: State;
  user?: string;
  /** Some of the entries, at most five. */
  keys?: string[];
  /** What is counted, and what is there. */
  counted?: number;
  found?: number;
}

const restore = 'restore the last backup (crossfade ledger restore)';

/** What it means, and what to do. */
const words: Record<FaultKind, (fault: Fault) => string> = {
  sum: ({ counted, found }) =>
    `${counted} were accepted, but the states add up to ${found}. Entries went without an end, or the file was changed by hand: compare \`ledger counts\` with the last backup, and ${restore} if messages are missing.`,
  count: ({ counted, found }) =>
    `${counted} are counted, but ${found} are there (forgotten history included). Rows are missing or were changed by hand: ${restore}; what was archived since then is caught up.`,
  'no-body': () =>
    `have no body any more and can never be sent; they hold up their conversation. Their senders must send again: end them with crossfade ledger discard KEY --reason "body lost", or ${restore}.`,
  'body-kept': () =>
    'have ended, and their body is still there. Nothing is lost; it goes when the history is forgotten. Please report it.',
  'body-alone': () => `bodies belong to no entry: the entries were removed by hand or lost. ${sentence(restore)}.`,
  unreadable: () => `have a lane, state or custody that no version knows: the file is damaged. ${sentence(restore)}.`,
  'no-end': () => 'have ended without a time, so their history is never forgotten. Nothing is lost; please report it.',
  number: () =>
    `have a number that was not handed out yet, so a key would be used twice. Stop the gateway now, and ${restore}.`,
  memory: () => 'are not as the gateway remembers them. Restart the gateway: it reads them anew.',
};

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

export function explainFault(fault: Fault): string {
  return words[fault.kind](fault);
}

export function emptyCounts(): Counts {
  const none = () =>
    ({ accepted: 0, sent: 0, acked: 0, settled: 0, parked: 0, dead: 0, returned: 0, discarded: 0 }) as Counts[Lane];
  return { toMqtt: none(), toXmpp: none() };
}
