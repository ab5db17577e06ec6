// A ledger that does not answer holds a conversation up, and loses none of it.

import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { Deliver } from '../../src/flow/deliver.ts';
import type { Answer, Road } from '../../src/flow/road.ts';
import type { Entry } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { localLedger } from '../ledger/bench.ts';
import { bob, TurnedClock } from '../migration/stage.ts';

test('a page that cannot be read is read again after a while, and what comes meanwhile stays behind it', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = async (id: string) =>
    ledger.accept(() => ({
      ...{ lane: 'toMqtt', user: bob, peer: 'alice@example.com', channel: 'message', id, custody: 'sole' },
      ...{ at: 1, topic: 'chat/bob/in/message', payload: id },
    })).outcome;
  await accept('m1');
  const ask = ledger.do.bind(ledger);
  let pages = 0;
  ledger.do = ((...call: Parameters<typeof ask>) =>
    call[0] === 'toSend' && ++pages === 1 ? Promise.reject(new Error('the engine died')) : ask(...call)) as typeof ask;
  const sent: string[] = [];
  const road: Road = {
    window: 10,
    mayGo: () => true,
    obstacle: () => null,
    gaveUp: () => {},
    send(entry: Entry, answered: (answer: Answer) => void) {
      sent.push(entry.payload);
      queueMicrotask(() => answered({ kind: 'delivered' }));
    },
  };
  const clock = new TurnedClock();
  const deliver = new Deliver({
    ...{ ledger, roads: { toMqtt: road, toXmpp: road }, hasDeviceOnline: () => true },
    ...{ clock, metrics: makeMetrics(), log: silentLog },
  });
  await deliver.start();
  await clock.turn(100);
  await accept('m2');
  await clock.turn(100);
  expect(sent).toEqual([]);
  await clock.turn(1_000);
  expect(sent).toEqual(['m1', 'm2']);
  await deliver.stop(0);
});
