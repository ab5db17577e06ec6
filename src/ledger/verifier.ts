// Checks the ledger's account piece by piece: between two pieces whatever else there is to commit has its turn.

import { type Clock, every, type Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Account, Piece } from './account.ts';
import type { Ledger } from './ledger.ts';

/** A piece takes one to three milliseconds. */
const pieceRows = 1_000;
const pauseMs = 2;
/** By itself, everything is looked at so often. */
const everyMs = 60 * 60_000;
const firstAfterMs = 60_000;

/** Which part of the ledger; nothing: all of it, with the counts that stand beside the entries. */
export interface Part {
  user?: string;
  /** Only what was accepted from then on; ms since 1970. */
  since?: number;
}

export interface Verified extends Account {
  at: number;
  tookMs: number;
}

export class Verifier {
  /** The last check of everything. */
  last: Verified | undefined;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  /** One at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ ledger, clock }: { ledger: Ledger; clock: Clock }) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** From now on it checks everything by itself, a minute from now and then once an hour; what it finds is in the log and in `last`. */
  start(log: Log): Timer {
    const check = async () => {
      const { faults, checked, tookMs } = await this.verify();
      if (faults.length > 0)
        log.error({ event: 'ledger.imbalance', checked, tookMs, faults }, 'see: crossfade ledger verify');
      else log.info({ event: 'ledger.verified', checked, tookMs });
    };
    const failed = (error: unknown) => log.warn({ event: 'ledger.not-verified', error: (error as Error).message });
    let timer: Timer = this.#clock.after(firstAfterMs, () => {
      check().catch(failed);
      timer = every(this.#clock, everyMs, check, failed);
    });
    return { cancel: () => timer.cancel() };
  }

  verify(part: Part = {}): Promise<Verified> {
    const verified = this.#turn.then(() => this.#run(part));
    this.#turn = verified.catch(() => {});
    return verified;
  }

  async #run(part: Part): Promise<Verified> {
    const at = this.#clock.now();
    for (let from: number | null = null; ; ) {
      const piece: Piece = await this.#ledger.do('verify', { ...part, from, limit: pieceRows });
      if ('account' in piece) {
        const verified = { ...piece.account, at, tookMs: this.#clock.now() - at };
        if (part.user === undefined && part.since === undefined) this.last = verified;
        return verified;
      }
      from = piece.next;
      await new Promise<void>((resolve) => this.#clock.after(pauseMs, resolve));
    }
  }
}
