// All that is on its way out of the ledger: taken up at a start, read again when the ledger was changed, held back for an operator, and awaited at a stop.

import { type Clock, every, type Timer } from '../clock.ts';
import type { Conversation, Lane, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { Landings } from './landings.ts';
import type { Outbox } from './outbox.ts';
import type { Holdup, Road } from './road.ts';
import { Sending } from './sending.ts';

const parkedRetryMs = 30_000;
const parkedAloneRetryMs = 600_000;
const lookEveryMs = 1_000;
const lanes: readonly Lane[] = ['toMqtt', 'toXmpp'];

export interface DeliverParts {
  ledger: Ledger;
  roads: Record<Lane, Road>;
  hasDeviceOnline: (user: string) => boolean;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

/** What was out when it was stopped: answered meanwhile, or not. */
export type Drained = Record<Lane, { answered: number; unanswered: number }>;

export class Deliver {
  readonly #parts: DeliverParts;
  readonly #lanes: Record<Lane, Sending>;
  readonly #landings: Landings;
  readonly #timers: Timer[] = [];
  #stopped = false;

  /** The user's first entry on this lane is there, or the last one has been gone for a while. */
  onEntries: (lane: Lane, user: string) => void = () => {};

  constructor(parts: DeliverParts) {
    this.#parts = parts;
    const { roads, ...rest } = parts;
    const landings = new Landings(parts.clock);
    const sending = (lane: Lane) => new Sending({ ...rest, landings, lane, road: roads[lane] });
    this.#landings = landings;
    this.#lanes = { toMqtt: sending('toMqtt'), toXmpp: sending('toXmpp') };
    for (const lane of lanes) this.#lanes[lane].outboxes.onUser = (user) => this.onEntries(lane, user);
  }

  /** Takes up what the last run left; call before the first accept. */
  async start(): Promise<void> {
    const { ledger, clock, log } = this.#parts;
    ledger.onCommitted = (entry) => this.#lanes[entry.lane].committed(entry);
    await ledger.do('unpark', {});
    this.#reread(await ledger.do('conversations', {}));
    const failed = (error: unknown) => log.error({ event: 'ledger.failed', error: String(error) });
    this.#timers.push(every(clock, lookEveryMs, () => this.#lookAround(), failed));
    this.#timers.push(every(clock, parkedRetryMs, () => this.#retryParked(), failed));
  }

  /** Nothing more is sent. Resolves when what is out has its answer, or after `patienceMs`: then it goes again after the next start. */
  async stop(patienceMs: number): Promise<Drained> {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    const { toMqtt, toXmpp } = this.#lanes;
    toMqtt.stop();
    toXmpp.stop();
    await this.#landings.until(() => toMqtt.unanswered + toXmpp.unanswered === 0, patienceMs);
    const drainedOf = ({ drained, unanswered }: Sending) => ({ answered: drained, unanswered });
    return { toMqtt: drainedOf(toMqtt), toXmpp: drainedOf(toXmpp) };
  }

  /** The road of this lane has opened, for one user or for all. */
  wake(lane: Lane, user?: string): void {
    const sending = this.#lanes[lane];
    for (const outbox of [...sending.outboxes.of(user)]) sending.pump(outbox);
  }

  /** Does anything of the user's wait on this lane, or has until a moment ago? */
  hasEntries(lane: Lane, user: string): boolean {
    return this.#lanes[lane].outboxes.has(user);
  }

  /** Is an entry of the user's unanswered on this lane? */
  isOut(lane: Lane, user: string): boolean {
    for (const { conversation } of this.#lanes[lane].outboxes.flying) if (conversation.user === user) return true;
    return false;
  }

  /** What was parked for the user is tried again: a device is there. */
  async unpark(user: string): Promise<void> {
    await this.#requeue('unpark', user);
  }

  /** What the user's app has not acknowledged goes again; without a user, all that is not settled, for every user. */
  async republish(user?: string): Promise<void> {
    await this.#requeue('republish', user);
  }

  /** All of the user's conversations on this lane may have been changed in the ledger. */
  reopen(lane: Lane, user: string): void {
    this.#reread([...this.#lanes[lane].outboxes.of(user)].map(({ conversation }) => conversation));
  }

  /** The user's conversations of this lane were ended in the ledger. */
  forget(lane: Lane, user: string): void {
    this.#lanes[lane].outboxes.drop(user);
  }

  /**
   * Does `work` on entries of this conversation in the ledger while none of them is out, and none goes out; then what the ledger says
   * holds. `freed`: entries that have ended or go again by it; a parked one among them holds nothing back any more. Without any, a head
   * that always fails gets no new chance. Null, and nothing done, where one is unanswered for longer than `patienceMs`.
   */
  async apart<T>(
    conversation: Conversation,
    patienceMs: number,
    work: () => Promise<{ value: T; freed: number[] }>,
  ): Promise<T | null> {
    const sending = this.#lanes[conversation.lane];
    const outbox = sending.outboxes.open(conversation);
    outbox.held++;
    let isChanged = false;
    try {
      await this.#landings.until(() => this.#stopped || !outbox.busy, patienceMs);
      if (this.#stopped || outbox.busy) return null;
      const { value, freed } = await work();
      isChanged = freed.length > 0;
      if (outbox.parked && freed.includes(outbox.parked.seq)) outbox.parked = null;
      return value;
    } finally {
      outbox.held--;
      if (isChanged) outbox.restart();
      else outbox.reread();
      sending.pump(outbox);
    }
  }

  /** Why entries of this conversation wait; null where there are none to send. */
  holdup(conversation: Conversation): Holdup | null {
    const { lane, user } = conversation;
    const outbox = this.#lanes[lane].outboxes.find(conversation);
    if (!outbox) return null;
    if (outbox.flight) return { kind: 'in-flight', since: outbox.flight.since };
    if (outbox.parked) return { kind: 'parked', since: outbox.parked.at };
    if (outbox.setback) return { kind: 'retrying', attempts: outbox.attempts + outbox.losses, ...outbox.setback };
    if (outbox.isEmpty && !outbox.busy) return null;
    const obstacle = this.#stopped ? 'stopping' : this.#parts.roads[lane].obstacle(user);
    return obstacle ? { kind: 'closed', obstacle } : { kind: 'in-line' };
  }

  /**
   * Makes entries ready to be sent again. Let go is only what was parked when the ledger was asked; that includes conversations
   * whose parked entries were returned or discarded meanwhile, which the ledger does not name any more.
   */
  async #requeue(operation: 'unpark' | 'republish', user?: string): Promise<void> {
    const held = operation === 'unpark' ? [...this.#parked(user)] : [];
    const conversations = await this.#parts.ledger.do(operation, { user });
    for (const outbox of held) outbox.parked = null;
    this.#reread([...conversations, ...held.map(({ conversation }) => conversation)]);
  }

  /** These conversations were changed in the ledger. What is parked goes on holding them back. */
  #reread(conversations: Conversation[]): void {
    for (const conversation of conversations) {
      const sending = this.#lanes[conversation.lane];
      const outbox = sending.outboxes.open(conversation);
      outbox.reread();
      sending.pump(outbox);
    }
  }

  *#parked(user?: string): Iterable<Outbox> {
    for (const outbox of this.#lanes.toMqtt.outboxes.of(user)) if (outbox.parked) yield outbox;
  }

  #lookAround(): void {
    for (const lane of lanes) this.#lanes[lane].lookAround();
  }

  async #retryParked(): Promise<void> {
    const now = this.#parts.clock.now();
    const users = new Set<string>();
    for (const { parked, conversation } of this.#parked()) {
      // A clock that was put back must not make it wait for the time that is gone.
      const waitMs = this.#parts.hasDeviceOnline(conversation.user) ? parkedRetryMs : parkedAloneRetryMs;
      if (parked && Math.abs(now - parked.at) >= waitMs) users.add(conversation.user);
    }
    for (const user of users) await this.unpark(user);
  }
}
