// What upkeep does over time: what dropped messages bring about goes one after the other, and nothing is begun once it has stopped.

import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, test } from 'vitest';
import type { Deliver } from '../../src/flow/deliver.ts';
import type { MqttRoad } from '../../src/flow/roads.ts';
import { Upkeep } from '../../src/flow/upkeep.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import type { Devices } from '../../src/migration/devices.ts';
import type { Users } from '../../src/migration/users.ts';
import { makeTopics } from '../../src/mqtt/topic.ts';
import { prepareBare } from '../../src/xmpp/jid.ts';
import { accept, localLedger } from '../ledger/bench.ts';
import { TurnedClock } from '../migration/stage.ts';

const minute = 60_000;
const people = ['bob@example.com', 'carol@example.com'];
const away = 'dave@example.com';

let clock: TurnedClock;
let ledger: Ledger;
let upkeep: Upkeep;
let faults: unknown[];
let road: { open: boolean; brokerHeardAt: number };
/** Users whose entries were published again, `all` for everybody's, in order. */
let republished: string[];
/** Ends the one that is under way. */
let ends: (() => void)[];
let isSlow: boolean;

beforeEach(() => {
  clock = new TurnedClock();
  ledger = localLedger(new DatabaseSync(':memory:'));
  [faults, republished, ends, isSlow] = [[], [], [], false];
  road = { open: false, brokerHeardAt: 0 };
  const deliver = {
    republish: (user = 'all') => {
      republished.push(user);
      return isSlow ? new Promise<void>((resolve) => ends.push(resolve)) : Promise.resolve();
    },
    unpark: async () => {},
    wake: () => {},
    apart: async () => null,
  };
  const users = {
    all: () => [...people, away].map((jid) => ({ jid })),
    get: (jid: string) => ({ jid, acks: true }),
    isPublished: () => true,
  };
  upkeep = new Upkeep({
    ...{ ledger, clock, metrics: makeMetrics(), log: silentLog, horizonMs: 10_000, historyMs: 10 * minute },
    deliver: deliver as unknown as Deliver,
    users: users as unknown as Users,
    devices: { online: (jid: string) => (jid === away ? 0 : 1), brokerRestarted: () => {} } as unknown as Devices,
    road: Object.assign(road, { restore: () => {}, deviceOnline: () => {} }) as unknown as MqttRoad,
    topics: makeTopics({ root: 'chat', domain: 'example.com', prepare: prepareBare }),
    fault: (error) => faults.push(error),
  });
});

test('after dropped messages everybody who is there, and nobody else, is published to again: at once, and once more a minute later for all that were dropped since', async () => {
  for (let count = 0; count < 3; count++) upkeep.brokerDropped();
  await clock.turn(minute - 1);
  expect(republished).toEqual(people);
  await clock.turn(1);
  expect(republished).toEqual([...people, ...people]);
  await clock.turn(10 * minute);
  expect(republished).toEqual([...people, ...people]);
  upkeep.brokerDropped();
  await clock.turn(1);
  expect(republished).toHaveLength(6);
});

test('where that takes longer than a minute, the next time waits for its end, and a minute more', async () => {
  isSlow = true;
  upkeep.brokerDropped();
  await clock.turn(5 * minute);
  upkeep.brokerDropped();
  await clock.turn(5 * minute);
  expect(republished).toEqual(people.slice(0, 1));
  for (let count = 0; count < people.length; count++) {
    ends.shift()?.();
    await clock.turn(0);
  }
  await clock.turn(minute - 1);
  expect(republished).toEqual(people);
  await clock.turn(1);
  expect(republished).toEqual([...people, people[0]]);
});

test('stopped, it begins nothing more, whatever is heard of the broker and of devices', async () => {
  upkeep.start();
  isSlow = true;
  upkeep.brokerDropped();
  upkeep.deviceOnline(people[0]!);
  await clock.turn(0);
  upkeep.stop();
  await ledger.close();
  for (const end of ends.splice(0)) end();
  upkeep.brokerUp();
  upkeep.brokerBooted(clock.now());
  upkeep.deviceOnline(people[1]!);
  upkeep.brokerDropped();
  await clock.turn(20 * minute);
  expect(republished).toEqual([people[0], people[0]]);
  expect(faults).toEqual([]);
  expect(clock.planned).toBe(0);
});

test('the line of a message that has ended goes when the time of the history is over, and no sooner', async () => {
  upkeep.start();
  const { seq } = await accept(ledger);
  await ledger.do('discard', { seqs: [seq], at: clock.now(), reason: 'a test' });
  const lines = async () => (await ledger.do('entries', {})).length;
  await clock.turn(9 * minute);
  expect(await lines()).toBe(1);
  await clock.turn(2 * minute);
  expect(await lines()).toBe(0);
  upkeep.stop();
});

test('what comes up before a broker has told its start has that start awaited once', async () => {
  upkeep.brokerUp();
  const { planned } = clock;
  upkeep.brokerUp();
  expect(clock.planned).toBe(planned);
  await clock.turn(12_000);
  expect(republished).toEqual(['all']);
  expect(road.open).toBe(true);
});

test('nothing more is settled once the broker is gone, however much is ripe', async () => {
  upkeep.start();
  upkeep.brokerUp();
  upkeep.brokerBooted(clock.now());
  await clock.turn(0);
  const ask = ledger.do.bind(ledger);
  let asked = 0;
  // There is always more; the broker goes while the first part is written.
  ledger.do = ((...call: Parameters<typeof ask>) => {
    if (call[0] !== 'settle') return ask(...call);
    if (++asked === 1) upkeep.brokerDown();
    return Promise.resolve(asked > 3 ? 0 : 5_000);
  }) as typeof ask;
  await clock.turn(3_000);
  expect(asked).toBe(1);
  upkeep.stop();
});
