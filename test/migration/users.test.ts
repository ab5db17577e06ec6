// The users in memory: those that are only known are held small, and nobody can tell by what is answered.

import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, test } from 'vitest';
import type { Ledger, UserRow } from '../../src/ledger/ledger.ts';
import { Users } from '../../src/migration/users.ts';
import { localLedger } from '../ledger/bench.ts';

const row = (jid: string, more: Partial<UserRow> = {}): UserRow => ({
  ...{ jid, phase: 'legacy', version: 3, acks: false, changedAt: 1_700_000_000_123 },
  ...more,
});

const rows: Record<string, UserRow> = {
  'only known': row('known@example.com'),
  'in another phase': row('moved@example.com', { phase: 'mqtt' }),
  'on the way back': row('moving@example.com', { moving: '{"from":"mqtt","step":"drain"}' }),
  'with a session': row('attached@example.com', { attached: '{"jid":"attached@example.com/mqtt","epoch":"e"}' }),
  observed: row('observed@example.com', { observed: '{"epoch":"e"}' }),
  locked: row('locked@example.com', { locked: '{"epoch":"e"}' }),
  'with a setting of its own': row('set@example.com', { legacyLogin: 'deny' }),
  'that was told': row('told@example.com', { notifiedAt: 5 }),
  'whose apps acknowledge': row('acks@example.com', { acks: true }),
};

const noOwn = { domain: 'gw.example.com', declared: [] };

let ledger: Ledger;
let users: Users;

beforeEach(async () => {
  ledger = localLedger(new DatabaseSync(':memory:'));
  for (const each of Object.values(rows)) await ledger.do('putUser', { row: each });
  users = new Users(ledger);
  await users.load(noOwn);
});

const parsed = (json: string | undefined) => (json === undefined ? undefined : JSON.parse(json));

test.each(Object.entries(rows))('a user %s is read as it was written', (_, written) => {
  const { moving, attached, observed, locked, ...plain } = written;
  const expected = { ...plain, moving, attached, observed, locked, arrivals: 0 };
  for (const name of ['moving', 'attached', 'observed', 'locked'] as const) expected[name] = parsed(written[name]);
  expect([...users.all()].find(({ jid }) => jid === written.jid)).toEqual(expected);
  expect(users.get(written.jid)).toEqual(expected);
});

test('a user asked for twice is the same one, so that a change is seen by all', async () => {
  const user = users.get('known@example.com')!;
  await users.change(user, () => ({ phase: 'mqtt' }), 1_700_000_000_999);
  expect(users.get('known@example.com')).toBe(user);
  expect(users.isOpen('known@example.com')).toBe(true);
  expect([...users.all()].filter(({ jid }) => jid === user.jid)).toEqual([user]);

  const again = new Users(ledger);
  await again.load(noOwn);
  expect(again.get('known@example.com')).toMatchObject({ phase: 'mqtt', version: 4, changedAt: 1_700_000_000_999 });
});

test('all are counted and gone through once, whoever is asked for meanwhile', () => {
  const jids = Object.values(rows).map(({ jid }) => jid);
  const seen: string[] = [];
  for (const { jid } of users.all()) {
    seen.push(jid);
    for (const other of jids) users.get(other);
  }
  expect(seen.toSorted()).toEqual(jids.toSorted());
  expect(users.size).toBe(jids.length);
});

test('read a second time, each is there once', async () => {
  users.get('known@example.com');
  await users.load(noOwn);
  expect([...users.all()].map(({ jid }) => jid).sort()).toEqual(
    Object.values(rows)
      .map(({ jid }) => jid)
      .sort(),
  );
  expect(users.size).toBe(Object.keys(rows).length);
});

test('an address of our own that has a row, too, is there once', async () => {
  const again = new Users(ledger);
  await again.load({ domain: 'example.com', declared: ['known@example.com'] });
  expect(again.size).toBe(Object.keys(rows).length);
  expect([...again.all()].filter(({ jid }) => jid === 'known@example.com')).toMatchObject([
    { own: true, phase: 'mqtt' },
  ]);
});

test('more than a page, and more than there was room for, are all there', async () => {
  const many = Array.from({ length: 2_500 }, (_, at) =>
    row(`n${at}@example.com`, { version: at, changedAt: at + 0.5 }),
  );
  for (const each of many) await ledger.do('putUser', { row: each });
  const again = new Users(ledger);
  await again.load(noOwn);
  expect(again.size).toBe(Object.keys(rows).length + many.length);
  for (const { jid, version, changedAt } of many) expect(again.get(jid)).toMatchObject({ version, changedAt });
  expect(again.get('nobody@example.com')).toBeUndefined();
});

test('addresses of any script and length are found again', async () => {
  // In UTF-16, by which JavaScript sorts, the last two stand the other way round.
  const locals = ['a', 'ab', 'müller', '\u{7530}\u{4e2d}', '\u{ff5e}', '\u{20000}', 'l'.repeat(1000)];
  const jids = [...locals, ...Array.from({ length: 1500 }, (_, at) => `${at}${'n'.repeat(80)}`)].map(
    (local) => `${local}@example.com`,
  );
  for (const jid of jids) await ledger.do('putUser', { row: row(jid) });
  const again = new Users(ledger);
  await again.load(noOwn);
  expect(jids.filter((jid) => again.get(jid)?.jid !== jid)).toEqual([]);
  expect(['', 'aa', 'b', '\u{ff5f}', '\u{20001}'].filter((local) => again.get(`${local}@example.com`))).toEqual([]);
});
