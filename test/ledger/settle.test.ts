// When an entry towards MQTT settles (DESIGN §8): each way it may and may not, a row; on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accept, type Bench, deviceOf, engines, published } from './bench.ts';

const bob = 'bob@example.com';
let bench: Bench;

const settle = (now: number, horizonMs = 100, limit = 99) => bench.ledger.do('settle', { now, horizonMs, limit });
const stateOf = async (key: string) => (await bench.ledger.do('entry', { key }))[0]?.state;

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());
  test('what was answered before the clock was put back does not wait for the time that is gone', async () => {
    const key = await published(bench.ledger, 7_200_000);
    await bench.ledger.do('appAcked', { user: bob, keys: [key], at: 7_200_000 });
    expect(await settle(1_000)).toBe(0);
    expect(await settle(1_050)).toBe(0);
    expect(await settle(1_100)).toBe(1);
    expect(await stateOf(key)).toBe('settled');
  });

  describe('settles towards MQTT', () => {
    interface Settling {
      story: string;
      events: ((key: string) => Promise<unknown>)[];
      settled: boolean;
      now?: number;
    }
    const ack = (key: string) => bench.ledger.do('appAcked', { user: bob, keys: [key], at: 50 });
    const puback = (at: number) => async (key: string) => {
      const [view] = await bench.ledger.do('entry', { key });
      await bench.ledger.do('answered', { seq: view!.seq, at });
    };
    const rows: Settling[] = [
      { story: 'with PUBACK, horizon and app ack', events: [puback(10), ack], settled: true },
      { story: 'with the app ack before the PUBACK', events: [ack, puback(10)], settled: true },
      { story: 'not without a PUBACK', events: [ack], settled: false },
      { story: 'not before the horizon', events: [puback(10), ack], now: 109, settled: false },
      { story: 'at the horizon', events: [puback(10), ack], now: 110, settled: true },
      { story: 'not without any device', events: [puback(10)], settled: false },
      {
        story: 'with a device that was online all the time',
        events: [() => deviceOf(bench.ledger, bob, true, 1), puback(10)],
        settled: true,
      },
      {
        story: 'with a device that came online after the PUBACK',
        events: [puback(10), () => deviceOf(bench.ledger, bob, true, 20)],
        settled: true,
      },
      {
        story: 'with a device that came and went after the PUBACK',
        events: [puback(10), () => deviceOf(bench.ledger, bob, true, 20), () => deviceOf(bench.ledger, bob, false, 30)],
        settled: true,
      },
      {
        story: 'not with a device that went before the PUBACK',
        events: [() => deviceOf(bench.ledger, bob, true, 1), () => deviceOf(bench.ledger, bob, false, 5), puback(10)],
        settled: false,
      },
      {
        story: 'with a device that went just after the PUBACK, heard of first',
        events: [() => deviceOf(bench.ledger, bob, true, 1), () => deviceOf(bench.ledger, bob, false, 15), puback(10)],
        settled: true,
      },
      {
        story: 'not with a device that was only ever seen offline',
        events: [puback(10), () => deviceOf(bench.ledger, bob, false, 20)],
        settled: false,
      },
      {
        story: 'with the second device coming online',
        events: [
          () => deviceOf(bench.ledger, bob, false, 1, 'a'),
          puback(10),
          () => deviceOf(bench.ledger, bob, true, 20, 'b'),
        ],
        settled: true,
      },
      {
        story: 'not by presence once the apps have acknowledged something',
        events: [
          () => bench.ledger.do('appAcked', { user: bob, keys: [], at: 1 }),
          () => deviceOf(bench.ledger, bob, true, 1),
          puback(10),
        ],
        settled: false,
      },
      {
        story: 'not by presence from before the first ack',
        events: [
          () => deviceOf(bench.ledger, bob, true, 1),
          puback(10),
          () => bench.ledger.do('appAcked', { user: bob, keys: ['unknown'], at: 20 }),
        ],
        settled: false,
      },
      {
        story: 'not by a presence that was before the publish was repeated',
        events: [
          puback(10),
          () => deviceOf(bench.ledger, bob, true, 20),
          () => deviceOf(bench.ledger, bob, false, 21),
          () => bench.ledger.do('republish', {}),
          puback(30),
        ],
        settled: false,
      },
    ];
    test.each(rows)('$story', async ({ events, settled, now = 1_000 }) => {
      const { key } = await accept(bench.ledger);
      for (const event of events) await event(key);
      expect(await settle(now)).toBe(settled ? 1 : 0);
      if (settled)
        expect((await bench.ledger.do('entry', { key }))[0]).toMatchObject({
          state: 'settled',
          endedAt: now,
          topic: undefined,
        });
      else expect(await stateOf(key)).not.toBe('settled');
    });

    test('no more than the limit at a time, the oldest first', async () => {
      await deviceOf(bench.ledger, bob, true, 1);
      const keys = [
        await published(bench.ledger, 30),
        await published(bench.ledger, 10),
        await published(bench.ledger, 20),
      ];
      expect(await settle(1_000, 100, 2)).toBe(2);
      expect(await Promise.all(keys.map(stateOf))).toEqual(['acked', 'settled', 'settled']);
      expect([await settle(1_000, 100, 2), await settle(1_000, 100, 2)]).toEqual([1, 0]);
    });
  });
});
