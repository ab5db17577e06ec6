// The disk of the simulation: that it keeps statements, and nothing else, from one story to the next.

import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { migrate } from '../../src/ledger/schema.ts';
import { Store } from '../../src/ledger/store.ts';
import { Disk } from './disk.ts';
import { runSeed } from './run-seed.ts';

function rowsOf(db: DatabaseSync): Record<string, unknown[]> {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
  return Object.fromEntries(tables.map(({ name }) => [name, db.prepare(`SELECT * FROM main.${name}`).all()]));
}

test('a story finds nothing of the stories before it', async () => {
  for (const seed of [8, 2, 69]) await runSeed(seed);
  const fresh = new DatabaseSync(':memory:');
  migrate(fresh, 'the ledger');
  fresh.exec("UPDATE file SET space = 'k'");
  const disk = Disk.take();
  expect(rowsOf(disk)).toEqual(rowsOf(fresh));
  disk.giveBack();
  fresh.close();
});

test('two stories at once have a disk each', async () => {
  const alone = [await runSeed(7, { tellsStory: true }), await runSeed(8, { tellsStory: true })];
  const together = await Promise.all([runSeed(7, { tellsStory: true }), runSeed(8, { tellsStory: true })]);
  expect(together).toEqual(alone);
});

test('a life asks what its own store knows in memory, not that of the life before', () => {
  const disk = Disk.take();
  const store = () => new Store(disk, 'the ledger').operations;
  const open = (operations: Store['operations']) =>
    operations.piles({ user: 'bob@example.com', limit: 10 }).piles.length;
  const before = store();
  disk.exec(`INSERT INTO entry (seq, lane, state, custody, late, at, accepted_at, user, peer, channel)
    VALUES (1, 0, 0, 0, 0, 1, 1, 'bob@example.com', 'alice@example.com', 'message')`);
  expect(open(before)).toBe(0);
  expect(open(store())).toBe(1);
  disk.giveBack();
});
