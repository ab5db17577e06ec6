// The outboxes of one lane, found by user and peer, and which of them have an entry out.

import type { Conversation, Entry, Ledger } from '../ledger/ledger.ts';
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
  /** Its head is suspected of ending connections: it goes with nothing else out, so that nothing else is lost with it, or blamed for it. */
  #alone: Outbox | null = null;
  /** The last one that was lost alone; null: something was delivered since. */
  #lostAlone: Outbox | null = null;
  /** When an entry was delivered last (ms). */
  #deliveredAt = 0;
  /** The user's first conversation is there, or the last one is gone. */
  onUser: (user: string) => void = () => {};
  /** Had nothing left to send when last looked at. */
  #idle: Outbox[] = [];

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
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

  /** Those of the user go, but the ones in the hands of an operator. */
  drop(user: string): void {
    for (const outbox of this.of(user)) {
      outbox.resting?.cancel();
      if (outbox.held === 0) this.#remove(outbox);
    }
  }

  flies(outbox: Outbox, entry: Entry, now: number): void {
    outbox.flight = { entry, since: now, marked: false };
    this.flying.add(outbox);
  }

  landed(outbox: Outbox): void {
    outbox.flight = null;
    this.flying.delete(outbox);
    if (this.#alone === outbox) this.#alone = null;
  }

  /** Its head, ready to go, has to wait for what is out. */
  mustWait(outbox: Outbox, road: Road): boolean {
    const alone = this.alone(road) ?? (outbox.isSuspect ? outbox : null);
    this.#alone = alone;
    if (alone) return alone !== outbox || this.flying.size > 0;
    return this.flying.size >= road.window;
  }

  /** The one that goes alone, or waits for that and still can. */
  alone(road: Road): Outbox | null {
    const alone = this.#alone;
    if (!alone || alone.flight) return alone;
    if (!alone.isFree || alone.head === undefined || !road.mayGo(alone.conversation.user)) this.#alone = null;
    return this.#alone;
  }

  delivered(now: number): void {
    this.#lostAlone = null;
    this.#deliveredAt = now;
  }

  deliveredSince(then: number): boolean {
    return this.#deliveredAt > then;
  }

  /** The head was lost; call before `landed`. A loss speaks against it where it was alone and others get through, or none was tried. */
  lost(outbox: Outbox): void {
    outbox.losses++;
    if (this.#alone !== outbox) return;
    if (this.#lostAlone === null || this.#lostAlone === outbox) outbox.loneLosses++;
    this.#lostAlone = outbox;
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
    const { user, peer } = outbox.conversation;
    const ofUser = this.#byUser.get(user);
    if (ofUser?.get(peer) === outbox) ofUser.delete(peer);
    if (ofUser?.size !== 0) return;
    this.#byUser.delete(user);
    this.onUser(user);
  }
}
