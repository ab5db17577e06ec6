// What becomes of an entry that fails: when it goes again, and when it is given up, as the fault is its own (docs/decisions/expiry.md, poison).

import type { Clock } from '../clock.ts';
import { freeLosses, type Outbox } from './outbox.ts';
import type { Answer, Fault, Road } from './road.ts';

const firstRetryMs = 1_000;
const lastRetryMs = 60_000;
const lostRetryMs = 20;
const lastLossRetryMs = 600_000;
/** An entry is what ends the connections if they have ended so often with nothing else out, and for so long. */
const deadlyLosses = 5;
const deadlyAfterMs = 600_000;
/** What fails so long for a reason that may be its own, while others get through, is given up: its conversation goes on. */
const giveUpAfterMs = 86_400_000;

/** Answers after which an entry may go again. */
export type Failure = Extract<Answer, { kind: 'lost' | 'retry' }>;
export type Verdict = { kind: 'again'; delayMs: number; reason: string } | ({ kind: 'dead' } & Fault);

/** Of one lane. */
export class Failing {
  readonly #clock: Clock;
  /** Its head is suspected of ending connections: it goes with nothing else out, so that nothing else is lost with it, or blamed for it. */
  #alone: Outbox | null = null;
  /** The last one that was lost alone; null: something was delivered since. */
  #lostAlone: Outbox | null = null;
  /** When an entry was delivered last (ms). */
  #deliveredAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The one that has to go alone, if this one is ready to go: it, or one that was suspected before. */
  aloneWith(outbox: Outbox, road: Road): Outbox | null {
    this.#alone = this.alone(road) ?? (outbox.isSuspect ? outbox : null);
    return this.#alone;
  }

  /** The one that goes alone, or waits for that and still can. */
  alone(road: Road): Outbox | null {
    const alone = this.#alone;
    if (!alone || alone.flight) return alone;
    if (!alone.isFree || alone.head === undefined || !road.mayGo(alone.conversation.user)) this.#alone = null;
    return this.#alone;
  }

  /** The head was answered; call before `landed`. Null: the answer is the last word. */
  judge(outbox: Outbox, answer: Answer): Verdict | null {
    const now = this.#clock.now();
    if (answer.kind === 'delivered') {
      this.#lostAlone = null;
      this.#deliveredAt = now;
    }
    if (answer.kind !== 'lost' && answer.kind !== 'retry') return null;
    if (answer.kind === 'lost') this.#lost(outbox);
    outbox.failingSince ??= now;
    const fault = this.#faultOf(outbox, answer, now - outbox.failingSince);
    if (fault) return { kind: 'dead', ...fault };
    return answer.kind === 'lost' ? this.#afterLoss(outbox) : this.#later(outbox, answer.reason);
  }

  landed(outbox: Outbox): void {
    if (this.#alone === outbox) this.#alone = null;
  }

  /** A loss speaks against it where it was alone and others get through, or none was tried. */
  #lost(outbox: Outbox): void {
    outbox.losses++;
    if (this.#alone !== outbox) return;
    if (this.#lostAlone === null || this.#lostAlone === outbox) outbox.loneLosses++;
    this.#lostAlone = outbox;
  }

  /** Why it is given up: it fails again and again for a reason of its own, and holds up its conversation. */
  #faultOf({ loneLosses, failingSince }: Outbox, failure: Failure, failingMs: number): Fault | null {
    if (failure.kind === 'retry') {
      const doOthersGo = failingSince !== null && this.#deliveredAt > failingSince;
      return failure.own && doOthersGo && failingMs >= giveUpAfterMs ? failure.own : null;
    }
    if (loneLosses < deadlyLosses || failingMs < deadlyAfterMs) return null;
    const text = `the connection ended each time that this was sent, ${loneLosses} times with nothing else on its way`;
    return { condition: 'undefined-condition', text };
  }

  /** An entry that is out whenever the connection breaks may be what breaks it: it goes more and more rarely. */
  #afterLoss({ losses }: Outbox): Verdict {
    const extra = losses - 1 - freeLosses;
    const delayMs = extra < 0 ? lostRetryMs : Math.min(lastLossRetryMs, firstRetryMs * 2 ** extra) * this.#jitter();
    return { kind: 'again', delayMs, reason: 'the connection was lost before the answer' };
  }

  #later(outbox: Outbox, reason: string): Verdict {
    return {
      kind: 'again',
      delayMs: Math.min(lastRetryMs, firstRetryMs * 2 ** outbox.attempts++) * this.#jitter(),
      reason,
    };
  }

  /** So that what failed together does not come back together. */
  #jitter(): number {
    return 0.5 + this.#clock.random() / 2;
  }
}
