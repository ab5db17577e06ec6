// How fast client sessions are made: so many a second over all, and more and more rarely for a user whom the server does not let in.

import type { Clock } from '../clock.ts';
import { Remembered } from './remembered.ts';

interface Strike {
  count: number;
  until: number;
  condition: string;
  text: string;
}

const firstMs = 30_000;
const lastMs = 15 * 60_000;

export class Paces {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #strikes: Remembered<Strike>;
  #nextAt = 0;

  constructor({ clock, perSecond }: { clock: Clock; perSecond: number }) {
    this.#clock = clock;
    this.#everyMs = 1000 / perSecond;
    this.#strikes = new Remembered(clock);
  }

  /** Resolves when the next session may be made. */
  async turn(): Promise<true> {
    const now = this.#clock.now();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + this.#everyMs;
    if (at > now) await new Promise<void>((resolve) => this.#clock.after(at - now, resolve));
    return true;
  }

  /** What the server said last, while it is not asked again: a wrong password tried often locks an account. */
  refusal(user: string): { kind: 'refused'; condition: string; text: string } | null {
    const strike = this.#strikes.get(user);
    if (!strike || this.#clock.now() >= strike.until) return null;
    const { condition, text } = strike;
    return { kind: 'refused', condition, text };
  }

  refused(user: string, condition: string, text: string): { kind: 'refused'; condition: string; text: string } {
    const count = (this.#strikes.get(user)?.count ?? 0) + 1;
    const pauseMs = Math.min(lastMs, firstMs * 2 ** (count - 1)) * (0.5 + this.#clock.random() / 2);
    this.#strikes.set(user, { count, until: this.#clock.now() + pauseMs, condition, text });
    return { kind: 'refused', condition, text };
  }

  passed(user: string): void {
    this.#strikes.delete(user);
  }
}
