// Keeps one stream to the legacy server up: opens it, pings it, opens it again with jittered back-off.

import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';

export interface Timing {
  /** Connecting, TCP and stream header together. */
  openMs: number;
  handshakeMs: number;
  /** So long may the server be silent between our end of the stream and its own. */
  goodbyeMs: number;
  /** From the answer of one keep-alive ping to the next, and how long an answer may take. */
  pingEveryMs: number;
  pingLimitMs: number;
  /** The first and the longest pause before a new attempt; between them it doubles. */
  pauseMinMs: number;
  pauseMaxMs: number;
  /** Online for so long: the next pause is the shortest again. */
  stableMs: number;
}

export const defaultTiming: Timing = {
  openMs: 10_000,
  handshakeMs: 10_000,
  goodbyeMs: 3_000,
  pingEveryMs: 30_000,
  pingLimitMs: 15_000,
  pauseMinMs: 250,
  pauseMaxMs: 30_000,
  stableMs: 30_000,
};

export interface Supervised {
  /** Begins an attempt; each ends in `lost`. */
  open(): void;
  /** One ping: true if anything came back. */
  ping(limitMs: number): Promise<boolean>;
  /** Ends the attempt or the connection at once. */
  close(reason: string): void;
}

export class Supervisor {
  readonly #connection: Supervised;
  readonly #timing: Timing;
  readonly #clock: Clock;
  readonly #log: Log;
  #running = false;
  #failures = 0;
  #onlineSince: number | null = null;
  #timer: Timer | null = null;

  constructor(connection: Supervised, timing: Timing, clock: Clock, log: Log) {
    this.#connection = connection;
    this.#timing = timing;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#connection.open();
  }

  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
  }

  /** The connection is up. */
  online(): void {
    this.#onlineSince = this.#clock.now();
    this.#pingLater();
  }

  /** The attempt or the connection has ended. */
  lost(reason: string, refused: boolean): void {
    this.#timer?.cancel();
    const stable = this.#onlineSince !== null && this.#clock.now() - this.#onlineSince >= this.#timing.stableMs;
    this.#onlineSince = null;
    if (!this.#running) return;
    if (stable) this.#failures = 0;
    const pauseMs = pauseBefore(this.#failures, this.#timing, this.#clock.random());
    this.#failures += 1;
    if (refused)
      this.#log.error({ event: 'component.refused', reason, pauseMs }, `component secret refused: ${reason}`);
    else this.#log.warn({ event: 'component.offline', reason, pauseMs }, `component offline: ${reason}`);
    this.#timer = this.#clock.after(pauseMs, () => this.#connection.open());
  }

  #pingLater(): void {
    const since = this.#onlineSince;
    this.#timer = this.#clock.after(this.#timing.pingEveryMs, async () => {
      const answered = await this.#connection.ping(this.#timing.pingLimitMs);
      if (!this.#running || this.#onlineSince !== since) return;
      if (answered) this.#pingLater();
      else this.#connection.close('no answer to the keep-alive ping');
    });
  }
}

/** Doubling from the shortest to the longest; of that between a half and all, so that many do not come back at once. */
export function pauseBefore(
  failures: number,
  timing: Pick<Timing, 'pauseMinMs' | 'pauseMaxMs'>,
  random: number,
): number {
  const full = Math.min(timing.pauseMaxMs, timing.pauseMinMs * 2 ** Math.min(failures, 30));
  return Math.round(full * (0.5 + random / 2));
}
