// One conversation's entries on their way out: at most one of them unanswered, the rest in order in memory or in the ledger.

import type { Timer } from '../clock.ts';
import type { Conversation, Entry, Ledger } from '../ledger/ledger.ts';

/** Entries of one conversation kept in memory; what comes above that is read from the ledger when its turn comes. */
const maxQueued = 64;
/** Connections break; an entry may be lost so often without being suspected. */
export const freeLosses = 3;

export class Outbox {
  readonly conversation: Conversation;
  readonly #ledger: Ledger;
  #queue: Entry[] = [];
  /** The ledger has entries that the queue has not. */
  #behind = false;
  #reading = false;
  #changed = false;
  /** An entry is out and unanswered, or a page is being read. */
  busy = false;
  /** The entry that nobody subscribed for, and since when (ms): the others wait behind it for a device. */
  parked: { seq: number; at: number } | null = null;
  /** Runs while the head must not go again yet. */
  resting: Timer | null = null;
  attempts = 0;
  /** How often the connection ended while the head was unanswered; of those, how often with nothing else out and nothing else to blame. */
  losses = 0;
  loneLosses = 0;
  /** Since when the head has failed again and again (ms). */
  failingSince: number | null = null;
  /** Why the head must wait, and until when (ms). */
  setback: { reason: string; until: number } | null = null;
  /** The entry that is out and unanswered; `marked`: the ledger knows. */
  flight: { readonly entry: Entry; readonly since: number; marked: boolean } | null = null;
  /** Will be looked at again: had nothing left to send. */
  idle = false;
  /** So many operators' acts keep it from sending. */
  held = 0;
  /** Stands in the queue for a free place in the broker's window. */
  queued = false;
  /** Another one stands, or will, for its conversation, even if this one still has a place in a queue. */
  gone = false;

  constructor(conversation: Conversation, ledger: Ledger) {
    this.conversation = conversation;
    this.#ledger = ledger;
  }

  /** A new entry, the newest of its conversation. It is kept in memory only if it may go soon. */
  push(entry: Entry, soon: boolean): void {
    if (!soon || this.#behind || this.#reading || this.#queue.length >= maxQueued) this.#behind = true;
    else this.#queue.push(entry);
  }

  /** Entries were changed in the ledger behind our back (republished, unparked, retried): it has the last word. */
  reread(): void {
    this.#queue = [];
    this.#behind = true;
    this.#changed = true;
  }

  /** Something has been changed from outside: what was known of the head may not hold any more. A parked one goes on holding. */
  restart(): void {
    this.resting?.cancel();
    this.resting = null;
    this.clear();
    this.reread();
  }

  /** Another head, or a new chance for this one. */
  clear(): void {
    this.setback = null;
    this.attempts = 0;
    this.losses = 0;
    this.loneLosses = 0;
    this.failingSince = null;
  }

  /** The head was out so often when a connection ended that it may be what ends them. */
  get isSuspect(): boolean {
    return this.losses > freeLosses;
  }

  /** Nothing keeps it from sending, as far as it knows itself. */
  get isFree(): boolean {
    return !this.gone && !this.busy && this.held === 0 && this.parked === null && this.resting === null;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0 && !this.#behind;
  }

  get needsPage(): boolean {
    return this.#queue.length === 0 && this.#behind;
  }

  get head(): Entry | undefined {
    return this.#queue[0];
  }

  /** The head was answered for good. */
  shift(entry: Entry): void {
    if (this.#queue[0]?.seq === entry.seq) this.#queue.shift();
  }

  /** Reads the next page. An entry pushed meanwhile makes us behind again, so none is missed and none comes twice. */
  async page(): Promise<void> {
    this.#reading = true;
    this.#behind = false;
    this.#changed = false;
    try {
      const entries = await this.#ledger.do('toSend', { ...this.conversation, after: 0, limit: maxQueued });
      if (this.#changed) return;
      this.#queue = entries;
      if (entries.length === maxQueued) this.#behind = true;
    } catch (error) {
      this.#behind = true;
      throw error;
    } finally {
      this.#reading = false;
    }
  }
}
