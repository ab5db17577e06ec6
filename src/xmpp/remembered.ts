// What is remembered of single users for a week: it must not grow with all of whom there was ever something to remember.

import type { Clock } from '../clock.ts';

const rememberedMs = 7 * 86_400_000;

export class Remembered<T> {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #byUser = new Map<string, { what: T; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byUser.size;
  }

  get(user: string): T | undefined {
    const one = this.#byUser.get(user);
    return one && this.#isOld(one.at) ? undefined : one?.what;
  }

  set(user: string, what: T): void {
    this.#byUser.delete(user);
    this.#byUser.set(user, { what, at: this.#clock.now() });
    for (const [oldest, { at }] of this.#byUser) {
      if (!this.#isOld(at)) return;
      this.#byUser.delete(oldest);
    }
  }

  delete(user: string): void {
    this.#byUser.delete(user);
  }

  /** A clock that was put back must not keep what is old. */
  #isOld(at: number): boolean {
    return Math.abs(this.#clock.now() - at) >= rememberedMs;
  }
}
