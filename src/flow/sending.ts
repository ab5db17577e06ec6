// The one sender of a lane's entries, the same in daily life and after a crash: take the head, send it, write down the answer.

import type { Clock } from '../clock.ts';
import type { Entry, Lane, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Failure } from './failing.ts';
import type { Landings } from './landings.ts';
import type { Outbox } from './outbox.ts';
import { Outboxes } from './outboxes.ts';
import type { Answer, Road } from './road.ts';
import { Sent } from './sent.ts';

/** A ledger that does not answer is asked again after this. */
const readRetryMs = 1_000;

export interface SendingParts {
  lane: Lane;
  road: Road;
  ledger: Ledger;
  landings: Landings;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

/** What ends an entry's way, or sets it aside. */
type Final = Exclude<Answer, Failure>;

export class Sending {
  readonly outboxes: Outboxes;
  /** Answered since it was stopped. */
  drained = 0;
  readonly #parts: SendingParts;
  readonly #sent: Sent;
  #stopped = false;

  constructor(parts: SendingParts) {
    this.#parts = parts;
    this.outboxes = new Outboxes(parts.ledger, parts.clock);
    this.#sent = new Sent(parts.ledger, parts.clock);
  }

  get unanswered(): number {
    return this.outboxes.flying.size;
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#stopped = true;
  }

  committed(entry: Entry): void {
    const outbox = this.outboxes.open(entry);
    const isHeld = outbox.parked !== null || outbox.resting !== null;
    outbox.push(entry, !isHeld && this.#parts.road.mayGo(entry.user));
    this.pump(outbox);
  }

  /** Sends the head if it may go now; called whenever something may have changed. */
  pump(outbox: Outbox): void {
    if (this.#stopped || !outbox.isFree) return;
    if (outbox.isEmpty) return this.outboxes.rests(outbox);
    const { road } = this.#parts;
    if (!road.mayGo(outbox.conversation.user)) return;
    if (outbox.needsPage) void this.#turnPage(outbox);
    else if (outbox.head && !this.#isExpired(outbox.head)) {
      if (this.outboxes.mustWait(outbox, road)) this.outboxes.line.add(outbox);
      else this.#send(outbox, outbox.head);
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
      this.#ledgerFailed(outbox, error);
    }
    outbox.busy = false;
    this.pump(outbox);
    this.#parts.landings.tell();
  }

  #send(outbox: Outbox, entry: Entry): void {
    outbox.busy = true;
    this.outboxes.flies(outbox, entry, this.#parts.clock.now());
    if (this.#sent.isDueFirst(entry)) void this.#recordFirst(outbox, entry);
    else this.#handOver(outbox, entry);
  }

  /** What has changed while the disk kept us waiting counts. */
  async #recordFirst(outbox: Outbox, entry: Entry): Promise<void> {
    const { road } = this.#parts;
    try {
      const isThere = await this.#sent.record(outbox, entry);
      if (isThere && !this.#stopped && !this.#isExpired(entry) && road.mayGo(entry.user))
        return this.#handOver(outbox, entry);
      if (isThere) this.#sent.undo(entry);
      else outbox.reread();
    } catch (error) {
      this.#ledgerFailed(outbox, error);
    }
    this.#landed(outbox);
  }

  #handOver(outbox: Outbox, entry: Entry): void {
    const { road } = this.#parts;
    const answered = (answer: Answer) => this.#answered(outbox, entry, answer);
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

  #answered(outbox: Outbox, entry: Entry, answer: Answer): void {
    const { lane, road, metrics } = this.#parts;
    const verdict = this.outboxes.failing.judge(outbox, answer);
    if (verdict?.kind === 'again') {
      this.#sent.failed(entry, answer);
      metrics.answered.inc({ lane, result: answer.kind });
      if (answer.kind === 'retry') this.#tellRetry(entry, verdict);
      this.#after(outbox, verdict.delayMs, verdict.reason);
    } else {
      if (verdict) road.gaveUp(entry, verdict);
      const final = verdict ?? (answer as Final);
      metrics.answered.inc({ lane, result: final.kind });
      if (this.#stopped) this.drained++;
      this.#writeDown(outbox, entry, final);
    }
    this.#landed(outbox);
  }

  /** Writes the answer down, and goes on with the next. */
  #writeDown(outbox: Outbox, entry: Entry, answer: Final): void {
    const { ledger, clock, log } = this.#parts;
    const { seq, key, user, channel, lane } = entry;
    const at = clock.now();
    outbox.clear();
    outbox.shift(entry);
    // Not waited for: should it not reach the disk, the entry only goes out again.
    if (answer.kind === 'delivered') ledger.note('answered', { seq, at, sender: lane === 'toXmpp' ? user : undefined });
    else if (answer.kind === 'discarded') ledger.note('discard', { seqs: [seq], at, reason: answer.reason });
    else if (answer.kind === 'parked') {
      ledger.note('parked', { seq, at });
      if (answer.holds) outbox.parked = { seq, at };
      log.info({ event: 'entry.parked', key, user, channel });
    } else {
      const { condition, text } = answer;
      ledger.note('refused', { seq, at, condition, text });
      log.warn({ event: 'entry.dead', key, user, lane, condition });
    }
  }

  /** Nothing of the conversation is out any more. */
  #landed(outbox: Outbox): void {
    this.outboxes.landed(outbox);
    outbox.busy = false;
    this.pump(outbox);
    this.#nextInLine();
    this.#parts.landings.tell();
  }

  #nextInLine(): void {
    const { line, flying, failing } = this.outboxes;
    const { road } = this.#parts;
    for (;;) {
      const alone = failing.alone(road);
      if (alone) {
        if (flying.size === 0) this.pump(alone);
        return;
      }
      const outbox = flying.size < road.window ? line.next() : undefined;
      if (!outbox) return;
      this.pump(outbox);
    }
  }

  /** Once a second. */
  lookAround(): void {
    const { lane, metrics } = this.#parts;
    this.outboxes.sweep();
    // Where one waited to go alone and cannot any more.
    this.#nextInLine();
    metrics.inFlight.set({ lane }, this.unanswered);
    this.#sent.lookAround(this.outboxes.flying);
  }

  #ledgerFailed(outbox: Outbox, error: unknown): void {
    this.#parts.log.error({ event: 'ledger.failed', error: String(error) });
    this.#after(outbox, readRetryMs, 'the ledger does not answer');
  }

  #tellRetry({ key, user, lane }: Entry, { reason, delayMs }: { reason: string; delayMs: number }): void {
    this.#parts.log.warn({ event: 'entry.retry', key, user, lane, reason, delayMs: Math.round(delayMs) });
  }

  #after(outbox: Outbox, delayMs: number, reason: string): void {
    const { clock } = this.#parts;
    outbox.setback = { reason, until: clock.now() + delayMs };
    outbox.resting = clock.after(delayMs, () => {
      outbox.resting = null;
      this.pump(outbox);
    });
  }
}
