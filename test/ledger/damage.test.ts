// A ledger that is damaged, cut off, without its log, or gone from its place: nothing is acknowledged, and the operator is told what to do.

import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { lookAtRestore } from '../../src/ledger/restore.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { whyNotOpened } from '../../src/ledger/trouble.ts';
import { silentLog } from '../../src/log.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { accept } from './bench.ts';

let top: string;
let folder: string;
let path: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'ledger-'));
  folder = mkdtempSync(join(top, 'home-'));
  path = join(folder, 'ledger.sqlite');
});
afterEach(() => rmSync(top, { recursive: true }));

const open = (file = path) => openLedger({ path: file, clock: systemClock, log: silentLog });

async function filled() {
  const ledger = await open();
  await Promise.all(Array.from({ length: 200 }, () => accept(ledger, { payload: 'x'.repeat(500) })));
  return ledger;
}

function overwrite(at: number): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, Buffer.alloc(64, 0xa5), 0, 64, at);
  closeSync(descriptor);
}

const damages: [string, () => void, RegExp][] = [
  [
    'whose first bytes are others',
    () => overwrite(0),
    /not a database, or its beginning is damaged.*crossfade ledger restore FILE/,
  ],
  [
    'whose schema is overwritten',
    () => overwrite(100),
    /is damaged.*crossfade ledger restore FILE.*sqlite3 .* \.recover/,
  ],
  ['that is cut off', () => truncateSync(path, statSync(path).size / 2), /is damaged.*crossfade ledger restore FILE/],
];
test.each(damages)('a ledger %s is refused each time, and the text says what to do', async (_, damage, text) => {
  await (await filled()).close();
  damage();
  await expect(open()).rejects.toThrow(text);
  await expect(open()).rejects.toThrow(text);
});

test('a ledger whose process died is opened with its log, and refused without it', async () => {
  const ledger = await filled();
  const [whole, bare] = [join(top, 'whole.sqlite'), join(top, 'bare.sqlite')];
  copyFileSync(path, whole);
  copyFileSync(`${path}-wal`, `${whole}-wal`);
  copyFileSync(path, bare);
  await ledger.close();
  const again = await open(whole);
  expect((await again.do('counts', {})).toMqtt.accepted).toBe(200);
  await again.close();
  await expect(open(bare)).rejects.toThrow(
    /the log beside it, .*bare\.sqlite-wal, is missing.*Put it back.*crossfade ledger restore/,
  );
});

test.each([
  // SQLITE_FULL; and SQLITE_IOERR_SHMSIZE: no room for the index of the log, which is what a full disk gives at an opening.
  [13, 'database or disk is full', /the disk is full\. Make room on its file system; nothing is lost/],
  [4874, 'disk I/O error', /the disk is full\. Make room on its file system; nothing is lost/],
  [10, 'disk I/O error', /the disk reports errors\. See whether its file system has room/],
])(
  'a ledger that a full disk keeps from being opened (code %i) is not called one on a disk that fails',
  (errcode, text, says) => {
    expect(whyNotOpened(Object.assign(new Error(text), { errcode }), path).message).toMatch(says);
  },
);

test('while the file is not in its place nothing is acknowledged, and when it is back the ledger goes on by itself', async () => {
  const ledger = await filled();
  renameSync(folder, `${folder}-away`);
  const answered = vi.fn();
  const late = accept(ledger).then(answered);
  await waitUntil(() => !ledger.writable);
  expect(ledger.trouble).toMatch(/is not there any more.*put it back.*would begin an empty ledger/);
  expect(answered).not.toHaveBeenCalled();
  renameSync(`${folder}-away`, folder);
  await late;
  expect([ledger.writable, ledger.trouble]).toEqual([true, null]);
  expect((await ledger.do('counts', {})).toMqtt.accepted).toBe(201);
  await ledger.close();
});

test('whoever only looks at a restore leaves no log beside a ledger that has lost its own', async () => {
  const ledger = await filled();
  const bare = join(top, 'bare.sqlite');
  copyFileSync(path, bare);
  await ledger.close();
  lookAtRestore(path, bare);
  await expect(open(bare)).rejects.toThrow(/the log beside it, .*bare\.sqlite-wal, is missing/);
});
