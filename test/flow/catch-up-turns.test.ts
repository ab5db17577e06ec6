// Users with long gaps take turns with the others: nobody waits until a whole archive is read.

import { DatabaseSync } from 'node:sqlite';
import { Element } from 'ltx';
import { expect, test } from 'vitest';
import { CatchUp, type CatchUpParts } from '../../src/flow/catch-up.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { NS_MAM, NS_RSM } from '../../src/xmpp/namespaces.ts';
import { localLedger } from '../ledger/bench.ts';
import { TurnedClock } from '../migration/stage.ts';

test('with four users whose gaps have a hundred pages each, a fifth with one page does not wait for their end', async () => {
  const pages = new Map([...'abcd'].map((name) => [`${name}@example.com`, 100]));
  pages.set('last@example.com', 1);
  const ledger = localLedger(new DatabaseSync(':memory:'));
  for (const jid of pages.keys()) {
    const row = { jid, phase: 'mqtt', version: 1, acks: false, changedAt: 0 };
    await ledger.do('putUser', { row, mark: 'begin' });
  }
  const asked: string[] = [];
  const asks = {
    async ask(user: string) {
      asked.push(user);
      const count = asked.filter((other) => other === user).length;
      const iq = new Element('iq', { type: 'result' });
      const fin = iq.c('fin', { xmlns: NS_MAM, complete: String(count === pages.get(user)) });
      fin.c('set', { xmlns: NS_RSM }).c('last').t(`${user} ${count}`);
      return iq;
    },
  };
  const users = { get: () => ({ attached: { shown: {} } }), isPublished: () => true };
  const clock = new TurnedClock();
  const catchUp = new CatchUp({
    ...{ users, sessions: { of: () => ({}) }, server: { hasArchive: true }, asks },
    ...{ ledger, clock, metrics: makeMetrics(), log: silentLog },
    fault: (error: unknown) => {
      throw error;
    },
  } as unknown as CatchUpParts);
  for (const user of pages.keys()) await catchUp.missed(user);
  await clock.turn(10);
  for (let n = 0; n < 100 && asked.length < 401; n++) await clock.turn(10);
  expect(asked).toHaveLength(401);
  expect(asked.indexOf('last@example.com')).toBeLessThan(60);
});
