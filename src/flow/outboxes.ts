// The outboxes of one lane, found by user and peer, and which of them have an entry out.

import type { Clock } from '../clock.ts';
import type { Conversation, Entry, Ledger } from '../ledger/ledger.ts';
import { Failing } from './failing.ts';
import { Line } from './line.ts';
import { Outbox } from './outbox.ts';
import type { Road } from './road.ts';

export class Outboxes {
  readonly #ledger: Ledger;
  /** By user, then by peer. */
  readonly #byUser = new Map<string, Map<string, Outbox>>();
  /** Each has one entry that is sent and unanswered. */
  readonly flying = new Set<Outbox>();
  /** Conversations that wait for a place in the window. */
  readonly line = new Line();
  /** What is known of entries that fail. */
  readonly failing: Failing;
  /** The user's first conversation is there, or the last one is gone. */
  onUser: (user: string) => void = () => {};
  /** Had nothing left to send when last looked at. */
  #idle: Outbox[] = [];

  constructor(ledger: Ledger, clock: Clock) {
    this.#ledger = ledger;
    this.failing = new Failing(clock);
  }

  /** Made if there is none. */
  open({ lane, user, peer }: Conversation): Outbox {
    let ofUser = this.#byUser.get(user);
    if (!ofUser) {
      ofUser = new Map();
      this.#byUser.set(user, ofUser);
      this.onUser(user);
    }
    let outbox = ofUser.get(peer);
    if (!outbox) {
      outbox = new Outbox({ lane, user, peer }, this.#ledger);
      ofUser.set(peer, outbox);
    }
    return outbox;
  }

  has(user: string): boolean {
    return this.#byUser.has(user);
  }

  find({ user, peer }: Conversation): Outbox | undefined {
    return this.#byUser.get(user)?.get(peer);
  }

  /** Of one user, or all there are. */
  *of(user?: string): Iterable<Outbox> {
    for (const ofUser of user === undefined ? this.#byUser.values() : [this.#byUser.get(user)]) {
      if (ofUser) yield* ofUser.values();
    }
  }

  /** What the user's had before them was ended in the ledger. They go, but those that have an entry out or are in the hands of an operator. */
  drop(user: string): void {
    for (const outbox of this.of(user)) {
      outbox.parked = null;
      outbox.restart();
      if (!outbox.busy && outbox.held === 0) this.#remove(outbox);
    }
  }

  flies(outbox: Outbox, entry: Entry, now: number): void {
    outbox.flight = { entry, since: now, marked: false };
    this.flying.add(outbox);
  }

  landed(outbox: Outbox): void {
    outbox.flight = null;
    this.flying.delete(outbox);
    this.failing.landed(outbox);
  }

  /** Its head, ready to go, has to wait for what is out. */
  mustWait(outbox: Outbox, road: Road): boolean {
    const alone = this.failing.aloneWith(outbox, road);
    if (alone) return alone !== outbox || this.flying.size > 0;
    return this.flying.size >= road.window;
  }

  /** Nothing is left to send. It stays a little while: most conversations go on. */
  rests(outbox: Outbox): void {
    if (outbox.idle) return;
    outbox.idle = true;
    this.#idle.push(outbox);
  }

  /** Lets go of those that have still nothing to send. */
  sweep(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const outbox of idle) {
      outbox.idle = false;
      if (outbox.isEmpty && outbox.isFree) this.#remove(outbox);
    }
  }

  #remove(outbox: Outbox): void {
    outbox.gone = true;
    const { user, peer } = outbox.conversation;
    const ofUser = this.#byUser.get(user);
    if (ofUser?.get(peer) === outbox) ofUser.delete(peer);
    if (ofUser?.size !== 0) return;
    this.#byUser.delete(user);
    this.onUser(user);
  }
}
