// Back-pressure: while too much waits for the disk, nothing more is read from either side. Nothing is ever dropped for it.

import type { Clock, Timer } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Bytes accepted and not yet on disk: reading stops above the first and goes on below the second. */
const stopAtBytes = 2 * 1024 * 1024;
const resumeAtBytes = 1024 * 1024;
const lookEveryMs = 5;

export interface Source {
  pauseReading(): void;
  resumeReading(): void;
}

export class Pressure {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #sources: Set<Source>;
  #paused = false;
  #looking: Timer | undefined;

  constructor(parts: { ledger: Ledger; clock: Clock; sources: Source[] }) {
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#sources = new Set(parts.sources);
  }

  /** To be called after whatever was handed to the ledger. */
  check(): void {
    if (this.#paused || this.#ledger.uncommittedBytes < stopAtBytes) return;
    this.#paused = true;
    for (const source of this.#sources) source.pauseReading();
    this.#look();
  }

  /** From this source nothing is read any more, whatever becomes of the others. */
  end(source: Source): void {
    this.#sources.delete(source);
    source.pauseReading();
  }

  /** Reading never goes on again. */
  stop(): void {
    this.#paused = true;
    this.#looking?.cancel();
    for (const source of this.#sources) source.pauseReading();
  }

  #look(): void {
    if (this.#ledger.uncommittedBytes > resumeAtBytes) {
      this.#looking = this.#clock.after(lookEveryMs, () => this.#look());
      return;
    }
    this.#paused = false;
    for (const source of this.#sources) source.resumeReading();
  }
}
