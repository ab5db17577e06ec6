// How often the apps of one user may say how they are. What comes too fast waits, of each device the newest, and is heard a little later: each
// time one comes online, what its app has not acknowledged is published again, with the full set of contacts.

import type { Clock, Timer } from '../clock.ts';
import type { Metrics } from '../metrics.ts';
import { Rate } from './rate.ts';

/** As many devices as a user may have, twice; then one in half a second. */
const limit = { burst: 100, perSecond: 2 };
/** Of one user, which wait. */
const maxDevices = 50;

export interface PresencePaceParts {
  clock: Clock;
  metrics: Metrics;
  fault: (error: unknown) => void;
}

type Act = () => Promise<void>;

export class PresencePace {
  readonly #parts: PresencePaceParts;
  readonly #rate: Rate;
  readonly #waiting = new Map<string, { acts: Map<string, Act>; timer: Timer }>();

  constructor(parts: PresencePaceParts) {
    this.#parts = parts;
    this.#rate = new Rate(limit, parts.clock);
  }

  /** `accepted` is called when it is on disk; at once for what waits, since the broker retains it. */
  take(user: string, client: string, act: Act, accepted: () => void): void {
    const { metrics, fault } = this.#parts;
    const waiting = this.#waiting.get(user);
    const waitMs = waiting ? 0 : this.#rate.take(user);
    if (!waiting && waitMs === 0) return void act().then(accepted, fault);
    metrics.heldBack.inc({ limit: 'presence' });
    accepted();
    if (!waiting) {
      this.#waiting.set(user, { acts: new Map([[client, act]]), timer: this.#later(user, waitMs) });
      return;
    }
    const { acts } = waiting;
    acts.delete(client);
    acts.set(client, act);
    const [oldest] = acts.keys();
    if (acts.size > maxDevices && oldest !== undefined) acts.delete(oldest);
  }

  /**
   * What the broker would not tell once more, or tells only when we subscribe: that a presence was cleared, or lay there. It is heard at once,
   * and counts more than what waits of the device. An app makes no flood of it: one that is cleared must have been heard before.
   */
  pass(user: string, client: string, act: Act, accepted: () => void): void {
    this.#waiting.get(user)?.acts.delete(client);
    act().then(accepted, this.#parts.fault);
  }

  stop(): void {
    for (const { timer } of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  #later(user: string, waitMs: number): Timer {
    return this.#parts.clock.after(waitMs, () => this.#goOn(user));
  }

  #goOn(user: string): void {
    const waiting = this.#waiting.get(user);
    if (!waiting) return;
    for (const [client, act] of waiting.acts) {
      const waitMs = this.#rate.take(user);
      if (waitMs > 0) {
        waiting.timer = this.#later(user, waitMs);
        return;
      }
      waiting.acts.delete(client);
      act().catch(this.#parts.fault);
    }
    this.#waiting.delete(user);
  }
}
