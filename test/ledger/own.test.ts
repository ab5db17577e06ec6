// Addresses on the component's own domain and their contacts, on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OwnContactRow, OwnUserRow } from '../../src/ledger/own.ts';
import { type Bench, engines } from './bench.ts';

let bench: Bench;
const bot: OwnUserRow = {
  jid: 'bot@gw.example.com',
  added: true,
  subscriptions: 'accept',
  listed: true,
  profile: '{"name":"Bot"}',
  changedAt: 5,
};
const contact = (user: string, contact: string, over: Partial<OwnContactRow> = {}): OwnContactRow => ({
  user,
  contact,
  changedAt: 7,
  ...over,
});
const ownUsers = () => bench.ledger.do('ownUsers', {});
const contacts = (after = { user: '', contact: '' }, limit = 99) => bench.ledger.do('ownContacts', { after, limit });

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test('own users come back as they were put, across a restart', async () => {
    const plain: OwnUserRow = { jid: 'a@gw.example.com', added: false, listed: false, changedAt: 6 };
    await bench.ledger.do('putOwnUser', { row: bot });
    await bench.ledger.do('putOwnUser', {
      row: plain,
      audit: { at: 6, who: 'admin', what: 'user.add', user: plain.jid },
    });
    await bench.reopen();
    expect(await ownUsers()).toEqual([plain, bot]);
    expect(await bench.ledger.do('audit', { limit: 9 })).toMatchObject([{ what: 'user.add', user: plain.jid }]);
  });

  test('contacts come back page by page; one with nothing left between the two has no row', async () => {
    const rows = [
      contact('a@gw.example.com', 'z@example.com', { sees: 'asks' }),
      contact('b@gw.example.com', 'alice@example.com', { sees: 'yes', seen: 'yes' }),
      contact('b@gw.example.com', 'carol@example.com', { seen: 'asked' }),
    ];
    for (const row of [...rows].reverse()) await bench.ledger.do('putOwnContact', row);
    await bench.reopen();
    expect(await contacts()).toEqual(rows);
    expect(await contacts({ user: 'a@gw.example.com', contact: 'z@example.com' }, 1)).toEqual([rows[1]]);
    await bench.ledger.do('putOwnContact', contact('b@gw.example.com', 'carol@example.com'));
    expect(await contacts()).toEqual(rows.slice(0, 2));
  });

  test('a removed user takes its contacts along, and leaves a line in the audit', async () => {
    await bench.ledger.do('putOwnUser', { row: bot });
    await bench.ledger.do('putOwnContact', contact(bot.jid, 'alice@example.com', { sees: 'yes' }));
    await bench.ledger.do('putOwnContact', contact('other@gw.example.com', 'alice@example.com', { sees: 'yes' }));
    const audit = { at: 9, who: 'admin', what: 'user.remove', user: bot.jid, reason: 'over' };
    await bench.ledger.do('removeOwnUser', { jid: bot.jid, audit });
    expect(await ownUsers()).toEqual([]);
    expect((await contacts()).map(({ user }) => user)).toEqual(['other@gw.example.com']);
    expect(await bench.ledger.do('audit', { user: bot.jid, limit: 9 })).toMatchObject([audit]);
  });
});
