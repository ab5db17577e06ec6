// Group commit: what resolves when, what a failing commit or a faulty call does to the others. The test holds the gate.

import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { accept, draft, localLedger } from './bench.ts';
import type { Gate } from './local-engine.ts';

const entriesIn = (db: DatabaseSync) => Number(db.prepare('SELECT count(*) AS n FROM entry').get()?.n);

/** Lets one step through at a time; `fail` makes the commit that waits fail. */
class HeldGate {
  commits = 0;
  #arrived = Promise.withResolvers<void>();
  #step = Promise.withResolvers<void>();

  gate = async (step: 'commit' | 'answer') => {
    if (step === 'answer') return;
    this.commits++;
    this.#arrived.resolve();
    await this.#step.promise;
  };

  /** A batch waits for its commit. */
  async arrived(): Promise<void> {
    await this.#arrived.promise;
  }

  async pass(): Promise<void> {
    await this.#next().resolve();
  }

  async fail(text: string): Promise<void> {
    await this.#next().reject(new Error(text));
  }

  #next() {
    const step = this.#step;
    this.#arrived = Promise.withResolvers<void>();
    this.#step = Promise.withResolvers<void>();
    return step;
  }
}

/** Runs what waits for time when it is told to. */
class HandClock implements Clock {
  readonly delays: number[] = [];
  #tasks: (() => void)[] = [];
  #waiting = Promise.withResolvers<void>();

  now = () => 1_000;
  random = () => 0;
  after(delayMs: number, task: () => void) {
    this.delays.push(delayMs);
    this.#tasks.push(task);
    this.#waiting.resolve();
    return { cancel: () => {} };
  }

  async tick(): Promise<void> {
    await this.#waiting.promise;
    this.#waiting = Promise.withResolvers<void>();
    for (const task of this.#tasks.splice(0)) task();
  }
}

let db: DatabaseSync;
beforeEach(() => {
  db = new DatabaseSync(':memory:');
});
afterEach(() => db.close());

/** Whether it has settled once everything that could run has run. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const later = turn('pending');
  return (
    (await Promise.race([
      promise.then(
        () => 'done',
        () => 'done',
      ),
      later,
    ])) === 'pending'
  );
}

describe('a commit', () => {
  test('comes before any outcome and before any delivery', async () => {
    const held = new HeldGate();
    const ledger = localLedger(db, held.gate);
    const committed: number[] = [];
    ledger.onCommitted = ({ seq }) => committed.push(seq);
    const { seq, key, outcome } = ledger.accept(() => draft());
    expect([seq, typeof key]).toEqual([1, 'string']);
    await held.arrived();
    expect(await isPending(outcome)).toBe(true);
    expect(committed).toEqual([]);
    expect(ledger.uncommittedBytes).toBeGreaterThan(0);
    await held.pass();
    expect(await outcome).toEqual({ kind: 'new' });
    expect(committed).toEqual([1]);
    expect(ledger.uncommittedBytes).toBe(0);
  });

  test('holds all that came meanwhile, in the order it came', async () => {
    const held = new HeldGate();
    const ledger = localLedger(db, held.gate);
    const committed: number[] = [];
    ledger.onCommitted = ({ seq }) => committed.push(seq);
    const calls: Promise<unknown>[] = [accept(ledger)];
    await held.arrived();
    for (let n = 0; n < 500; n++) calls.push(accept(ledger));
    const answered = ledger.do('answered', { seq: 300, at: 5 });
    const view = ledger.do('entries', { state: 'acked' });
    await held.pass();
    await held.arrived();
    await held.pass();
    await Promise.all([...calls, answered]);
    expect((await view).map(({ seq }) => seq)).toEqual([300]);
    expect(committed).toEqual(Array.from({ length: 501 }, (_, index) => index + 1));
    expect(held.commits).toBe(2);
  });

  test.each([
    ['4096 calls', 10_000, 10, 3],
    ['8 MB', 5, 3_000_000, 3],
    ['one call, however large it is', 2, 5_000_000, 2],
  ])('holds no more than %s', async (_, count, size, commits) => {
    let seen = 0;
    const ledger = localLedger(db, async (step) => {
      if (step === 'commit') seen++;
    });
    const payload = 'x'.repeat(size);
    await Promise.all(Array.from({ length: count }, () => accept(ledger, { payload })));
    expect(seen).toBe(commits);
  });

  test.each([
    ['behind 4,095 others', 4_095, 2, 10, [4_095, 2]],
    ['behind 4,000 others', 4_000, 200, 10, [4_000, 200]],
    ['however many they are', 0, 5_000, 10, [5_000]],
    ['however large they are', 2, 3, 4_000_000, [2, 3]],
    ['and no further', 10, 10, 10, [20]],
  ])('is one for calls that belong together, %s', async (_, others, count, size, commits) => {
    const seen: number[] = [];
    const ledger = localLedger(db, async (step) => {
      if (step === 'answer') seen.push(entriesIn(db) - seen.reduce((sum, one) => sum + one, 0));
    });
    const payload = 'x'.repeat(size);
    const calls = Array.from({ length: others }, () => accept(ledger, { payload: 'x' }));
    ledger.together(() => {
      for (let n = 0; n < count; n++) calls.push(accept(ledger, { payload }));
    });
    await Promise.all(calls);
    expect(seen).toEqual(commits);
  });

  test('that never came leaves nothing, and one whose answer never came leaves all', async () => {
    const never = new Promise<void>(() => {});
    localLedger(db, () => never).accept(() => draft({ id: 'before' }));
    const written = Promise.withResolvers<void>();
    const crashed = localLedger(db, async (step) => {
      if (step === 'commit') return;
      written.resolve();
      await never;
    });
    const lost = crashed.accept(() => draft({ id: 'after' }));
    await written.promise;
    const ledger = localLedger(db);
    expect((await ledger.do('entries', {})).map(({ id, key }) => [id, key])).toEqual([['after', lost.key]]);
    expect((await accept(ledger)).key).not.toBe(lost.key);
  });
});

describe('a commit that fails', () => {
  test('acknowledges nothing, is tried again with growing pauses, and then answers as if nothing had been', async () => {
    const clock = new HandClock();
    let failures = 8;
    const ledger = localLedger(
      db,
      async (step) => {
        if (step === 'commit' && failures-- > 0) throw new Error('disk I/O error');
      },
      { clock },
    );
    const committed: number[] = [];
    ledger.onCommitted = ({ seq }) => committed.push(seq);
    const first = accept(ledger);
    for (let n = 0; n < 8; n++) {
      expect(await isPending(first)).toBe(true);
      expect(ledger.writable).toBe(false);
      expect(ledger.uncommittedBytes).toBeGreaterThan(0);
      await clock.tick();
    }
    expect((await first).kind).toBe('new');
    expect(ledger.writable).toBe(true);
    expect(committed).toEqual([1]);
    expect(clock.delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect((await ledger.do('counts', {})).toMqtt.accepted).toBe(1);
  });

  test('on a full disk: nothing is half written, questions are answered, work resumes by itself', async () => {
    const clock = new HandClock();
    const ledger = localLedger(db, undefined, { clock });
    await accept(ledger, { id: 'early' });
    const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count);
    db.exec(`PRAGMA max_page_count = ${pages}`);
    const answered = ledger.do('answered', { seq: 1, at: 5 });
    const waiting = accept(ledger, { payload: 'x'.repeat(200_000) });
    expect(await isPending(waiting)).toBe(true);
    expect(await isPending(answered)).toBe(true);
    expect(ledger.writable).toBe(false);
    expect((await ledger.do('entries', {})).map(({ id, state }) => [id, state])).toEqual([['early', 'accepted']]);
    expect((await ledger.do('counts', {})).toMqtt.accepted).toBe(1);
    db.exec('PRAGMA max_page_count = 1000000');
    await clock.tick();
    expect((await waiting).kind).toBe('new');
    expect(ledger.writable).toBe(true);
    expect((await ledger.do('counts', {})).toMqtt).toMatchObject({ accepted: 1, acked: 1 });
  });

  test('at closing is not written before one that failed: a link would be read further than what is here', async () => {
    let tries = 0;
    const gate: Gate = async (step) => {
      if (step === 'commit' && ++tries <= 2) throw new Error('database or disk is full');
    };
    const ledger = localLedger(db, gate, { clock: new HandClock() });
    const position = (n: number) => ({ link: 'link', epoch: 'one', n });
    const first = ledger.accept(() => draft({ position: position(1) }));
    expect(await isPending(first.outcome)).toBe(true);
    const second = ledger.accept(() => draft({ position: position(2) }));
    const outcomes = Promise.allSettled([first.outcome, second.outcome]);
    await ledger.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await localLedger(db).do('position', { link: 'link' })).toBeNull();
  });

  test('at closing is tried once more, then what is left rejects', async () => {
    const clock = new HandClock();
    let tries = 0;
    const ledger = localLedger(
      db,
      async () => {
        tries++;
        throw new Error('disk I/O error');
      },
      { clock },
    );
    const lost = accept(ledger);
    expect(await isPending(lost)).toBe(true);
    const [outcome] = await Promise.allSettled([lost, ledger.close()]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'not written: disk I/O error' } });
    expect(tries).toBe(2);
  });
});

describe('a note', () => {
  test('goes along with the next commit, in its place among the calls', async () => {
    let commits = 0;
    const ledger = localLedger(db, async (step) => void (step === 'commit' && commits++), { clock: new HandClock() });
    const { seq } = await accept(ledger);
    ledger.note('answered', { seq, at: 5 });
    await turn();
    expect(commits).toBe(1);
    expect(await ledger.do('republish', {})).toHaveLength(1);
    expect(commits).toBe(2);
  });

  test('is written by itself when nobody else writes for a while', async () => {
    const clock = new HandClock();
    const ledger = localLedger(db, undefined, { clock });
    const { seq } = await accept(ledger);
    ledger.note('answered', { seq, at: 5 });
    await turn();
    expect(ledger.uncommittedBytes).toBeGreaterThan(0);
    await clock.tick();
    await turn();
    expect(ledger.uncommittedBytes).toBe(0);
    expect(db.prepare('SELECT state FROM entry').get()).toEqual({ state: 2 });
  });

  test('is written at closing; after that, or when it cannot be written, the log has it', async () => {
    const lines: unknown[] = [];
    const log = { ...silentLog, error: (line: unknown) => void lines.push(line) } as Log;
    const ledger = localLedger(db, undefined, { log, clock: new HandClock() });
    const { seq } = await accept(ledger);
    ledger.note('answered', { seq, at: 5 });
    await ledger.close();
    expect(db.prepare('SELECT state FROM entry').get()).toEqual({ state: 2 });
    ledger.note('answered', { seq, at: 6 });
    expect(lines).toEqual([{ event: 'ledger.failed', operation: 'answered', error: 'the ledger is closed' }]);
  });
});

describe('a faulty call', () => {
  const faulty = { channel: null as unknown as string };

  test.each([
    ['breaks a rule of the schema', faulty],
    ['has a value that cannot be stored', { user: {} as string }],
  ])('that %s rejects alone; the others of its batch are written', async (_, faulty) => {
    const ledger = localLedger(db);
    const committed: number[] = [];
    ledger.onCommitted = ({ seq }) => committed.push(seq);
    const results = await Promise.allSettled([accept(ledger), accept(ledger, faulty), accept(ledger)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(committed).toEqual([1, 3]);
    expect(ledger.writable).toBe(true);
    expect((await ledger.do('entries', {})).map(({ seq }) => seq)).toEqual([1, 3]);
    expect((await ledger.do('counts', {})).toMqtt.accepted).toBe(2);
  });

  test('leaves nothing of itself behind, not even its keys', async () => {
    const ledger = localLedger(db);
    const archiveKey = 'k'.repeat(22);
    await expect(accept(ledger, { ...faulty, archiveKey })).rejects.toThrow('accept: NOT NULL');
    expect((await accept(ledger, { archiveKey })).kind).toBe('new');
  });

  test('of an unknown name rejects', async () => {
    const ledger = localLedger(db);
    await expect(ledger.do('nonsense' as 'counts', {})).rejects.toThrow('nonsense');
  });
});

test('a listener that throws keeps nobody from the answer', async () => {
  const ledger = localLedger(db);
  const heard: number[] = [];
  ledger.onCommitted = ({ seq }) => {
    heard.push(seq);
    throw new Error('bug');
  };
  const outcomes = await Promise.all([accept(ledger), accept(ledger)]);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['new', 'new']);
  expect(heard).toEqual([1, 2]);
});

test('closing writes what was handed in before, and refuses what comes after', async () => {
  const ledger: Ledger = localLedger(db);
  const before = accept(ledger);
  await ledger.close();
  expect((await before).kind).toBe('new');
  await expect(accept(ledger)).rejects.toThrow('closed');
  await expect(ledger.do('counts', {})).rejects.toThrow('closed');
  await ledger.close();
});
