// The ledger on the main thread: hands out numbers at once, gathers calls while a commit is under way, and commits them together.

import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { keyOf } from './codes.ts';
import { type Call, type Engine, EngineGone, type Result } from './engine.ts';
import type { Accepting, CommittedHandler, Draft, Entry, Ledger, Outcome } from './ledger.ts';
import type { Operations } from './operations.ts';

const maxBatchCalls = 4096;
const maxBatchBytes = 8 * 1024 * 1024;
const firstRetryMs = 100;
const maxRetryMs = 5_000;
/** How long a note may wait for a commit that somebody waits for: one fsync less for each PUBACK in quiet times. */
const noteDelayMs = 20;

interface Pending {
  call: Call;
  bytes: number;
  /** None: a note. */
  answer: { resolve(value: unknown): void; reject(error: Error): void } | null;
  /** Goes into the commit of the one before it. */
  isJoined?: boolean;
}

/**
 * Answered from what is on disk while commits fail, so that an operator can still see. Whatever the gateway itself decides by
 * waits for its place behind the writes.
 */
const questions: ReadonlySet<string> = new Set<keyof Operations>([
  ...(['counts', 'entries', 'entry', 'audit', 'piles', 'lastEntries', 'remainders', 'verify'] as const),
]);
/** What any call weighs beside its texts. */
const callBytes = 256;

export class BatchedLedger implements Ledger {
  onCommitted: CommittedHandler = () => {};
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #log: Log;
  #lastSeq: number;
  #queue: Pending[] = [];
  /** Somebody waits for what is in the queue, or its notes have waited long enough. */
  #isDue = false;
  #noteTimer: Timer | undefined;
  #uncommittedBytes = 0;
  #trouble: string | null = null;
  #pump: Promise<void> | undefined;
  #closed: Error | undefined;
  /** The last try of a batch has failed, so nothing behind it may be written: a link would count as read what is not here. */
  #givenUp: Error | undefined;
  /** While waiting to try a failed commit again: ends the wait. */
  #retryNow: (() => void) | undefined;

  constructor({ engine, clock, log }: { engine: Engine; clock: Clock; log: Log }) {
    this.#engine = engine;
    this.#clock = clock;
    this.#log = log;
    this.#lastSeq = engine.lastSeq;
  }

  get writable(): boolean {
    return this.#trouble === null;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }

  /** The outcome rejects only when the ledger is closed, or the draft itself cannot be written (a fault in the program). */
  accept(draft: (key: string) => Draft, copy?: (key: string) => Draft): Accepting {
    const seq = ++this.#lastSeq;
    const key = keyOf(this.#engine.space, seq);
    const args = {
      seq,
      at: this.#clock.now(),
      draft: draft(key),
      copy: copy?.(keyOf(this.#engine.space, ++this.#lastSeq)),
    };
    const bytes = bytesOf(args.draft) + (args.copy ? bytesOf(args.copy) : 0);
    return { seq, key, outcome: this.#enqueue({ name: 'accept', args }, bytes) as Promise<Outcome> };
  }

  do<Name extends keyof Operations>(
    name: Name,
    args: Parameters<Operations[Name]>[0],
  ): Promise<ReturnType<Operations[Name]>> {
    const call = { name, args } as Call;
    const answer =
      !this.writable && questions.has(name) ? this.#ask(call) : this.#enqueue(call, callBytes + textBytes(args));
    return answer as Promise<ReturnType<Operations[Name]>>;
  }

  note<Name extends keyof Operations>(name: Name, args: Parameters<Operations[Name]>[0]): void {
    if (this.#closed) return this.#lose(name, this.#closed);
    this.#queue.push({ call: { name, args } as Call, bytes: callBytes, answer: null });
    this.#uncommittedBytes += callBytes;
    if (this.#queue.length >= maxBatchCalls) this.#start();
    this.#noteTimer ??= this.#clock.after(noteDelayMs, () => {
      this.#noteTimer = undefined;
      this.#start();
    });
  }

  together(act: () => void): void {
    const first = this.#queue.length;
    act();
    for (const pending of this.#queue.slice(first + 1)) pending.isJoined = true;
  }

  /** Writes what was handed in before. If commits are failing it tries once more, then rejects what is left. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = new Error('the ledger is closed');
    this.#noteTimer?.cancel();
    this.#start();
    this.#retryNow?.();
    await this.#pump;
    await this.#engine.close();
  }

  #enqueue(call: Call, bytes: number): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      this.#queue.push({ call, bytes, answer: { resolve, reject } });
      this.#uncommittedBytes += bytes;
      this.#start();
    });
  }

  /** After this tick, so that what one chunk of the socket brings goes into one commit. */
  #start(): void {
    this.#isDue = this.#queue.length > 0;
    if (this.#isDue) this.#pump ??= Promise.resolve().then(() => this.#run());
  }

  async #ask(call: Call): Promise<unknown> {
    if (this.#closed) throw this.#closed;
    const [result] = await this.#engine.run([call]);
    if (!result || 'fault' in result) throw new Error(result?.fault);
    return result.value;
  }

  async #run(): Promise<void> {
    for (let next = this.#begin(); next; ) {
      const { batch, outcome } = next;
      const results = await outcome;
      // The thread has its next work before this one's callers take their time.
      next = this.#begin();
      for (const { bytes } of batch) this.#uncommittedBytes -= bytes;
      if (results instanceof Error) for (const pending of batch) this.#reject(pending, results);
      else for (const [index, pending] of batch.entries()) this.#finish(pending, results[index]!);
      next ??= this.#begin();
    }
    this.#pump = undefined;
  }

  /** Sends off what has gathered, if it is due. */
  #begin(): { batch: Pending[]; outcome: Promise<Result[] | Error> } | undefined {
    if (!this.#isDue) return undefined;
    const batch = this.#take();
    this.#isDue = this.#queue.length > 0;
    return { batch, outcome: this.#commit(batch.map((pending) => pending.call)) };
  }

  #take(): Pending[] {
    let calls = 0;
    let bytes = 0;
    for (const pending of this.#queue) {
      bytes += pending.bytes;
      if (calls === maxBatchCalls || (calls > 0 && bytes > maxBatchBytes)) break;
      calls++;
    }
    let end = calls;
    while (this.#queue[end]?.isJoined) end--;
    // Joined from the first on: more than the limit, since it may not be torn apart.
    if (end === 0) for (end = calls; this.#queue[end]?.isJoined; ) end++;
    return this.#queue.splice(0, end);
  }

  /** Tries until it is written; an error only when the ledger is closed before that. */
  async #commit(calls: Call[]): Promise<Result[] | Error> {
    if (this.#givenUp) return this.#givenUp;
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(delayMs * 2, maxRetryMs)) {
      const lastTry = this.#closed !== undefined;
      try {
        const results = await this.#engine.run(calls);
        if (!this.writable) this.#log.info({ event: 'ledger.writable' }, 'the ledger can be written again');
        this.#trouble = null;
        return results;
      } catch (error) {
        const text = (error as Error).message;
        if (text !== this.#trouble) {
          this.#log.error(
            { event: 'ledger.unwritable', error: text },
            'nothing is acknowledged until the ledger can be written',
          );
        }
        this.#trouble = text;
        if (error instanceof EngineGone) this.#closed ??= error;
        if (error instanceof EngineGone || lastTry) {
          this.#givenUp = new Error(`not written: ${text}`, { cause: error });
          return this.#givenUp;
        }
        await this.#pause(delayMs);
      }
    }
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#closed) return;
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#retryNow = resolve;
      timer = this.#clock.after(delayMs, resolve);
    });
    timer?.cancel();
    this.#retryNow = undefined;
  }

  #finish(pending: Pending, result: Result): void {
    const { call, answer } = pending;
    if ('fault' in result) {
      this.#log.error({ event: 'ledger.fault', error: result.fault });
      return this.#reject(pending, new Error(result.fault));
    }
    if (call.name === 'accept' && (result.value as Outcome).kind === 'new') {
      this.#announce(call.args.seq, call.args.draft);
      if (call.args.copy) this.#announce(call.args.seq + 1, call.args.copy);
    }
    answer?.resolve(result.value);
  }

  #reject({ call, answer }: Pending, error: Error): void {
    if (answer) answer.reject(error);
    else this.#lose(call.name, error);
  }

  #lose(operation: string, error: Error): void {
    this.#log.error({ event: 'ledger.failed', operation, error: error.message });
  }

  /** A listener that throws must not keep the others of the batch from their answer. */
  #announce(seq: number, draft: Draft): void {
    if (draft.refused) return;
    const { lane, user, peer, channel, id, topic, payload, expiresAt } = draft;
    const key = keyOf(this.#engine.space, seq);
    const entry: Entry = { seq, key, lane, user, peer, channel, id, topic, payload, expiresAt };
    try {
      this.onCommitted(entry);
    } catch (error) {
      this.#log.error({ event: 'ledger.listener', seq, error: (error as Error).message });
    }
  }
}

/** In memory, that is by characters: to count the bytes of UTF-8 would read every text once more. */
function bytesOf({ payload, original }: Draft): number {
  return callBytes + payload.length + (original?.length ?? 0);
}

/** Of lists only: the rest of a call is short. */
function textBytes(args: object): number {
  return 'keys' in args && Array.isArray(args.keys) ? args.keys.length * 64 : 0;
}
