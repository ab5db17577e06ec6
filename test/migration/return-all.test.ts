// Everything back to the legacy side: who is asked for, what is listed at the end with which reason, and when it gives up.

import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { Moves } from '../../src/migration/moves.ts';
import type { Work } from '../../src/migration/reconcile.ts';
import { ReturnAll, standOfAll } from '../../src/migration/return-all.ts';
import { type User, Users } from '../../src/migration/users.ts';
import { accept, localLedger } from '../ledger/bench.ts';

const [bob, carol, dave, bot] = ['bob@example.com', 'carol@example.com', 'dave@example.com', 'bot@gw.example.com'];
let db: DatabaseSync;
let ledger: Ledger;
let users: Users;
let poked: User[];
let work: Work;
let returnAll: ReturnAll;

beforeEach(async () => {
  db = new DatabaseSync(':memory:');
  ledger = localLedger(db);
  users = new Users(ledger);
  await users.load({ domain: 'gw.example.com', declared: [bot!] });
  poked = [];
  work = { kind: 'idle' };
  // What reconcile would do is left to the tests.
  const moves = new Moves({
    users,
    server: { lacks: new Set() },
    clock: systemClock,
    domain: 'example.com',
    poke: (user) => poked.push(user),
  });
  returnAll = new ReturnAll({ users, moves, ledger, clock: systemClock, workOn: () => work });
  for (const [jid, phase] of [
    [bob, 'mqtt'],
    [carol, 'mqtt'],
    [dave, 'legacy'],
  ] as const)
    await users.change(users.add(jid!, 0), () => ({ phase }), 0);
});
afterEach(async () => {
  await ledger.close();
  db.close();
});

const done = (user: User) => users.change(user, () => ({ moving: undefined, attached: undefined }), 1);
const request = { lane: 'toXmpp', custody: 'copy' } as const;

test('the plan names whoever is not in legacy or has something open, and what would become of it', async () => {
  await accept(ledger, { user: bob });
  await accept(ledger, { user: bob, custody: 'copy' });
  await accept(ledger, { user: bob, ...request });
  await accept(ledger, { user: dave, ...request });
  const { seq } = await accept(ledger, { user: bot, ...request });
  await ledger.do('refused', { seq, at: 1, condition: 'x', text: 'x' });
  const none = { toReturn: 0, toDiscard: 0, toSend: 0, dead: 0, isMoving: false, isOwn: false };
  expect(await standOfAll({ users, ledger })).toEqual([
    { ...none, user: bob, phase: 'mqtt', toReturn: 1, toDiscard: 1, toSend: 1 },
    { ...none, user: bot, phase: 'mqtt', dead: 1, isOwn: true },
    { ...none, user: carol, phase: 'mqtt' },
    { ...none, user: dave, phase: 'legacy', toSend: 1 },
  ]);
});

test('everybody that is not in legacy is moved there, with who and why, and a move that runs goes on', async () => {
  await users.change(users.get(dave!)!, () => ({ phase: 'legacy', moving: { from: 'mqtt', step: 'return' } }), 1);
  await returnAll.begin({ who: 'offline', reason: 'the broker is gone' });
  expect(poked.map(({ jid }) => jid)).toEqual([bob, carol]);
  expect(await ledger.do('audit', { limit: 9 })).toMatchObject([
    { who: 'offline', what: 'user.move', user: carol, detail: 'legacy', reason: 'the broker is gone' },
    { user: bob },
  ]);
  expect((await returnAll.progress()).users).toBe(3);
});

test('it is over when the last move is, and nothing is left to tell', async () => {
  const { seq } = await accept(ledger, { user: bob });
  await returnAll.begin({ who: 'offline', reason: 'x' });
  const seen: unknown[] = [];
  const finished = returnAll.finish(
    10_000,
    (progress) => seen.push(progress),
    () => false,
  );
  await done(users.get(carol!)!);
  await ledger.do('returned', { seqs: [seq], at: 1 });
  await done(users.get(bob!)!);
  await finished;
  expect(seen.at(-1)).toEqual({ users: 0, returned: 1, sent: 0 });
  expect(await returnAll.left()).toEqual([]);
});

test('where nothing gets on for a while it gives up, and names who is left, where and why', async () => {
  await accept(ledger, { user: bob });
  await returnAll.begin({ who: 'offline', reason: 'x' });
  await done(users.get(carol!)!);
  const setback = { attempt: 2, condition: 'resource-constraint', text: 'too much', failedAt: 1, retryAt: 2 };
  work = { kind: 'retrying', setback };
  await returnAll.finish(
    300,
    () => {},
    () => false,
  );
  expect(await returnAll.left()).toEqual([
    {
      ...{ user: bob, phase: 'legacy', toReturn: 1, toDiscard: 0, toSend: 0, dead: 0 },
      why: 'stopped at the step drain: too much',
    },
  ]);
  work = { kind: 'link-down' };
  expect((await returnAll.left())[0]?.why).toBe('stopped at the step drain: no link');
});

test('what is for an address on the own domain has nobody to go back to, and its sender is waited for', async () => {
  await accept(ledger, { user: bot });
  const { seq } = await accept(ledger, { user: bot, ...request });
  await returnAll.begin({ who: 'offline', reason: 'x' });
  for (const jid of [bob, carol]) await done(users.get(jid!)!);
  expect((await returnAll.progress()).users).toBe(1);
  await ledger.do('answered', { seq, at: 1 });
  expect(await returnAll.progress()).toEqual({ users: 0, returned: 0, sent: 1 });
  expect(await returnAll.left()).toMatchObject([{ user: bot, toReturn: 1, why: 'has no legacy account' }]);
});

test('the moves of many users share their commits', async () => {
  for (let n = 0; n < 100; n++) await users.change(users.add(`user${n}@example.com`, 0), () => ({ phase: 'mqtt' }), 0);
  const ask = ledger.do.bind(ledger);
  let [under, most] = [0, 0];
  ledger.do = (async (...call: Parameters<typeof ask>) => {
    most = Math.max(most, ++under);
    return await ask(...call).finally(() => under--);
  }) as typeof ledger.do;
  await returnAll.begin({ who: 'operator', reason: 'the end' });
  expect(poked).toHaveLength(102);
  expect(most).toBe(102);
});
