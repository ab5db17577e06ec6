// The log beside the ledger stays small, whatever is written and whoever reads meanwhile.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type OpenLedger, openLedger } from '../../src/ledger/sqlite.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { silentLog } from '../../src/log.ts';
import { accept } from './bench.ts';

let folder: string;
let path: string;
let ledger: OpenLedger;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  path = join(folder, 'ledger.sqlite');
  ledger = await openLedger({ path, clock: systemClock, log: silentLog });
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true });
});

/** Above what brings it to the file (16 MB) there may be one commit, and what comes while that goes on. */
const mostBytes = 40e6;

test('80 MB of messages, amid backups and checks without pause: the log stays below 40 MB', {
  timeout: 120_000,
}, async () => {
  const verifier = new Verifier({ ledger, clock: systemClock });
  let isOver = false;
  const isUnderWay = () => ['copying', 'checking'].includes(ledger.backups.last?.state ?? '');
  const readers = [
    (async () => {
      while (!isOver) await verifier.verify();
    })(),
    (async () => {
      for (let n = 0; !isOver; n++) {
        ledger.backups.begin(join(folder, `backup-${n}.sqlite`));
        do await new Promise((next) => setTimeout(next, 5));
        while (isUnderWay());
      }
    })(),
  ];
  let largest = 0;
  for (let round = 0; round < 100; round++) {
    await Promise.all(Array.from({ length: 100 }, () => accept(ledger, { payload: 'x'.repeat(8_000) })));
    largest = Math.max(largest, statSync(`${path}-wal`).size);
  }
  isOver = true;
  await Promise.all(readers);
  expect(largest).toBeGreaterThan(1e6);
  expect(largest).toBeLessThan(mostBytes);
});

test('a reader outside, who could hold the log up for as long as it reads, is not let in', async () => {
  await accept(ledger);
  const other = new DatabaseSync(path, { readOnly: true, timeout: 0 });
  expect(() => other.prepare('SELECT count(*) FROM entry').get()).toThrow(/locked/);
  other.close();
  expect((await accept(ledger)).kind).toBe('new');
});
