// "Message waiting": tells a webhook that messages wait for a user of whom no device is online. Never holds a delivery up.

import type { Clock, Timer } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from '../migration/devices.ts';
import { Line } from '../migration/line.ts';
import type { Users } from '../migration/users.ts';
import { formatAt } from '../mqtt/message.ts';

/** Hands one call on; see webhook.ts. */
export type Post = (body: string) => Promise<{ kind: 'sent' } | { kind: 'again' | 'never'; reason: string }>;

/** So long the first of several messages waits for the others. */
const gatherMs = 500;
/** While nobody knows yet whether a device is online. */
const lookAgainMs = 1_000;
const backOffMs = [1_000, 5_000, 30_000];
/** Calls under way at once. */
const concurrent = 8;
/** Users remembered with what they were told; above it the oldest is forgotten, or, if a call for it is due, the new one is not called. */
const maxUsers = 100_000;

interface Call {
  /** The newest message that the webhook was told of. */
  told: number;
  /** When it was told last, or given up (ms). */
  at: number;
  attempts: number;
  timer?: Timer;
  /** Waits for its turn, or is under way. */
  isBusy: boolean;
  /** A message came meanwhile. */
  hasNews: boolean;
}

export interface WakeParts {
  post: Post;
  /** At most one call for a user in this time. */
  everyMs: number;
  ledger: Ledger;
  users: Users;
  devices: Devices;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

export class Wake {
  readonly #parts: WakeParts;
  readonly #calls = new Map<string, Call>();
  /** Whose call is due; who is not called any more meanwhile still has a turn, and lets it go by. */
  readonly #line = new Line<string>();
  #posting = 0;
  #stopped = false;

  constructor(parts: WakeParts) {
    this.#parts = parts;
  }

  /** What the webhook was told before a restart is not known: it is told of everything that waits. */
  async start(): Promise<void> {
    for (const user of await this.#parts.ledger.do('waitingUsers', {})) this.look(user);
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#calls.values()) timer?.cancel();
  }

  /** A message is on disk, or the last device has gone: something may wait for the user. */
  look(user: string): void {
    if (this.#stopped || this.#parts.devices.online(user) > 0) return;
    const call = this.#calls.get(user) ?? this.#add(user);
    if (!call) return;
    if (call.isBusy) call.hasNews = true;
    else if (!call.timer) {
      // A clock that was put back must not make it wait for the time that is gone.
      const sinceMs = Math.abs(this.#parts.clock.now() - call.at);
      this.#later(user, call, Math.max(gatherMs, this.#parts.everyMs - sinceMs));
    }
  }

  /** A device came online: it has, or will get, all that waits. */
  here(user: string): void {
    this.#calls.get(user)?.timer?.cancel();
    this.#calls.delete(user);
  }

  #add(user: string): Call | null {
    if (this.#calls.size >= maxUsers) {
      const [oldest, { timer, isBusy }] = this.#calls.entries().next().value!;
      if (timer || isBusy) {
        this.#parts.metrics.webhooks.inc({ result: 'dropped' });
        return null;
      }
      this.#calls.delete(oldest);
    }
    const call: Call = { told: 0, at: Number.NEGATIVE_INFINITY, attempts: 0, isBusy: false, hasNews: false };
    this.#calls.set(user, call);
    return call;
  }

  #later(user: string, call: Call, delayMs: number): void {
    call.timer = this.#parts.clock.after(delayMs, () => {
      call.timer = undefined;
      this.#due(user, call);
    });
  }

  #due(user: string, call: Call): void {
    const { devices, users } = this.#parts;
    if (this.#stopped) return;
    if (devices.online(user) > 0 || !users.isPublished(user)) return this.here(user);
    const status = devices.statusOf(user);
    // Only just gone, or nobody knows.
    if (status === 'unknown' || status === 'here') return this.#later(user, call, lookAgainMs);
    call.isBusy = true;
    this.#line.add(user);
    this.#next();
  }

  #next(): void {
    while (!this.#stopped && this.#posting < concurrent) {
      const user = this.#line.take();
      if (user === undefined) return;
      const call = this.#calls.get(user);
      if (!call?.isBusy) continue;
      this.#posting++;
      void this.#tell(user, call).then(() => {
        this.#posting--;
        this.#next();
      });
    }
  }

  async #tell(user: string, call: Call): Promise<void> {
    const { ledger, post, metrics, clock, log } = this.#parts;
    call.hasNews = false;
    try {
      const waiting = await ledger.do('waitingFor', { user, after: call.told });
      if (!waiting || this.#calls.get(user) !== call) return this.#rest(user, call);
      const { from, count, at, seq } = waiting;
      const posted = await post(JSON.stringify({ user, from, count, at: formatAt(at) }));
      if (this.#stopped) return;
      if (posted.kind === 'sent') {
        metrics.webhooks.inc({ result: 'sent' });
        call.told = seq;
      } else if (posted.kind === 'again' && call.attempts < backOffMs.length) {
        call.isBusy = false;
        const delayMs = backOffMs[call.attempts++]! * (0.5 + clock.random() / 2);
        // Not if a device came meanwhile.
        if (this.#calls.get(user) === call) this.#later(user, call, delayMs);
        return;
      } else {
        metrics.webhooks.inc({ result: 'failed' });
        log.warn({ event: 'webhook.failed', user, count, reason: posted.reason, attempts: call.attempts + 1 });
      }
      call.at = clock.now();
      this.#rest(user, call);
    } catch (error) {
      log.error({ event: 'webhook.fault', user, error: String(error) });
      this.#rest(user, call);
    }
  }

  /** Until the next message. */
  #rest(user: string, call: Call): void {
    call.isBusy = false;
    call.attempts = 0;
    if (this.#calls.get(user) !== call) return;
    if (call.hasNews) this.look(user);
    else if (call.at === Number.NEGATIVE_INFINITY) this.#calls.delete(user);
  }
}
