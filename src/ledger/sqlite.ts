// The ledger as the gateway uses it: node:sqlite in a thread of its own, so that an fsync never holds up a socket.

import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Backups, type Copy } from './backup.ts';
import { BatchedLedger } from './batch.ts';
import type { KeySpace } from './codes.ts';
import { type Call, type Engine, EngineGone, type Result } from './engine.ts';
import type { Ledger } from './ledger.ts';
import { type FromWorker, type Opened, packCalls, type ToWorker, unpackResult, type WorkerData } from './wire.ts';

/** A commit under way is waited for, also on a slow disk. */
const exitPatienceMs = 10_000;

export interface OpenLedger extends Ledger {
  /** Resolves if the thread ends by itself, which only a fault in the program can cause: the process should end and start anew. */
  readonly failed: Promise<Error>;
  readonly backups: Backups;
}

/**
 * Opens, or creates, the ledger at `path`. Rejects with a text for the operator when the file is in use, is no ledger,
 * was written by a newer version or cannot be opened.
 */
export async function openLedger(options: { path: string; clock: Clock; log: Log }): Promise<OpenLedger> {
  const engine = await WorkerEngine.open(options.path);
  const { clock, log, path } = options;
  const ledger = new BatchedLedger({ engine, clock, log });
  if (engine.restored !== undefined)
    log.warn(
      { event: 'ledger.restored', path, backupAt: new Date(engine.restored).toISOString(), space: engine.space.name },
      'the ledger is a backup: it begins a new key space, and what was archived since is caught up',
    );
  const copy: Copy = (file, progress) => engine.copy(file, progress);
  return Object.assign(ledger, { failed: engine.failed, backups: new Backups({ copy, clock, log }) });
}

export class WorkerEngine implements Engine {
  readonly space: KeySpace;
  readonly lastSeq: number;
  readonly restored: number | undefined;
  readonly failed: Promise<Error>;
  readonly #worker: Worker;
  /** The thread answers in order, so the first here belongs to the next answer. */
  readonly #waiting: { batch: Call[]; answer: PromiseWithResolvers<Result[]> }[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #gone: EngineGone | undefined;
  #closing = false;
  /** Becomes 1 when the file is closed. */
  readonly #closed: Int32Array;
  /**
   * However the process ends, if it still can say something: the file is closed as it should be. Node ends a thread by closing its
   * database behind its back, and SQLite then removes the log, while the file says that it is in use.
   */
  readonly #atExit = () => {
    if (this.#gone) return;
    this.#worker.postMessage({ close: true } satisfies ToWorker);
    Atomics.wait(this.#closed, 0, 0, exitPatienceMs);
  };
  #copying: { progress: (done: number, of: number) => void; end: (fault?: Error) => void } | undefined;

  static async open(path: string): Promise<WorkerEngine> {
    // As .ts when run from source, as .js when compiled.
    const closed = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: { path, closed } satisfies WorkerData,
    });
    const first = await new Promise<FromWorker>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if ('opened' in first) return new WorkerEngine(worker, closed, first.opened);
    throw new Error('refused' in first ? first.refused : 'the thread of the ledger did not open it');
  }

  private constructor(worker: Worker, closed: Int32Array, { space, lastSeq, restored }: Opened) {
    this.space = space;
    this.lastSeq = lastSeq;
    this.restored = restored;
    this.#worker = worker;
    this.#closed = closed;
    process.once('exit', this.#atExit);
    const failed = Promise.withResolvers<Error>();
    this.failed = failed.promise;
    worker.on('message', (message: FromWorker) => this.#hear(message));
    let reason = 'without a reason';
    worker.on('error', (error: Error) => {
      reason = error.message;
    });
    worker.on('exit', () => {
      process.off('exit', this.#atExit);
      this.#gone ??= new EngineGone(`the thread of the ledger ended: ${reason}`);
      for (const { answer } of this.#waiting.splice(0)) answer.reject(this.#gone);
      this.#copying?.end(this.#gone);
      if (!this.#closing) failed.resolve(this.#gone);
      this.#ended.resolve();
    });
  }

  run(batch: Call[]): Promise<Result[]> {
    if (this.#gone) return Promise.reject(this.#gone);
    const answer = Promise.withResolvers<Result[]>();
    this.#waiting.push({ batch, answer });
    this.#worker.postMessage({ run: packCalls(batch) } satisfies ToWorker);
    return answer.promise;
  }

  /** To a file that is there and empty; one at a time. What is committed meanwhile is in the copy. */
  copy(file: string, progress: (done: number, of: number) => void): Promise<void> {
    if (this.#gone) return Promise.reject(this.#gone);
    return new Promise<void>((resolve, reject) => {
      this.#copying = { progress, end: (fault) => (fault ? reject(fault) : resolve()) };
      this.#worker.postMessage({ copy: file } satisfies ToWorker);
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#worker.postMessage({ close: true } satisfies ToWorker);
    await this.#ended.promise;
  }

  #hear(message: FromWorker): void {
    if ('copied' in message) return this.#heardOfCopy(message.copied);
    const first = this.#waiting.shift();
    if (!first) return;
    const { batch, answer } = first;
    if ('results' in message) answer.resolve(message.results.map((result, at) => unpackResult(batch[at]!, result)));
    else if ('failed' in message) answer.reject(new Error(message.failed));
  }

  #heardOfCopy(copied: Extract<FromWorker, { copied: unknown }>['copied']): void {
    if (copied === 'all') this.#copying?.end();
    else if ('fault' in copied) this.#copying?.end(new Error(copied.fault));
    else this.#copying?.progress(copied.done, copied.of);
  }
}
