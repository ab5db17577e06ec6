// `crossfade ledger verify`, `backup` and `restore`: what they print and how they end, beside a gateway that runs and without one.

import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { silentLog } from '../../src/log.ts';
import { accept } from '../ledger/bench.ts';
import { configureAlone, crossfade, type Running, runGateway } from './command.ts';

const bob = 'bob@example.com';
let dir: string;
let path: string;
let running: Running | undefined;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-account-'));
  path = join(dir, 'crossfade.sqlite');
  await configureAlone(dir);
});
afterEach(async () => {
  await stop();
  rmSync(dir, { recursive: true });
});

const ledger = (...args: string[]) => crossfade(['ledger', ...args], { cwd: dir });

/** Three messages to bob, of which one has settled by an operator's word, and one of eve's. */
async function fill(): Promise<string[]> {
  const written = await openLedger({ path, clock: systemClock, log: silentLog });
  const made = [await accept(written), await accept(written), await accept(written)];
  await accept(written, { lane: 'toXmpp', user: 'eve@example.com' });
  await written.do('discard', { seqs: [made[2]!.seq], at: Date.now(), reason: 'a test' });
  await written.close();
  return made.map(({ key }) => key);
}

function damage(sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

/** Resolves to the options that name it. */
async function run(): Promise<[string, string]> {
  running = await runGateway(dir);
  return ['--url', running.url];
}

async function stop(): Promise<void> {
  const gateway = running?.gateway;
  running = undefined;
  if (!gateway || gateway.exitCode !== null || gateway.signalCode !== null) return;
  gateway.kill('SIGTERM');
  await once(gateway, 'close');
}

/** Both ways to ask: the gateway, and the file of one that is stopped. */
const ways = [
  { way: 'beside a gateway', begin: run },
  { way: 'offline', begin: async () => ['--offline'] },
];

test.each(ways)('verify $way: the account as a table and as JSON; exit code 0', async ({ begin }) => {
  await fill();
  const how = await begin();
  const whole = await ledger('verify', ...how);
  expect(whole).toMatchObject({ code: 0, err: '' });
  expect(whole.out.split('\n').slice(0, 3)).toEqual([
    'LANE    ACCEPTED  SETTLED  WAITING  PARKED  DEAD  RETURNED  DISCARDED  OF THESE FORGOTTEN',
    'toMqtt         3        0        2       0     0         0          1                   0',
    'toXmpp         1        0        1       0     0         0          0                   0',
  ]);
  expect(whole.out).toMatch(/^4 entries looked at in \d+\.\d s, .*Z: the account adds up$/m);
  const part = await ledger('verify', ...how, '--user', bob, '--since', '1h');
  expect(part).toMatchObject({ code: 0, err: '' });
  expect(part.out).toMatch(/^3 entries of bob@example\.com accepted since .* looked at in .*: nothing is wrong$/m);
  const json = JSON.parse((await ledger('verify', ...how, '--json')).out);
  expect(json).toMatchObject({ ok: true, checked: 4, faults: [], more: false });
  expect(json.lanes.toMqtt).toMatchObject({ accepted: 3, forgotten: 0, states: { accepted: 2, discarded: 1 } });
});

test.each(ways)('verify $way: a fault is told with its key and what to do; exit code 1', async ({ begin }) => {
  const [, key] = await fill();
  damage('DELETE FROM body WHERE seq = 2');
  const how = await begin();
  const { code, out, err } = await ledger('verify', ...how);
  expect({ code, err }).toEqual({ code: 1, err: 'crossfade: the account of the ledger does not add up: 1 fault\n' });
  expect(out).toMatch(/: something is wrong$/m);
  expect(out).toMatch(/^no-body {2}1 entry \(toMqtt accepted of bob@example\.com\) have no body/m);
  expect(out).toContain(`\n  ${key}\n`);
  expect(out).toContain('crossfade ledger discard KEY');
  const json = await ledger('verify', ...how, '--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({ ok: false, faults: [{ kind: 'no-body', count: 1, keys: [key] }] });
});

test('verify says when nobody answers, when the ledger is in use, when there is none, and what is no time', async () => {
  await fill();
  expect(await ledger('verify', '--url', 'http://127.0.0.1:1', '--token', 'x')).toMatchObject({
    ...{ code: 69, out: '', err: expect.stringContaining('no gateway answers') },
  });
  expect(await ledger('verify', '--since', 'yesterday')).toMatchObject({ code: 64, out: '' });
  await run();
  expect(await ledger('verify', '--offline')).toMatchObject({
    ...{ code: 1, out: '', err: expect.stringContaining('is in use by another process') },
  });
  await stop();
  rmSync(path);
  expect(await ledger('verify', '--offline')).toEqual({ code: 1, out: '', err: `crossfade: there is no ${path}\n` });
});

test('backup writes a file of its own, says how much is in it, and overwrites nothing', async () => {
  await fill();
  const at = await run();
  const file = join(dir, 'backup.sqlite');
  const made = await ledger('backup', 'backup.sqlite', ...at);
  expect(made).toMatchObject({ code: 0, err: '' });
  expect(made.out).toMatch(new RegExp(`^${file}: 4 entries, \\d+\\.\\d MB, checked, in \\d+\\.\\d s\\n$`));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await ledger('backup', 'backup.sqlite', ...at);
  expect(again).toMatchObject({ code: 1, out: '' });
  expect(again.err).toBe(`crossfade: ${file} is there already; a backup overwrites nothing\n`);
  const nowhere = await ledger('backup', 'none/backup.sqlite', ...at);
  expect(nowhere).toMatchObject({ code: 1, out: '', err: expect.stringContaining('cannot be written by the gateway') });
  const json = await ledger('backup', 'other.sqlite', '--json', ...at);
  expect(json.code).toBe(0);
  expect(JSON.parse(json.out)).toMatchObject({ state: 'done', file: join(dir, 'other.sqlite'), entries: 4 });
  await stop();
  expect(await ledger('backup', 'third.sqlite', ...at)).toMatchObject({ code: 69, out: '' });
  expect(existsSync(join(dir, 'third.sqlite'))).toBe(false);
});

test('restore says what it would do, does it with --yes, keeps the old ledger, and the gateway starts with it', async () => {
  await fill();
  const at = await run();
  await ledger('backup', 'backup.sqlite', ...at);
  const file = join(dir, 'backup.sqlite');
  expect(await ledger('restore', 'backup.sqlite', '--yes')).toMatchObject({
    ...{ code: 1, out: '', err: expect.stringContaining('is in use by another process') },
  });
  await stop();
  const before = readFileSync(path);
  const dry = await ledger('restore', 'backup.sqlite');
  expect(dry.code).toBe(0);
  expect(dry.out).toMatch(new RegExp(`^${file}: a backup of \\d{4}-.*Z, 4 entries\\n`));
  expect(dry.out).toContain(`It would take the place of ${path}, which would be kept beside it.\n`);
  expect(dry.err).toBe('Nothing was changed. To do it:\n  crossfade ledger restore backup.sqlite --yes\n');
  expect(readFileSync(path).equals(before)).toBe(true);
  const done = await ledger('restore', 'backup.sqlite', '--yes', '--json');
  expect(done).toMatchObject({ code: 0, err: '' });
  const { kept, ...told } = JSON.parse(done.out);
  expect(told).toMatchObject({ dryRun: false, file, path, entries: 4, replaces: true, faults: [] });
  expect(readFileSync(kept).equals(before)).toBe(true);
  const fresh = await run();
  expect(JSON.parse((await ledger('verify', '--json', ...fresh)).out)).toMatchObject({ ok: true, checked: 4 });
});

const wrongFiles = [
  { name: 'is no ledger', make: (file: string) => writeFileSync(file, 'hello '.repeat(1000)), says: /not a database/ },
  { name: 'is not there', make: () => {}, says: /there is no .*backup\.sqlite/ },
  {
    name: 'is the database of another program',
    make: (file: string) => {
      const db = new DatabaseSync(file);
      db.exec('CREATE TABLE other (x)');
      db.close();
    },
    says: /is a database, but not a Crossfade ledger/,
  },
];
test.each(wrongFiles)('restore refuses a file that $name, and leaves all as it was', async ({ make, says }) => {
  await fill();
  make(join(dir, 'backup.sqlite'));
  const files = () => readdirSync(dir).filter((name) => name.startsWith('crossfade.sqlite'));
  const [names, content] = [files(), readFileSync(path)];
  const { code, out, err } = await ledger('restore', 'backup.sqlite', '--yes');
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toMatch(says);
  expect(err).not.toMatch(/^\s+at /m);
  expect(files()).toEqual(names);
  expect(readFileSync(path).equals(content)).toBe(true);
});
