// Users, devices, audit and named values, on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { UserRow } from '../../src/ledger/ledger.ts';
import { accept, type Bench, engines } from './bench.ts';

let bench: Bench;
const row = (jid: string, over: Partial<UserRow> = {}): UserRow => ({
  jid,
  phase: 'legacy',
  version: 1,
  moving: undefined,
  attached: undefined,
  acks: false,
  changedAt: 5,
  ...over,
});
const users = () => bench.ledger.do('users', { after: '', limit: 99 });

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test('users come back as they were put, in order and in pages, across a restart', async () => {
    const bob = row('bob@example.com', {
      phase: 'mqtt',
      version: 3,
      moving: '{"from":"legacy"}',
      attached: 'bob@example.com/mqtt',
    });
    for (const user of [row('dave@example.com'), bob, row('alice@example.com')])
      await bench.ledger.do('putUser', { row: user });
    await bench.reopen();
    expect(await bench.ledger.do('users', { after: 'alice@example.com', limit: 1 })).toEqual([bob]);
    await bench.ledger.do('putUser', { row: row('bob@example.com', { version: 4 }) });
    expect((await users()).map(({ jid, version, moving }) => [jid, version, moving])).toEqual([
      ['alice@example.com', 1, undefined],
      ['bob@example.com', 4, undefined],
      ['dave@example.com', 1, undefined],
    ]);
  });

  test('a first ack is remembered for good, though an older row is written after it', async () => {
    const old = row('bob@example.com');
    await bench.ledger.do('putUser', { row: old });
    const { key } = await accept(bench.ledger);
    await bench.ledger.do('appAcked', { user: 'bob@example.com', keys: [key], at: 1 });
    await bench.ledger.do('putUser', { row: old });
    expect((await users())[0]?.acks).toBe(true);
  });

  test('a change and its audit row are one; the newest comes first, in pages, of one user or of all', async () => {
    const note = (what: string, user?: string) => ({ at: 1, who: 'admin', what, user, reason: 'why', detail: '{}' });
    await bench.ledger.do('putUser', { row: row('bob@example.com'), audit: note('added', 'bob@example.com') });
    await bench.ledger.do('putUser', { row: row('carol@example.com'), audit: note('added', 'carol@example.com') });
    await bench.ledger.do('putUser', { row: row('bob@example.com'), audit: note('moved', 'bob@example.com') });
    expect((await users()).map(({ jid }) => jid)).toEqual(['bob@example.com', 'carol@example.com']);
    const all = await bench.ledger.do('audit', { limit: 99 });
    expect(all.map(({ what, user }) => `${what} ${user}`)).toEqual([
      'moved bob@example.com',
      'added carol@example.com',
      'added bob@example.com',
    ]);
    expect(all[0]).toMatchObject({ at: 1, who: 'admin', reason: 'why', detail: '{}' });
    expect(await bench.ledger.do('audit', { user: 'bob@example.com', before: all[0]!.id, limit: 1 })).toEqual([all[2]]);
  });

  test('devices come and go', async () => {
    const device = (user: string, client: string, online: boolean) => ({ user, client, online, seenAt: 7 });
    const rows = [
      device('a@example.com', 'p', true),
      device('a@example.com', 'q', false),
      device('b@example.com', 'p', true),
    ];
    for (const one of rows) await bench.ledger.do('putDevice', one);
    await bench.ledger.do('putDevice', { ...rows[1]!, online: true, seenAt: 8 });
    expect(await bench.ledger.do('devices', {})).toEqual([rows[0], { ...rows[1], online: true, seenAt: 8 }, rows[2]]);
    await bench.ledger.do('removeDevice', { user: 'a@example.com', client: 'p' });
    expect((await bench.ledger.do('devices', {})).map(({ client }) => client)).toEqual(['q', 'p']);
  });

  test('it is known whether an app has ever acknowledged, also for users without a row', async () => {
    expect(await bench.ledger.do('acks', { user: 'bot@gw.example.com' })).toBe(false);
    await bench.ledger.do('appAcked', { user: 'bot@gw.example.com', keys: [], at: 1 });
    expect(await bench.ledger.do('acks', { user: 'bot@gw.example.com' })).toBe(true);
  });

  test('a named value is kept and replaced; an unknown one is null', async () => {
    expect(await bench.ledger.do('getMeta', { name: 'boot' })).toBeNull();
    await bench.ledger.do('putMeta', { name: 'boot', value: '1' });
    await bench.ledger.do('putMeta', { name: 'boot', value: '2' });
    expect(await bench.ledger.do('getMeta', { name: 'boot' })).toBe('2');
  });
});
