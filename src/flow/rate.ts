// How much an app may send: a bucket of tokens for each user (burst and rate), so that one user's flood does not become everybody's.

import type { Clock } from '../clock.ts';

export interface RateLimit {
  /** Messages a second that go on for ever. */
  perSecond: number;
  /** Messages that may come at once. */
  burst: number;
}

/** Buckets are looked through when there are so many; full ones are as good as none. */
const sweepAt = 10_000;

export class Rate {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  #sweepAt = sweepAt;

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Takes one message of this user's; answers in how many milliseconds it may come again, or 0 if it may come now. */
  take(user: string): number {
    const { perSecond, burst } = this.#limit;
    const now = this.#clock.now();
    const bucket = this.#buckets.get(user) ?? this.#open(user, now);
    // A clock that is put back gives nothing and takes nothing.
    const gained = (Math.max(0, now - bucket.at) * perSecond) / 1000;
    bucket.tokens = Math.min(burst, bucket.tokens + gained);
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) * 1000) / perSecond);
    bucket.tokens -= 1;
    return 0;
  }

  /** Users that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  #open(user: string, now: number): { tokens: number; at: number } {
    if (this.#buckets.size >= this.#sweepAt) this.#sweep(now);
    const bucket = { tokens: this.#limit.burst, at: now };
    this.#buckets.set(user, bucket);
    return bucket;
  }

  #sweep(now: number): void {
    const { perSecond, burst } = this.#limit;
    for (const [user, { tokens, at }] of this.#buckets)
      if (tokens + ((now - at) * perSecond) / 1000 >= burst) this.#buckets.delete(user);
    this.#sweepAt = Math.max(sweepAt, 2 * this.#buckets.size);
  }
}
