// The file: its mode, its lock, its schema, what is in it after a kill -9, and that it gives back what is settled.

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { Store } from '../../src/ledger/store.ts';
import { silentLog } from '../../src/log.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { accept } from './bench.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  path = join(folder, 'ledger.sqlite');
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = () => openLedger({ path, clock: systemClock, log: silentLog });
const modeOf = (file: string) => statSync(file).mode & 0o777;

test('the file and its log are for the owner alone, also if they were not', async () => {
  let ledger = await open();
  await accept(ledger);
  expect([modeOf(path), modeOf(`${path}-wal`)]).toEqual([0o600, 0o600]);
  await ledger.close();
  chmodSync(path, 0o644);
  ledger = await open();
  expect(modeOf(path)).toBe(0o600);
  await ledger.close();
});

test('a second one is refused while the first is open, and only then', async () => {
  const first = await open();
  await expect(open()).rejects.toThrow(/in use by another process: is the gateway running already/);
  await accept(first);
  await expect(open()).rejects.toThrow(/in use/);
  await first.close();
  await (await open()).close();
});

test('a second process is refused', async () => {
  const child = new Child(path);
  await child.line();
  await expect(open()).rejects.toThrow(/in use by another process/);
  await child.kill();
});

test.each([
  [
    'of a newer version',
    () =>
      new DatabaseSync(path).exec(
        'PRAGMA user_version = 99; PRAGMA application_id = 0x58464144; CREATE TABLE entry (x)',
      ),
    /newer Crossfade .*schema 99.*Install that version again/,
  ],
  ['of another program', () => new DatabaseSync(path).exec('CREATE TABLE other (x)'), /not a Crossfade ledger/],
  ['that is no database', () => writeFileSync(path, 'hello '.repeat(1000)), /cannot be opened: file is not a database/],
] as const)('a file %s is refused and left as it is', async (_, make, text) => {
  make();
  await expect(open()).rejects.toThrow(text);
  const first = readFileSync(path).subarray(40);
  await expect(open()).rejects.toThrow(text);
  expect(readFileSync(path).subarray(40).equals(first)).toBe(true);
});

test('a folder that is not there is said so', async () => {
  path = join(folder, 'missing', 'ledger.sqlite');
  await expect(open()).rejects.toThrow(/missing.*cannot be opened: ENOENT.*Check ledger.path/);
});

test('bodies are gone from the database once settled, and its room is given back when history is forgotten', async () => {
  const ledger = await open();
  const secret = 'unmistakable-words-of-the-body ';
  const seqs = await Promise.all(
    Array.from(
      { length: 300 },
      async () => (await accept(ledger, { payload: secret.repeat(100), original: secret })).seq,
    ),
  );
  await ledger.do('putDevice', { user: 'bob@example.com', client: 'c', online: true, seenAt: 1 });
  await Promise.all(seqs.map((seq) => ledger.do('answered', { seq, at: 1 })));
  expect(await ledger.do('settle', { now: 2, horizonMs: 0, limit: 1000 })).toBe(300);
  await ledger.close();
  const full = statSync(path).size;
  const db = new DatabaseSync(path);
  expect(db.prepare('SELECT count(*) AS n FROM body').get()?.n).toBe(0);
  expect(db.prepare('PRAGMA auto_vacuum').get()?.auto_vacuum).toBe(2);
  expect(db.prepare('PRAGMA journal_mode').get()?.journal_mode).toBe('wal');
  db.close();
  const again = await open();
  await again.do('forget', { before: 1e15, limit: 1000 });
  await again.close();
  expect(statSync(path).size).toBeLessThan(full / 2);
});

test('no statement reads more entries than it concerns, but the few that are for people or for a broker restart', () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  const db = new DatabaseSync(':memory:');
  new Store(db, 'the ledger');
  const statements = [...new Set(prepare.mock.calls.map(([sql]) => sql))].filter((sql) => /\bentry\b/.test(sql));
  prepare.mockRestore();
  const planOf = (sql: string) =>
    db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => String(detail));
  const wide = statements.filter((sql) =>
    planOf(sql).some((step) => /^SCAN entry|entry_acked \(app_has=\?\)/.test(step)),
  );
  db.close();
  expect(statements.length).toBeGreaterThan(30);
  const concerns = wide.map((sql) => /WHERE\s+((?:entry\.)?id = \?|state [<=]+ \d)/.exec(sql)?.[1]);
  expect([...new Set(concerns)].sort()).toEqual([
    ...['entry.id = ?', 'state <= 1', 'state <= 4', 'state = 2', 'state = 3'],
  ]);
  expect(wide.filter((sql) => sql.includes('user = ?'))).toEqual([]);
});

test('no statement is compiled anew at each execution, as SQLite does where a limit is a mere parameter', () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  const db = new DatabaseSync(':memory:');
  const ledger = new Store(db, 'the ledger');
  // Composed when it is asked.
  ledger.operations.entries({ user: 'bob@example.com' });
  const limited = prepare.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes('LIMIT'));
  prepare.mockRestore();
  db.close();
  expect(limited.length).toBeGreaterThan(10);
  expect(limited.filter((sql) => /LIMIT \?(?!\d* \+ 0)/.test(sql))).toEqual([]);
});

test.each(['waiting', 'accepted', 'sent', 'acked', 'parked', 'dead'] as const)(
  'what is %s of one user is listed without a look at all others',
  (state) => {
    const db = new DatabaseSync(':memory:');
    const { operations } = new Store(db, 'the ledger');
    const prepare = vi.spyOn(db, 'prepare');
    operations.entries({ user: 'bob@example.com', lane: 'toXmpp', state });
    const [[sql = ''] = []] = prepare.mock.calls;
    prepare.mockRestore();
    const values = Array.from(sql.matchAll(/\?/g), () => 1);
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values);
    expect(plan[0]?.detail).toMatch(/^SEARCH entry USING (INTEGER PRIMARY KEY \(rowid=|INDEX entry_parked \(user=)/);
    db.close();
  },
);

test('when the thread ends by itself the ledger says so, and nothing is acknowledged any more', async () => {
  const threads: Worker[] = [];
  const post = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker) {
    threads.push(this);
  });
  const ledger = await open();
  const lost = accept(ledger);
  await waitUntil(() => threads.length > 0);
  post.mockRestore();
  await threads[0]!.terminate();
  await expect(lost).rejects.toThrow('not written: the thread of the ledger ended');
  expect((await ledger.failed).message).toContain('the thread of the ledger ended');
  expect(ledger.writable).toBe(false);
  await expect(accept(ledger)).rejects.toThrow('ended');
  await ledger.close();
});

/** A process that accepts without end and prints the number and key of whatever resolved. */
class Child {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(ledgerPath: string, end = 'never') {
    const script = fileURLToPath(new URL('./endless.ts', import.meta.url));
    this.#process = spawn(process.execPath, [script, ledgerPath, end], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  /** Gives all lines that were printed before the end. */
  async kill(): Promise<string[]> {
    this.#process.kill('SIGKILL');
    return await this.ended();
  }

  async ended(): Promise<string[]> {
    await this.#ended;
    const rest: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) rest.push(line);
    return rest;
  }
}

test('five kills with -9 lose nothing that had resolved, and no key is used twice', async () => {
  const resolved: string[] = [];
  for (let round = 1; round <= 5; round++) {
    const child = new Child(path);
    for (let n = 0; n < 300 * round; n++) resolved.push((await child.line())!);
    resolved.push(...(await child.kill()));
  }
  expect(new Set(resolved).size).toBe(resolved.length);
  const ledger = await open();
  const stored = new Set((await ledger.do('entries', { limit: 1e9 })).map(({ seq, key }) => `${seq} ${key}`));
  // The last line of a killed process may be cut off.
  const whole = resolved.filter((line) => line.endsWith('.')).map((line) => line.slice(0, -1));
  expect(whole.length).toBeGreaterThan(300 * 15 - 5);
  expect(whole.filter((line) => !stored.has(line))).toEqual([]);
  expect((await ledger.do('counts', {})).toMqtt.accepted).toBe(stored.size);
  await ledger.close();
});

test.each(['exit', 'throw'])(
  'a process that ends by itself (%s) leaves a ledger that opens, with all that had resolved',
  async (end) => {
    const lines = await new Child(path, end).ended();
    expect(lines.length).toBeGreaterThanOrEqual(200);
    const ledger = await open();
    expect((await ledger.do('counts', {})).toMqtt.accepted).toBeGreaterThanOrEqual(lines.length);
    await ledger.close();
  },
);
