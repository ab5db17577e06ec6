// What deliver sees of a way out of the ledger: the road itself, its answers, and what may hold an entry up.

import type { Entry } from '../ledger/ledger.ts';

/** What became of an entry that was sent. */
export type Answer =
  | { kind: 'delivered' }
  /** The connection ended before the answer: as if never sent. */
  | { kind: 'lost' }
  /** Not now. `own`: the cause may be the entry itself; what it becomes dead with if that goes on while others get through. */
  | { kind: 'retry'; reason: string; own?: Fault }
  /** Nobody takes it yet; `holds`: what follows in the conversation waits as well. */
  | { kind: 'parked'; holds: boolean }
  /** Nobody wants it, and that is no loss. */
  | { kind: 'discarded'; reason: string }
  | { kind: 'dead'; condition: string; text: string };

export interface Fault {
  condition: string;
  text: string;
}

/** A lane's way out: whether an entry may go now, and how it goes. */
export interface Road {
  /** Entries that may be unanswered at once. */
  readonly window: number;
  /** False: the conversation waits until `wake` names its user, or everybody. */
  mayGo(user: string): boolean;
  /** What keeps this user's entries from going; null where nothing does. For people. */
  obstacle(user: string): Obstacle | null;
  /** Calls `answered` exactly once, and not before it has returned. Must not throw. */
  send(entry: Entry, answered: (answer: Answer) => void): void;
  /** Deliver has given the entry up as dead: tells its sender, where the road does so for what it reads as dead. */
  gaveUp(entry: Entry, fault: Fault): void;
}

/** Why a road is closed. */
export type Obstacle =
  | 'broker-down'
  | 'broker-unknown'
  | 'not-published'
  | 'offline-window'
  | 'link-down'
  | 'no-session'
  | 'stopping';

/** Why the entries of a conversation wait, for people; times in ms since 1970. */
export type Holdup =
  | { kind: 'in-flight'; since: number }
  | { kind: 'parked'; since: number }
  | { kind: 'retrying'; reason: string; attempts: number; until: number }
  | { kind: 'closed'; obstacle: Obstacle }
  | { kind: 'in-line' };
