// Whose turn it is to catch up: nobody waits until a whole archive is read, and nobody's failures are kept without a session.

import { DatabaseSync } from 'node:sqlite';
import { Element } from 'ltx';
import { expect, test } from 'vitest';
import { CatchUp, type CatchUpParts } from '../../src/flow/catch-up.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { NS_MAM, NS_RSM } from '../../src/xmpp/namespaces.ts';
import { localLedger } from '../ledger/bench.ts';
import { TurnedClock } from '../migration/stage.ts';

const asked: string[] = [];
const clock = new TurnedClock();
let ledger: Ledger;
let catchUp: CatchUp;
let hasSession: boolean;
let isMute: boolean;

/** Users with so many pages behind their marks. */
async function set(pages: Map<string, number>): Promise<void> {
  asked.length = 0;
  hasSession = true;
  isMute = false;
  ledger = localLedger(new DatabaseSync(':memory:'));
  for (const jid of pages.keys()) {
    const row = { jid, phase: 'mqtt', version: 1, acks: false, changedAt: 0 };
    await ledger.do('putUser', { row, mark: 'begin' });
  }
  const asks = {
    async ask(user: string) {
      asked.push(user);
      if (isMute) return null;
      const count = asked.filter((other) => other === user).length;
      const iq = new Element('iq', { type: 'result' });
      const fin = iq.c('fin', { xmlns: NS_MAM, complete: String(count === pages.get(user)) });
      fin.c('set', { xmlns: NS_RSM }).c('last').t(`${user} ${count}`);
      return iq;
    },
  };
  const users = { get: () => ({ attached: { shown: {} } }), isPublished: () => true };
  catchUp = new CatchUp({
    ...{ users, sessions: { of: () => (hasSession ? {} : undefined) }, server: { hasArchive: true }, asks },
    ...{ ledger, clock, metrics: makeMetrics(), log: silentLog },
    fault: (error: unknown) => {
      throw error;
    },
  } as unknown as CatchUpParts);
}

test('with four users whose gaps have a hundred pages each, a fifth with one page does not wait for their end', async () => {
  const pages = new Map([...'abcd'].map((name) => [`${name}@example.com`, 100]));
  pages.set('last@example.com', 1);
  await set(pages);
  for (const user of pages.keys()) await catchUp.missed(user);
  await clock.turn(10);
  for (let n = 0; n < 100 && asked.length < 401; n++) await clock.turn(10);
  expect(asked).toHaveLength(401);
  expect(asked.indexOf('last@example.com')).toBeLessThan(60);
});

test('an archive that did not answer is asked after the shortest pause again once there is another session', async () => {
  const bob = 'bob@example.com';
  await set(new Map([[bob, 1]]));
  isMute = true;
  await catchUp.missed(bob);
  // The clock's chance is one half, so each pause has three quarters of its length.
  for (const pauseMs of [0, 750, 1_500, 3_000, 6_000]) await clock.turn(pauseMs + 10);
  expect(asked).toHaveLength(5);
  hasSession = false;
  await clock.turn(12_010);
  expect(asked).toHaveLength(5);
  hasSession = true;
  catchUp.available(bob);
  await clock.turn(10);
  expect(asked).toHaveLength(6);
  await clock.turn(760);
  expect(asked).toHaveLength(7);
});

test('a gap that opens when a turn has just found none is looked at in another', async () => {
  const bob = 'bob@example.com';
  await set(new Map([[bob, 1]]));
  await ledger.do('caughtUp', { user: bob, place: { id: 'known', at: 1 }, done: true });
  catchUp.available(bob);
  const opened = ledger.do('gapOpened', { user: bob, at: 2 });
  catchUp.available(bob);
  await opened;
  await clock.turn(10);
  expect(asked).toEqual([bob]);
  expect(await ledger.do('mark', { user: bob })).not.toHaveProperty('gapAt');
});
