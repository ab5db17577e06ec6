// Backup and restore: a copy made under load is whole, and a ledger that goes on from it uses no key and no place twice.

import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { inspect } from '../../src/ledger/inspect.ts';
import { lookAtRestore, restore } from '../../src/ledger/restore.ts';
import { type OpenLedger, openLedger } from '../../src/ledger/sqlite.ts';
import { silentLog } from '../../src/log.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { accept } from './bench.ts';

let folder: string;
let path: string;
let file: string;
let ledger: OpenLedger;
const open = () => openLedger({ path, clock: systemClock, log: silentLog });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  [path, file] = [join(folder, 'ledger.sqlite'), join(folder, 'backup.sqlite')];
  ledger = await open();
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true });
});

async function backup() {
  expect(ledger.backups.begin(file)).toMatchObject({ state: 'copying', file });
  await waitUntil(() => !['copying', 'checking'].includes(ledger.backups.last!.state));
  return ledger.backups.last!;
}

/** The backup takes the ledger's place, as after the loss of a disk. */
async function goBack() {
  await ledger.close();
  const kept = restore({ file, path }, systemClock.now());
  ledger = await open();
  return kept;
}

const keys = async () => (await ledger.do('entries', { limit: 1e6 })).map(({ key }) => key);

test('a backup made while messages come is whole, with all that was on disk when it began, and only its owner may read it', async () => {
  const first: string[] = [];
  for (let n = 0; n < 40; n++)
    first.push(
      ...(await Promise.all(Array.from({ length: 50 }, () => accept(ledger, { payload: 'x'.repeat(2_000) })))).map(
        ({ key }) => key,
      ),
    );
  let isOver = false;
  const load = (async () => {
    for (let at = 1; !isOver; at++) {
      const { seq } = await accept(ledger, { lane: at % 2 ? 'toMqtt' : 'toXmpp' });
      await ledger.do('answered', { seq, at });
    }
  })();
  const done = await backup();
  isOver = true;
  await load;
  expect(done).toMatchObject({ state: 'done', entries: expect.any(Number) });
  expect(done.bytes).toBe(statSync(file).size);
  expect(done.entries).toBeGreaterThanOrEqual(first.length);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect([`${file}.part`, `${file}-wal`, `${file}-shm`, `${file}-journal`].filter(existsSync)).toEqual([]);
  expect(inspect(file)).toMatchObject({ faults: [], checked: done.entries, backupAt: done.at });
  await goBack();
  const stored = new Set(await keys());
  expect(first.filter((key) => !stored.has(key))).toEqual([]);
});

test('a backup overwrites nothing, and says what is in its way', async () => {
  await backup();
  const before = readFileSync(file);
  expect(ledger.backups.begin(file)).toMatch(/is there already; a backup overwrites nothing/);
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(ledger.backups.begin('backup.sqlite')).toMatch(/no absolute path/);
  expect(ledger.backups.begin(join(folder, 'missing', 'x.sqlite'))).toMatch(/cannot be written by the gateway: ENOENT/);
  writeFileSync(join(folder, 'other.part'), '');
  expect(ledger.backups.begin(join(folder, 'other'))).toMatch(/left of a backup that was cut off; remove it/);
  ledger.backups.begin(join(folder, 'one'));
  expect(ledger.backups.begin(join(folder, 'two'))).toMatch(/is under way/);
  await waitUntil(() => ledger.backups.last!.state === 'done');
});

test('a copy whose account does not add up is no backup', async () => {
  const { seq } = await accept(ledger);
  await ledger.close();
  const db = new DatabaseSync(path);
  db.prepare('DELETE FROM body WHERE seq = ?').run(seq);
  db.close();
  ledger = await open();
  expect(await backup()).toMatchObject({
    state: 'failed',
    text: expect.stringMatching(/the copy is not good and was removed: toMqtt accepted have no body/),
  });
  expect([file, `${file}.part`].filter(existsSync)).toEqual([]);
});

test('a ledger that is closed gives up the backup under way', async () => {
  for (let n = 0; n < 20; n++)
    await Promise.all(Array.from({ length: 50 }, () => accept(ledger, { payload: 'x'.repeat(4_000) })));
  ledger.backups.begin(file);
  await ledger.close();
  await waitUntil(() => ledger.backups.last!.state === 'failed');
  expect([file, `${file}.part`].filter(existsSync)).toEqual([]);
});

test('after a restore old entries keep their keys, and no key that was given out after the backup is made again, twice restored or once', async () => {
  const old = [await accept(ledger), await accept(ledger)];
  await backup();
  const lost = [await accept(ledger), await accept(ledger)];
  await goBack();
  expect(await keys()).toEqual(old.map(({ key }) => key));
  const second = [await accept(ledger), await accept(ledger)];
  await goBack();
  const third = [await accept(ledger), await accept(ledger)];
  const all = [...old, ...lost, ...second, ...third];
  expect(third[0]!.seq).toBe(lost[0]!.seq);
  expect(new Set(all.map(({ key }) => key)).size).toBe(all.length);
  const acked = (given: { key: string }) =>
    ledger.do('appAcked', { user: 'bob@example.com', keys: [given.key], at: 1 });
  expect(await Promise.all([old[0]!, lost[0]!, second[0]!, third[0]!].map(acked))).toEqual([1, 0, 0, 1]);
});

test('keys of all its lives find their entries in a ledger that was restored, used and restored again', async () => {
  const lives = [await accept(ledger)];
  for (let life = 0; life < 3; life++) {
    await backup();
    await goBack();
    rmSync(file);
    lives.push(await accept(ledger));
  }
  expect(await keys()).toEqual(lives.map(({ key }) => key));
  for (const { key, seq } of lives) expect(await ledger.do('entry', { key })).toMatchObject([{ key, seq }]);
  expect(new Set(lives.map(({ key }) => key.split('-')[0])).size).toBe(4);
});

test('a restored ledger believes no place on a link, opens a gap behind every mark, and publishes again what the broker had', async () => {
  const link = { link: 'gw/example.com', epoch: 'e1' };
  await ledger.do('epochBegan', { ...link, h: 0, at: 1 });
  await accept(ledger, { position: { ...link, n: 5 } });
  const row = { jid: 'bob@example.com', phase: 'mqtt', version: 1, acks: false, changedAt: 3 };
  await ledger.do('putUser', { row, mark: 'begin' });
  await ledger.do('putMeta', { name: 'broker-boot', value: '7' });
  await backup();
  await goBack();
  expect(await ledger.do('position', { link: link.link })).toBe(null);
  expect(await ledger.do('getMeta', { name: 'broker-boot' })).toBe(null);
  expect(await ledger.do('audit', { limit: 1 })).toMatchObject([{ what: 'ledger.restored', who: 'crossfade' }]);
  await ledger.do('epochBegan', { ...link, epoch: 'e2', h: 0, at: 50 });
  expect(await ledger.do('mark', { user: 'bob@example.com' })).toMatchObject({ gapAt: 50 });
  expect((await accept(ledger, { position: { ...link, epoch: 'e2', n: 1 } })).kind).toBe('new');
  const { space } = await reopened();
  expect(space).toBe((await accept(ledger)).key.split('-')[0]);
});

/** A second start of the same file begins no new life. */
async function reopened() {
  const [before] = (await accept(ledger)).key.split('-');
  await ledger.close();
  ledger = await open();
  return { space: before };
}

test('a copy that was put in the place of the ledger by hand is seen for what it is', async () => {
  const { key } = await accept(ledger);
  await backup();
  const lost = await accept(ledger);
  await ledger.close();
  copyFileSync(file, path);
  ledger = await open();
  const next = await accept(ledger);
  expect(await keys()).toEqual([key, next.key]);
  expect([next.seq, next.key === lost.key]).toEqual([lost.seq, false]);
});

test('a restore keeps the old ledger, and refuses while a gateway has it open', async () => {
  const { key } = await accept(ledger);
  await backup();
  await accept(ledger);
  expect(() => lookAtRestore(file, path)).toThrow(/in use by another process/);
  expect(() => restore({ file, path }, 0)).toThrow(/in use by another process/);
  const kept = (await goBack())!;
  expect(kept).toMatch(/ledger\.sqlite\.before-restore-\d{8}T\d{6}Z$/);
  expect(inspect(kept).checked).toBe(2);
  expect(await keys()).toEqual([key]);
});

/** As a gateway that was killed leaves it: the last entries are in the log. */
async function killed(): Promise<void> {
  const [file, log] = [join(folder, 'file'), join(folder, 'log')];
  copyFileSync(path, file);
  copyFileSync(`${path}-wal`, log);
  await ledger.close();
  renameSync(file, path);
  renameSync(log, `${path}-wal`);
}

test('what was in the log of a killed ledger is in the one that is kept, and not in the restored one', async () => {
  const { key } = await accept(ledger);
  await backup();
  for (let n = 0; n < 50; n++) await accept(ledger, { payload: 'x'.repeat(2_000) });
  await killed();
  const kept = restore({ file, path }, systemClock.now())!;
  expect([`${path}-wal`, `${kept}-wal`].filter(existsSync)).toEqual([]);
  expect(inspect(kept).checked).toBe(51);
  ledger = await open();
  expect(await keys()).toEqual([key]);
});

test('a log whose ledger is gone is not taken for the restored one’s; without a restore the ledger does not open', async () => {
  const { key } = await accept(ledger);
  await backup();
  for (let n = 0; n < 50; n++) await accept(ledger, { payload: 'x'.repeat(2_000) });
  await killed();
  rmSync(path);
  await expect(open()).rejects.toThrow(/is missing, and the log that belongs to it.*crossfade ledger restore FILE/);
  expect(existsSync(path)).toBe(false);
  expect(restore({ file, path }, systemClock.now())).toBeNull();
  ledger = await open();
  expect(await keys()).toEqual([key]);
});

test('two restores in the same second keep two ledgers', async () => {
  await accept(ledger);
  await backup();
  await accept(ledger);
  await ledger.close();
  const kept = [1, 2].map(() => restore({ file, path }, 0)!);
  expect(kept.map((name) => inspect(name).checked)).toEqual([2, 1]);
  ledger = await open();
});

const damaged: [string, () => void, RegExp][] = [
  ['cut off', () => truncateSync(file, 20_000), /is damaged|is cut off|malformed/],
  ['no database', () => writeFileSync(file, 'hello '.repeat(1000)), /not a database, or its beginning is damaged/],
  ['missing', () => rmSync(file), /there is no .*backup\.sqlite/],
];
test.each(damaged)('a backup that is %s is not restored, and the ledger stays', async (_, damage, text) => {
  const { key } = await accept(ledger);
  await backup();
  damage();
  await ledger.close();
  expect(() => lookAtRestore(file, path)).toThrow(text);
  ledger = await open();
  expect(await keys()).toEqual([key]);
});
