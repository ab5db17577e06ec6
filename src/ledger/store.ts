// The half of the ledger that owns the database: executes calls in order, many in one commit. Synchronous, no clock, no thread.

import type { DatabaseSync } from 'node:sqlite';
import type { KeySpace } from './codes.ts';
import { Derived } from './derived.ts';
import type { AcceptArgs, Call, Result } from './engine.ts';
import { beginNewLife, keySpaceOf } from './file-life.ts';
import type { Outcome } from './ledger.ts';
import type { Operations } from './operations.ts';
import { migrate } from './schema.ts';
import { acceptOperation } from './store-accept.ts';
import { byHandOperations } from './store-by-hand.ts';
import { expiryOperations } from './store-expiry.ts';
import { lifeOperations } from './store-life.ts';
import { Links } from './store-links.ts';
import { Marks } from './store-marks.ts';
import { outboundOperations } from './store-outbound.ts';
import { ownOperations } from './store-own.ts';
import { readOperations } from './store-read.ts';
import { standingOperations } from './store-standing.ts';
import { sweepOperations } from './store-sweep.ts';
import { userOperations } from './store-users.ts';
import { verifyOperation } from './store-verify.ts';
import { waitingOperations } from './store-waiting.ts';
import { Tally } from './tally.ts';

/** Primary result codes that speak of one statement (error, toobig, constraint, mismatch, range), not of the disk. https://sqlite.org/rescode.html */
const ownFaults = new Set([1, 18, 19, 20, 25]);

function isOwnFault(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode;
  return code === undefined || ownFaults.has(code & 0xff);
}

/**
 * The statements of all operations say `LIMIT ? + 0`: a bare `LIMIT ?` SQLite plans by its value, and so compiles the statement anew at
 * each execution, which takes twenty times as long as finding that nothing is there.
 */
export class Store {
  readonly space: KeySpace;
  /** It was a backup until now, made at this time (ms). */
  readonly restored: number | undefined;
  readonly operations: Operations;
  readonly #accept: (args: AcceptArgs) => Outcome;
  readonly #db: DatabaseSync;
  readonly #derived: Derived;
  readonly #tally: Tally;
  readonly #links: Links;
  readonly #marks: Marks;
  readonly #putLastSeq;
  #lastSeq: number;
  /** With the batch in hand. */
  #handedOut = 0;

  /** Brings the schema up to date. Throws as `migrate` does. `path` is for the texts. */
  constructor(db: DatabaseSync, path: string) {
    migrate(db, path);
    this.#db = db;
    this.restored = beginNewLife(db);
    this.space = keySpaceOf(db);
    this.#lastSeq = Number(db.prepare('SELECT last_seq FROM file').get()?.last_seq);
    this.#putLastSeq = db.prepare('UPDATE file SET last_seq = ?');
    this.#derived = new Derived(db);
    this.#tally = new Tally(db);
    this.#marks = new Marks(db);
    this.#links = new Links(db, this.#marks);
    this.#accept = acceptOperation(db, {
      tally: this.#tally,
      derived: this.#derived,
      links: this.#links,
      marks: this.#marks,
    });
    const users = userOperations(db, this.#marks);
    this.operations = {
      ...lifeOperations(db, this.#tally, this.#derived, this.space),
      ...sweepOperations(db, this.#tally, this.#derived),
      ...readOperations(db, this.#tally, this.space),
      ...byHandOperations(db, { tally: this.#tally, derived: this.#derived, space: this.space }),
      ...standingOperations(db),
      ...expiryOperations(db, this.#tally, this.#derived),
      ...waitingOperations(db),
      ...outboundOperations(db),
      ...this.#links.operations,
      ...this.#marks.operations,
      ...users,
      ...ownOperations(db, (note) => note && users.audited(note)),
      ...verifyOperation(db, {
        ...{ tally: this.#tally, derived: this.#derived, space: this.space },
        lastSeq: () => this.#handedOut,
      }),
    };
  }

  /** The highest number ever written down as handed out. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /**
   * Executes all calls in one commit. A call that fails by itself becomes a fault and leaves the others alone. Throws
   * when the commit fails (full disk): then nothing of the batch is written.
   */
  run(calls: Call[]): Result[] {
    try {
      return this.#transaction(calls, (call) => ({ value: this.#execute(call) }));
    } catch (error) {
      if (!isOwnFault(error)) throw error;
    }
    return this.#transaction(calls, (call) => this.#isolated(call));
  }

  #transaction(calls: Call[], step: (call: Call) => Result): Result[] {
    const restore = this.#save();
    const lastSeq = calls.reduce(highest, this.#lastSeq);
    this.#handedOut = lastSeq;
    this.#db.exec('BEGIN');
    try {
      const results = calls.map(step);
      if (lastSeq > this.#lastSeq) this.#putLastSeq.run(lastSeq);
      this.#tally.write();
      this.#links.write();
      this.#db.exec('COMMIT');
      this.#derived.committed();
      this.#tally.committed();
      this.#links.committed();
      this.#marks.committed();
      this.#lastSeq = lastSeq;
      return results;
    } catch (error) {
      restore();
      // A full disk may have rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Slower, so only for a batch in which something failed. */
  #isolated(call: Call): Result {
    const restore = this.#save();
    this.#db.exec('SAVEPOINT call');
    try {
      const value = this.#execute(call);
      this.#db.exec('RELEASE call');
      return { value };
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      restore();
      this.#db.exec('ROLLBACK TO call; RELEASE call');
      return { fault: `${call.name}: ${(error as Error).message}` };
    }
  }

  /** What is kept in memory beside the rows, to be put back when they are rolled back. */
  #save(): () => void {
    const [derived, tally, links] = [this.#derived.save(), this.#tally.save(), this.#links.save()];
    return () => {
      this.#derived.restore(derived);
      this.#tally.restore(tally);
      this.#links.restore(links);
      this.#marks.restore();
    };
  }

  #execute(call: Call): unknown {
    if (call.name === 'accept') return this.#accept(call.args);
    const operation = this.operations[call.name] as (args: Call['args']) => unknown;
    return operation(call.args);
  }
}

/** Numbers of repeats count as well: their keys have been seen. */
function highest(top: number, call: Call): number {
  return call.name === 'accept' ? Math.max(top, call.args.seq + (call.args.copy ? 1 : 0)) : top;
}
