// The check of the account: it finds nothing in a ledger that is whole, whatever happens meanwhile, and each fault in one that was damaged.

import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { explainFault, type Piece } from '../../src/ledger/account.ts';
import type { BatchedLedger } from '../../src/ledger/batch.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { makeLog } from '../../src/log.ts';
import { TurnedClock } from '../migration/stage.ts';
import { accept, localLedger } from './bench.ts';

const bob = 'bob@example.com';
let db: DatabaseSync;
let ledger: BatchedLedger;
beforeEach(() => {
  db = new DatabaseSync(':memory:');
  ledger = localLedger(db);
});
afterEach(async () => {
  await ledger.close();
  db.close();
});

const verify = (part = {}) => new Verifier({ ledger, clock: systemClock }).verify(part);

/** One entry in each state, and two whose history is forgotten. */
async function fill() {
  const make = async (over = {}) => (await accept(ledger, over)).seq;
  const old = [await make(), await make({ lane: 'toXmpp' })];
  await ledger.do('discard', { seqs: old.slice(0, 1), at: 1, reason: 'a test' });
  await ledger.do('answered', { seq: old[1]!, at: 1 });
  expect(await ledger.do('forget', { before: 10, limit: 10 })).toBe(2);
  const seqs = {
    ...{ accepted: await make(), sent: await make(), acked: await make(), parked: await make(), dead: await make() },
    ...{
      settled: await make({ lane: 'toXmpp' }),
      returned: await make(),
      discarded: await make({ user: 'eve@example.com' }),
    },
  };
  await ledger.do('sent', { seqs: [seqs.sent], at: 20 });
  await ledger.do('answered', { seq: seqs.acked, at: 20 });
  await ledger.do('parked', { seq: seqs.parked, at: 20 });
  await ledger.do('refused', { seq: seqs.dead, at: 20, condition: 'not-acceptable', text: 'a test' });
  await ledger.do('answered', { seq: seqs.settled, at: 20 });
  await ledger.do('returned', { seqs: [seqs.returned], at: 20 });
  await ledger.do('discard', { seqs: [seqs.discarded], at: 20, reason: 'a test' });
  return seqs;
}

test('the account of a whole ledger adds up, the forgotten history included', async () => {
  await fill();
  const { lanes, faults, checked } = await verify();
  expect({ faults, checked }).toEqual({ faults: [], checked: 8 });
  expect(lanes.toMqtt).toEqual({
    ...{ accepted: 8, forgotten: 1 },
    states: { accepted: 1, sent: 1, acked: 1, settled: 0, parked: 1, dead: 1, returned: 1, discarded: 2 },
  });
  expect(lanes.toXmpp).toMatchObject({ accepted: 2, forgotten: 1, states: { settled: 2 } });
});

test('of one user, and since a time, only those rows are counted', async () => {
  await fill();
  expect((await verify({ user: 'eve@example.com' })).lanes.toMqtt).toMatchObject({
    accepted: 1,
    states: { discarded: 1 },
  });
  expect(await verify({ since: Date.now() + 60_000 })).toMatchObject({ checked: 0, faults: [] });
});

type Seqs = Awaited<ReturnType<typeof fill>>;
const damages = [
  {
    name: 'an open entry that is gone',
    damage: ({ parked }: Seqs) => `DELETE FROM entry WHERE seq = ${parked}`,
    finds: ['body-alone', 'count', 'memory'],
  },
  {
    name: 'a row of the history that is gone',
    damage: ({ settled }: Seqs) => `DELETE FROM entry WHERE seq = ${settled}`,
    finds: ['count'],
  },
  {
    name: 'a state that was changed by hand',
    damage: ({ accepted }: Seqs) => `UPDATE entry SET state = 5, ended_at = 1 WHERE seq = ${accepted}`,
    finds: ['count', 'memory'],
  },
  { name: 'a lost body', damage: ({ sent }: Seqs) => `DELETE FROM body WHERE seq = ${sent}`, finds: ['no-body'] },
  {
    name: 'a body that was kept',
    damage: ({ settled }: Seqs) => `INSERT INTO body (seq, payload) VALUES (${settled}, 'x')`,
    finds: ['body-kept'],
  },
  {
    name: 'an end without a time',
    damage: ({ returned }: Seqs) => `UPDATE entry SET ended_at = NULL WHERE seq = ${returned}`,
    finds: ['no-end'],
  },
  {
    name: 'a state that does not exist',
    damage: ({ acked }: Seqs) => `UPDATE entry SET state = 9 WHERE seq = ${acked}`,
    finds: ['count', 'unreadable'],
  },
  {
    name: 'a number beyond the last one',
    damage: ({ dead }: Seqs) => `UPDATE entry SET seq = 1000 WHERE seq = ${dead}`,
    finds: ['body-alone', 'number'],
  },
];
test.each(damages)('$name is found, with lane, user and key, and with what to do', async ({ damage, finds }) => {
  const seqs = await fill();
  expect((await verify()).faults).toEqual([]);
  const sql = damage(seqs);
  db.exec(sql);
  const { faults } = await verify();
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort();
  expect(kinds).toEqual(expect.arrayContaining(finds));
  expect(kinds.filter((kind) => !finds.includes(kind) && kind !== 'memory')).toEqual([]);
  const ofRows = faults.filter(({ kind }) => !['count', 'sum', 'memory', 'body-alone'].includes(kind));
  for (const fault of ofRows)
    expect(fault).toMatchObject({ user: bob, keys: [expect.stringMatching(/^[0-9a-f]{16}-/)] });
  for (const fault of faults) expect(explainFault(fault)).toMatch(/crossfade|report|Restart/);
});

test('counts that were damaged in the file are found', async () => {
  await fill();
  await ledger.close();
  db.exec('UPDATE tally SET n = n + 3 WHERE lane = 0 AND state = 0');
  ledger = localLedger(db);
  expect((await verify()).faults).toEqual([
    { kind: 'sum', lane: 'toMqtt', count: 3, counted: 8, found: 11 },
    { kind: 'count', lane: 'toMqtt', state: 'accepted', count: 3, counted: 4, found: 1 },
  ]);
});

/** All kinds of changes to entries before and behind the place where the check stands. */
async function stir(round: number): Promise<void> {
  const { seq } = await accept(ledger, { lane: round % 3 === 0 ? 'toXmpp' : 'toMqtt' });
  const early = (round * 7) % seq;
  await ledger.do('answered', { seq: round % 2 ? seq : early, at: round });
  if (round % 3 === 0) await ledger.do('discard', { seqs: [early], at: round, reason: 'a test' });
  if (round % 5 === 0) await ledger.do('parked', { seq, at: round });
  if (round % 7 === 0) await ledger.do('forget', { before: round - 20, limit: 3 });
  if (round % 11 === 0) await ledger.do('unpark', {});
}

test('whatever is written while a check is under way, before and behind it, is counted once', async () => {
  for (let round = 1; round <= 150; round++) await stir(round);
  for (let from: number | null = null, round = 150; ; round++) {
    const piece: Piece = await ledger.do('verify', { from, limit: 3 });
    if ('account' in piece) {
      expect(piece.account.faults).toEqual([]);
      expect(piece.account.checked).toBeGreaterThan(100);
      break;
    }
    from = piece.next;
    await stir(round);
    await stir(round * 3);
  }
  expect((await verify()).faults).toEqual([]);
});

test('a piece whose commit failed is looked at again, and counted once', async () => {
  await fill();
  await ledger.close();
  let failures = 0;
  const exec = db.exec.bind(db);
  db.exec = (sql: string) => {
    if (sql === 'COMMIT' && failures-- > 0) throw Object.assign(new Error('disk I/O error'), { errcode: 1034 });
    exec(sql);
  };
  ledger = localLedger(db);
  for (let from: number | null = null; ; ) {
    failures = 1;
    const call: Promise<Piece> = ledger.do('verify', { from, limit: 4 });
    const [piece]: [Piece, unknown] = await Promise.all([call, accept(ledger)]);
    if ('account' in piece) {
      expect(piece.account.faults).toEqual([]);
      break;
    }
    from = piece.next;
  }
});

test('two at once take turns', async () => {
  await fill();
  const verifier = new Verifier({ ledger, clock: systemClock });
  const both = await Promise.all([verifier.verify(), verifier.verify({ user: bob }), verifier.verify()]);
  expect(both.map(({ faults }) => faults)).toEqual([[], [], []]);
  expect(verifier.last?.lanes.toMqtt.accepted).toBe(8);
});

test('by itself it looks a minute after the start and then once an hour; what it finds is in the log, with its key, and in what is scraped', async () => {
  const { sent } = await fill();
  const clock = new TurnedClock();
  const verifier = new Verifier({ ledger, clock });
  const lines: Record<string, unknown>[] = [];
  const log = makeLog('info', { write: (line) => void lines.push(JSON.parse(line)) });
  const timer = verifier.start(log);
  await clock.turn(59_000);
  expect(lines).toEqual([]);
  await clock.turn(2_000);
  expect(lines).toMatchObject([{ event: 'ledger.verified', checked: 8 }]);
  db.exec(`DELETE FROM body WHERE seq = ${sent}`);
  await clock.turn(58 * 60_000);
  expect(lines).toHaveLength(1);
  await clock.turn(2 * 60_000);
  expect(lines[1]).toMatchObject({ event: 'ledger.imbalance', faults: [{ kind: 'no-body', count: 1 }] });
  expect(verifier.last?.faults).toMatchObject([{ lane: 'toMqtt', count: 1 }]);
  timer.cancel();
  await clock.turn(3 * 3_600_000);
  expect(lines).toHaveLength(2);
});
