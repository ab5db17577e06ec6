// The one sender of ledger entries, the same in daily life and after a crash: take the head, send it, write down the answer.

import { type Clock, every, type Timer } from '../clock.ts';
import type { Conversation, Entry, Lane, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Failure } from './failing.ts';
import type { Outbox } from './outbox.ts';
import { Outboxes } from './outboxes.ts';
import type { Answer, Holdup, Road } from './road.ts';

/** A ledger that does not answer is asked again after this. */
const readRetryMs = 1_000;
const parkedRetryMs = 30_000;
const parkedAloneRetryMs = 600_000;
const markSentAfterMs = 1_000;
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

/** What ends an entry's way, or sets it aside. */
type Final = Exclude<Answer, Failure>;

export class Deliver {
  readonly #parts: DeliverParts;
  readonly #lanes: Record<Lane, Outboxes>;
  readonly #timers: Timer[] = [];
  #awaited: (() => void)[] = [];
  #stopped = false;
  /** Answered since it was stopped. */
  readonly #drained: Record<Lane, number> = { toMqtt: 0, toXmpp: 0 };

  /** The user's first entry on this lane is there, or the last one has been gone for a while. */
  onEntries: (lane: Lane, user: string) => void = () => {};

  constructor(parts: DeliverParts) {
    this.#parts = parts;
    const { ledger, clock } = parts;
    this.#lanes = { toMqtt: new Outboxes(ledger, clock), toXmpp: new Outboxes(ledger, clock) };
    for (const lane of ['toMqtt', 'toXmpp'] as const) this.#lanes[lane].onUser = (user) => this.onEntries(lane, user);
  }

  /** Takes up what the last run left; call before the first accept. */
  async start(): Promise<void> {
    const { ledger, clock, log } = this.#parts;
    ledger.onCommitted = (entry) => this.#committed(entry);
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
    const isOut = () => Object.values(this.#lanes).some(({ flying }) => flying.size > 0);
    let isLate = false;
    const late = this.#parts.clock.after(patienceMs, () => {
      isLate = true;
      this.#tellLanded();
    });
    while (isOut() && !isLate) await this.#landing();
    late.cancel();
    const drainedOf = (lane: Lane) => ({ answered: this.#drained[lane], unanswered: this.#lanes[lane].flying.size });
    return { toMqtt: drainedOf('toMqtt'), toXmpp: drainedOf('toXmpp') };
  }

  /** The road of this lane has opened, for one user or for all. */
  wake(lane: Lane, user?: string): void {
    for (const outbox of [...this.#lanes[lane].of(user)]) this.#pump(outbox);
  }

  /** Does anything of the user's wait on this lane, or has until a moment ago? */
  hasEntries(lane: Lane, user: string): boolean {
    return this.#lanes[lane].has(user);
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
    this.#reread([...this.#lanes[lane].of(user)].map(({ conversation }) => conversation));
  }

  /** The user's conversations of this lane were ended in the ledger. */
  forget(lane: Lane, user: string): void {
    this.#lanes[lane].drop(user);
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
    const outbox = this.#lanes[conversation.lane].open(conversation);
    outbox.held++;
    let isLate = false;
    const late = this.#parts.clock.after(patienceMs, () => {
      isLate = true;
      this.#tellLanded();
    });
    let isChanged = false;
    try {
      while (!this.#stopped && outbox.busy && !isLate) await this.#landing();
      if (this.#stopped || outbox.busy) return null;
      const { value, freed } = await work();
      isChanged = freed.length > 0;
      if (outbox.parked && freed.includes(outbox.parked.seq)) outbox.parked = null;
      return value;
    } finally {
      late.cancel();
      outbox.held--;
      if (isChanged) outbox.restart();
      else outbox.reread();
      this.#pump(outbox);
    }
  }

  /** Why entries of this conversation wait; null where there are none to send. */
  holdup(conversation: Conversation): Holdup | null {
    const { lane, user } = conversation;
    const outbox = this.#lanes[lane].find(conversation);
    if (!outbox) return null;
    if (outbox.flight) return { kind: 'in-flight', since: outbox.flight.since };
    if (outbox.parked) return { kind: 'parked', since: outbox.parked.at };
    if (outbox.setback) return { kind: 'retrying', attempts: outbox.attempts + outbox.losses, ...outbox.setback };
    if (outbox.isEmpty && !outbox.busy) return null;
    const obstacle = this.#stopped ? 'stopping' : this.#parts.roads[lane].obstacle(user);
    return obstacle ? { kind: 'closed', obstacle } : { kind: 'in-line' };
  }

  /** Is an entry of the user's unanswered on this lane? */
  isOut(lane: Lane, user: string): boolean {
    for (const { conversation } of this.#lanes[lane].flying) if (conversation.user === user) return true;
    return false;
  }

  #committed(entry: Entry): void {
    const outbox = this.#lanes[entry.lane].open(entry);
    const isHeld = outbox.parked !== null || outbox.resting !== null;
    outbox.push(entry, !isHeld && this.#parts.roads[entry.lane].mayGo(entry.user));
    this.#pump(outbox);
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
      const outbox = this.#lanes[conversation.lane].open(conversation);
      outbox.reread();
      this.#pump(outbox);
    }
  }

  *#parked(user?: string): Iterable<Outbox> {
    for (const outbox of this.#lanes.toMqtt.of(user)) if (outbox.parked) yield outbox;
  }

  /** Sends the head if it may go now; called whenever something may have changed. */
  #pump(outbox: Outbox): void {
    if (this.#stopped || !outbox.isFree) return;
    const { lane, user } = outbox.conversation;
    const outboxes = this.#lanes[lane];
    if (outbox.isEmpty) return outboxes.rests(outbox);
    const road = this.#parts.roads[lane];
    if (!road.mayGo(user)) return;
    if (outbox.needsPage) void this.#turnPage(outbox);
    else if (outbox.head && !this.#isExpired(outbox.head)) {
      if (outboxes.mustWait(outbox, road)) outboxes.line.add(outbox);
      else this.#send(outboxes, outbox, outbox.head);
    }
  }

  /** Expiry ends it, and then the next one goes. What the legacy server may have does not expire: it is sent until the answer is known. */
  #isExpired({ expiresAt, isSent }: Entry): boolean {
    return expiresAt !== undefined && !isSent && expiresAt <= this.#parts.clock.now();
  }

  async #turnPage(outbox: Outbox): Promise<void> {
    outbox.busy = true;
    try {
      await outbox.page();
    } catch (error) {
      this.#parts.log.error({ event: 'ledger.failed', error: String(error) });
      this.#after(outbox, readRetryMs, 'the ledger does not answer');
    }
    outbox.busy = false;
    this.#pump(outbox);
    if (this.#awaited.length > 0) this.#tellLanded();
  }

  #send(outboxes: Outboxes, outbox: Outbox, entry: Entry): void {
    outbox.busy = true;
    outboxes.flies(outbox, entry, this.#parts.clock.now());
    if (isRecordedFirst(entry)) void this.#record(outboxes, outbox, entry);
    else this.#handOver(outboxes, outbox, entry);
  }

  /** On disk as sent, and sent then: whatever happens in between and after it, the ledger knows that the server may have it. */
  async #record(outboxes: Outboxes, outbox: Outbox, entry: Entry): Promise<void> {
    const { ledger, clock, roads, log } = this.#parts;
    const { seq, lane, user } = entry;
    if (outbox.flight) outbox.flight.marked = true;
    try {
      const isThere = (await ledger.do('sent', { seqs: [seq], at: clock.now() })) > 0;
      if (isThere && !this.#stopped && !this.#isExpired(entry) && roads[lane].mayGo(user))
        return this.#handOver(outboxes, outbox, entry);
      if (isThere) ledger.note('notSent', { seq });
      else outbox.reread();
    } catch (error) {
      log.error({ event: 'ledger.failed', error: String(error) });
      this.#after(outbox, readRetryMs, 'the ledger does not answer');
    }
    this.#landed(outboxes, outbox);
  }

  #handOver(outboxes: Outboxes, outbox: Outbox, entry: Entry): void {
    const answered = (answer: Answer) => this.#answered(outboxes, outbox, entry, answer);
    const road = this.#parts.roads[entry.lane];
    try {
      road.send(entry, answered);
    } catch (error) {
      // A fault in the program, and it comes again with each try: the others of its conversation must not wait for that.
      const fault = { condition: 'internal-server-error', text: String(error) };
      queueMicrotask(() => {
        road.gaveUp(entry, fault);
        answered({ kind: 'dead', ...fault });
      });
    }
  }

  #answered(outboxes: Outboxes, outbox: Outbox, entry: Entry, answer: Answer): void {
    const verdict = outboxes.failing.judge(outbox, answer);
    if (verdict?.kind === 'again') {
      this.#learn(entry, answer);
      this.#parts.metrics.answered.inc({ lane: entry.lane, result: answer.kind });
      if (answer.kind === 'retry') this.#tellRetry(entry, verdict);
      this.#after(outbox, verdict.delayMs, verdict.reason);
    } else {
      if (verdict) this.#parts.roads[entry.lane].gaveUp(entry, verdict);
      const final = verdict ?? (answer as Final);
      this.#parts.metrics.answered.inc({ lane: entry.lane, result: final.kind });
      if (this.#stopped) this.#drained[entry.lane]++;
      this.#writeDown(outbox, entry, final);
    }
    this.#landed(outboxes, outbox);
  }

  /** A no says nothing of the time before, which may have been another session of the server's. */
  #learn(entry: Entry, answer: Answer): void {
    if (!isRecordedFirst(entry)) return;
    if (answer.kind === 'lost') entry.isSent = true;
    else this.#parts.ledger.note('notSent', { seq: entry.seq });
  }

  /** Nothing of the conversation is out any more. */
  #landed(outboxes: Outboxes, outbox: Outbox): void {
    outboxes.landed(outbox);
    outbox.busy = false;
    this.#pump(outbox);
    this.#nextInLine(outbox.conversation.lane);
    if (this.#awaited.length > 0) this.#tellLanded();
  }

  /** Resolves when the next answer has come. */
  #landing(): Promise<void> {
    return new Promise((resolve) => this.#awaited.push(resolve));
  }

  #tellLanded(): void {
    for (const resolve of this.#awaited.splice(0)) resolve();
  }

  #nextInLine(lane: Lane): void {
    const outboxes = this.#lanes[lane];
    const { line, flying } = outboxes;
    const road = this.#parts.roads[lane];
    for (;;) {
      const alone = outboxes.failing.alone(road);
      if (alone) {
        if (flying.size === 0) this.#pump(alone);
        return;
      }
      const outbox = flying.size < road.window ? line.next() : undefined;
      if (!outbox) return;
      this.#pump(outbox);
    }
  }

  /** Writes the answer down, and goes on with the next. */
  #writeDown(outbox: Outbox, entry: Entry, answer: Final): void {
    const { clock, log } = this.#parts;
    const { seq } = entry;
    const at = clock.now();
    outbox.clear();
    outbox.shift(entry);
    // Not waited for: should it not reach the disk, the entry only goes out again.
    if (answer.kind === 'delivered')
      this.#parts.ledger.note('answered', { seq, at, sender: entry.lane === 'toXmpp' ? entry.user : undefined });
    else if (answer.kind === 'discarded')
      this.#parts.ledger.note('discard', { seqs: [seq], at, reason: answer.reason });
    else if (answer.kind === 'parked') {
      this.#parts.ledger.note('parked', { seq, at });
      if (answer.holds) outbox.parked = { seq, at };
      log.info({ event: 'entry.parked', key: entry.key, user: entry.user, channel: entry.channel });
    } else {
      this.#parts.ledger.note('refused', { seq, at, condition: answer.condition, text: answer.text });
      log.warn({
        event: 'entry.dead',
        key: entry.key,
        user: entry.user,
        lane: entry.lane,
        condition: answer.condition,
      });
    }
  }

  #tellRetry({ key, user, lane }: Entry, { reason, delayMs }: { reason: string; delayMs: number }): void {
    this.#parts.log.warn({ event: 'entry.retry', key, user, lane, reason, delayMs: Math.round(delayMs) });
  }

  #after(outbox: Outbox, delayMs: number, reason: string): void {
    outbox.setback = { reason, until: this.#parts.clock.now() + delayMs };
    outbox.resting = this.#parts.clock.after(delayMs, () => {
      outbox.resting = null;
      this.#pump(outbox);
    });
  }

  /** Most answers come within milliseconds; only what waits longer is written down as sent, with its attempts. */
  #lookAround(): void {
    const at = this.#parts.clock.now();
    const seqs: number[] = [];
    for (const lane of lanes) {
      const outboxes = this.#lanes[lane];
      outboxes.sweep();
      // Where one waited to go alone and cannot any more.
      this.#nextInLine(lane);
      this.#parts.metrics.inFlight.set({ lane }, outboxes.flying.size);
      for (const { flight } of outboxes.flying) {
        if (!flight || flight.marked || at - flight.since < markSentAfterMs) continue;
        flight.marked = true;
        seqs.push(flight.entry.seq);
      }
    }
    if (seqs.length > 0) this.#parts.ledger.note('sent', { seqs, at });
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

/** What may expire on its way to the legacy server. */
function isRecordedFirst({ lane, expiresAt, isSent }: Entry): boolean {
  return lane === 'toXmpp' && expiresAt !== undefined && !isSent;
}
