// The store without a thread, for simulation and tests: the caller decides when, and whether, a batch commits.

import type { DatabaseSync } from 'node:sqlite';
import type { KeySpace } from '../../src/ledger/codes.ts';
import type { Call, Engine, Result } from '../../src/ledger/engine.ts';
import { Store } from '../../src/ledger/store.ts';

/**
 * `commit` comes before the transaction: a rejection is a failed commit, and the batch will be tried again.
 * `answer` comes after it: whoever never resolves here has crashed with the batch on disk and nobody told.
 */
export type Gate = (step: 'commit' | 'answer') => Promise<void>;

export class LocalEngine implements Engine {
  readonly #store: Store;
  readonly #gate: Gate;

  /** The database stays the caller's: `close` leaves it open, so that a next engine finds what was committed. */
  constructor(db: DatabaseSync, gate: Gate = () => Promise.resolve()) {
    this.#store = new Store(db, 'the ledger');
    this.#gate = gate;
  }

  get space(): KeySpace {
    return this.#store.space;
  }

  get lastSeq(): number {
    return this.#store.lastSeq;
  }

  async run(batch: Call[]): Promise<Result[]> {
    await this.#gate('commit');
    const results = this.#store.run(batch);
    await this.#gate('answer');
    return results;
  }

  async close(): Promise<void> {}
}
