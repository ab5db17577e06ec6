// Waits until the server has counted what a client session wrote; the limit to that leaves out the time in which we did not read.

import type { Clock, Timer } from '../clock.ts';

const limitMs = 30_000;

export interface FencesParts {
  clock: Clock;
  isClosed: () => boolean;
  drop: (reason: string) => void;
  /** Resolves, with the number of the last stanza until now, once that is written. */
  written: () => Promise<number>;
  /** Asks the server for its count. */
  ask: () => void;
}

export class Fences {
  readonly #parts: FencesParts;
  /** In order of their numbers. */
  readonly #open: { n: number; done: (isThere: boolean) => void; limit: Timer }[] = [];
  #isPaused = false;
  #pauses = 0;

  constructor(parts: FencesParts) {
    this.#parts = parts;
  }

  /** Resolves once the server has counted all that was written: what it had to send for that came before its answer. */
  pass(): Promise<boolean> {
    const { isClosed, written, ask } = this.#parts;
    if (isClosed()) return Promise.resolve(false);
    return written().then(
      (n) =>
        new Promise((done) => {
          if (isClosed()) return done(false);
          this.#open.push({ n, done, limit: this.limit('an ack was not answered') });
          ask();
        }),
    );
  }

  /** The server has counted up to h. */
  counted(h: number): void {
    while (this.#open[0] && this.#open[0].n <= h) {
      const { done, limit } = this.#open.shift()!;
      limit.cancel();
      done(true);
    }
  }

  /** The connection is gone. */
  lost(): void {
    for (const { done, limit } of this.#open.splice(0)) {
      limit.cancel();
      done(false);
    }
  }

  /** Ends the connection, for `fault`, unless it is cancelled in time. */
  limit(fault: string): Timer {
    const { clock, isClosed, drop } = this.#parts;
    const start = (): Timer => {
      const pauses = this.#pauses;
      return clock.after(limitMs, () => {
        if (isClosed()) return;
        if (this.#isPaused || pauses !== this.#pauses) timer = start();
        else drop(fault);
      });
    };
    let timer = start();
    return { cancel: () => timer.cancel() };
  }

  /** Nothing is read from now on. */
  pause(): void {
    this.#pauses += 1;
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }
}
