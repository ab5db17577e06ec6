// What an app has sent, and the legacy server may have, is not called expired while nobody knows (docs/decisions/expiry.md).

import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Deliver } from '../../src/flow/deliver.ts';
import { Expiry } from '../../src/flow/expiry.ts';
import type { Answer, Road } from '../../src/flow/road.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { makeTopics } from '../../src/mqtt/topic.ts';
import { prepareBare } from '../../src/xmpp/jid.ts';
import { draft, localLedger } from '../ledger/bench.ts';
import { TurnedClock } from '../migration/stage.ts';

const topics = makeTopics({ root: 'chat', domain: 'example.com', prepare: prepareBare });
const parts = { metrics: makeMetrics(), log: silentLog, topics };
const fault = (error: unknown) => {
  throw error;
};

let ledger: Ledger;
let clock: TurnedClock;
/** What went to the server, as the ledger called it then, and how to answer it. */
let out: { id: string | undefined; state: string | undefined; answer: (answer: Answer) => void }[];
let isOpen: boolean;
let life: { deliver: Deliver; expiry: Expiry };

async function begin(): Promise<void> {
  const road: Road = {
    ...{ window: 10, mayGo: () => isOpen, obstacle: () => null, gaveUp: () => {} },
    send(entry, answer) {
      const sent: (typeof out)[number] = { id: entry.id, state: undefined, answer };
      out.push(sent);
      void ledger.do('entry', { key: entry.key }).then(([view]) => {
        sent.state = view?.state;
      });
    },
  };
  const closed = { ...road, mayGo: () => false };
  const deliver = new Deliver({
    ...{ ...parts, ledger, clock, hasDeviceOnline: () => true },
    roads: { toMqtt: closed, toXmpp: road },
  });
  life = { deliver, expiry: new Expiry({ ...parts, ledger, clock, deliver, fault }) };
  await deliver.start();
  life.expiry.start();
}

/** The gateway is gone, and another one begins on what is on disk. */
async function crash(): Promise<void> {
  await stop();
  await begin();
}

async function stop(): Promise<void> {
  life.expiry.stop();
  const stopped = life.deliver.stop(0);
  await clock.turn(1);
  await stopped;
}

beforeEach(async () => {
  ledger = localLedger(new DatabaseSync(':memory:'));
  clock = new TurnedClock();
  out = [];
  isOpen = true;
  await begin();
});
afterEach(async () => {
  await stop();
  await ledger.close();
});

const setOpen = (is: boolean) => {
  isOpen = is;
};
const says = (id: string, more: object = { expiresAt: clock.now() + 1_500 }) =>
  ledger.accept(() => draft({ lane: 'toXmpp', id, ...more })).outcome;
const answer = (answer: Answer) => out.at(-1)!.answer(answer);
const states = async () => (await ledger.do('entries', { lane: 'toXmpp' })).map(({ id, state }) => `${id} ${state}`);
const told = async () => (await ledger.do('entries', { lane: 'toMqtt' })).map(({ id, channel }) => `${channel} ${id}`);
const wait = { kind: 'retry', reason: 'resource-constraint' } as const;

test('what may expire is on disk as sent before the server has it; what may not is not written down for that', async () => {
  await says('m1');
  await clock.turn(50);
  expect(out).toMatchObject([{ id: 'm1', state: 'sent' }]);
  answer({ kind: 'delivered' });
  await says('m2', {});
  await clock.turn(50);
  expect(out.slice(1)).toMatchObject([{ id: 'm2', state: 'accepted' }]);
  expect(await states()).toEqual(['m1 settled', 'm2 accepted']);
});

test('sent when the gateway died, and its time is over: nobody is told that it has expired; it goes again, and before what follows', async () => {
  await says('m1');
  await says('m2');
  await clock.turn(50);
  isOpen = false;
  await crash();
  await clock.turn(10_000);
  expect(await states()).toEqual(['m1 sent', 'm2 discarded']);
  expect(await told()).toEqual(['error m2']);
  await says('m3');
  isOpen = true;
  life.deliver.wake('toXmpp');
  await clock.turn(50);
  expect(out.map(({ id }) => id)).toEqual(['m1', 'm1']);
  answer({ kind: 'delivered' });
  await clock.turn(50);
  expect(out.map(({ id }) => id)).toEqual(['m1', 'm1', 'm3']);
  expect(await states()).toEqual(['m1 settled', 'm2 discarded', 'm3 sent']);
});

test('sent when the connection ended, and its time is over: the same', async () => {
  await says('m1');
  await clock.turn(50);
  isOpen = false;
  answer({ kind: 'lost' });
  await clock.turn(10_000);
  expect(await states()).toEqual(['m1 sent']);
  isOpen = true;
  life.deliver.wake('toXmpp');
  await clock.turn(50);
  answer({ kind: 'delivered' });
  await clock.turn(50);
  expect([await states(), await told()]).toEqual([['m1 settled'], []]);
});

test('what the server has said not to take expires, after a crash, too', async () => {
  await says('m1');
  await clock.turn(50);
  isOpen = false;
  answer(wait);
  await clock.turn(50);
  expect(await states()).toEqual(['m1 accepted']);
  await crash();
  await clock.turn(5_000);
  expect([await states(), await told()]).toEqual([['m1 discarded'], ['error m1']]);
});

test('a no to the second time says nothing of the first', async () => {
  await says('m1');
  await clock.turn(50);
  answer({ kind: 'lost' });
  await clock.turn(50);
  expect(out).toHaveLength(2);
  isOpen = false;
  answer(wait);
  await clock.turn(5_000);
  expect([await states(), await told()]).toEqual([['m1 sent'], []]);
});

const comes = () =>
  ledger.accept((key) => draft({ id: 'c1', expiresAt: clock.now() - 1, payload: JSON.stringify({ key }) }));
const stateOf = async (key: string) => (await ledger.do('entry', { key })).map(({ state }) => state);

const comesAndGoes = async () => {
  for (let times = 0; times < 16; times++) {
    life.expiry.brokerUp();
    await clock.turn(2_100);
    life.expiry.brokerDown();
    await clock.turn(2_100);
  }
};

test('what an app has acknowledged while the gateway was away has not expired: the broker is given the time to say so', async () => {
  const { key, outcome } = comes();
  await outcome;
  await clock.turn(30_000);
  life.expiry.brokerUp();
  await clock.turn(3_000);
  expect(await stateOf(key)).toEqual(['accepted']);
  await ledger.do('appAcked', { user: 'bob@example.com', keys: [key], at: clock.now() });
  await clock.turn(5_000);
  expect(await stateOf(key)).toEqual(['settled']);
});

test.each([
  ['that the broker had time to say so', 8_000, () => life.expiry.brokerUp()],
  ['a minute without a broker', 62_000, () => {}],
  ['a minute in which the connection comes and goes', 1_000, comesAndGoes],
])('after %s, what no app has acknowledged has expired', async (_, ms, happens) => {
  const { key, outcome } = comes();
  await outcome;
  await happens();
  await clock.turn(ms);
  expect(await stateOf(key)).toEqual(['discarded']);
});

test.each([
  ['the way is closed', () => setOpen(false), 'accepted', ['error m1']],
  ['its time is over', () => clock.turn(1_500), 'accepted', ['error m1']],
  ['it is ended', () => ledger.do('discard', { seqs: [1], at: 1, reason: 'test' }), 'discarded', []],
])('while that is written down %s: it is not sent', async (_, happens, state, notices) => {
  const written = Promise.withResolvers<void>();
  const ask = ledger.do.bind(ledger) as (name: string, args: object) => Promise<unknown>;
  ledger.do = (async (name: string, args: object) => {
    if (name === 'sent') await written.promise;
    return await ask(name, args);
  }) as Ledger['do'];
  await says('m1');
  await clock.turn(50);
  expect(life.deliver.isOut('toXmpp', 'bob@example.com')).toBe(true);
  await happens();
  written.resolve();
  await clock.turn(50);
  expect(out).toEqual([]);
  expect(await states()).toEqual([`m1 ${state}`]);
  isOpen = true;
  await clock.turn(5_000);
  expect([await states(), await told()]).toEqual([['m1 discarded'], notices]);
});
