// An app that says how it is thousands of times in a second: little of it is heard, the last of it always.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { PresencePace } from '../../src/flow/presence-pace.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { TurnedClock } from '../migration/stage.ts';
import { bob, setCoreStage } from './core-stage.ts';

function setPace() {
  const clock = new TurnedClock();
  const metrics = makeMetrics();
  const heard: string[] = [];
  const fault = (error: unknown) => {
    throw error;
  };
  const pace = new PresencePace({ clock, metrics, fault });
  let accepted = 0;
  const says = (client: string, what: string | number, user = 'bob@example.com') =>
    pace.take(
      user,
      client,
      async () => void heard.push(`${client} ${what}`),
      () => {
        accepted += 1;
      },
    );
  return { clock, metrics, heard, pace, says, accepted: () => accepted };
}

test('a hundred are heard as they come, and of the rest the last of each device, while others notice nothing', async () => {
  const { clock, metrics, heard, says, accepted } = setPace();
  for (let n = 0; n < 10_000; n++) says(n % 2 ? 'phone' : 'desk', n);
  says('tablet', 'here', 'carol@example.com');
  await clock.turn(0);
  expect(accepted()).toBe(10_001);
  expect(heard).toEqual([...Array.from({ length: 100 }, (_, n) => `${n % 2 ? 'phone' : 'desk'} ${n}`), 'tablet here']);
  await clock.turn(1_000);
  expect(heard.slice(101)).toEqual(['desk 9998', 'phone 9999']);
  const held = (await metrics.heldBack.get()).values.find(({ labels }) => labels.limit === 'presence');
  expect(held?.value).toBe(9_900);
  await clock.turn(60_000);
  expect(heard).toHaveLength(103);
  says('phone', 'again');
  await clock.turn(0);
  expect(heard.at(-1)).toBe('phone again');
});

test('of devices without number the fifty newest wait, and at a stop none', async () => {
  const { clock, heard, pace, says } = setPace();
  for (let n = 0; n < 1_000; n++) says(`c${n}`, 'here');
  await clock.turn(100_000);
  expect(heard.slice(100)).toEqual(Array.from({ length: 50 }, (_, n) => `c${950 + n} here`));
  for (let n = 0; n < 1_000; n++) says(`d${n}`, 'here');
  const before = heard.length;
  pace.stop();
  await clock.turn(100_000);
  expect([heard.length, clock.planned]).toEqual([before, 0]);
});

/** What the broker hands over of a device; null: its presence was cleared. */
async function setDevices() {
  const stage = await setCoreStage();
  const tells = (client: string, online: boolean | null, retain = false) =>
    new Promise<void>((accepted) => {
      const payload = Buffer.from(online === null ? '' : JSON.stringify({ online }));
      stage.core.toXmpp.receive({ topic: `chat/bob/presence/${client}`, payload, qos: 1, retain }, accepted);
    });
  return { stage, tells };
}

test('of hundreds of presences that lie on the broker at a start, each counts: the one device that is there is there', async () => {
  const { stage, tells } = await setDevices();
  const names = Array.from({ length: 300 }, (_, n) => `page${n}`);
  await Promise.all(names.map((client, n) => tells(client, n === 120, true)));
  expect(stage.core.devices.online(bob)).toBe(1);
  await stage.end();
});

test('a device whose presence is cleared is forgotten on disk before the broker hears so', async () => {
  const { stage, tells } = await setDevices();
  await tells('phone', true);
  await Promise.all(Array.from({ length: 200 }, () => tells('phone', true)));
  await tells('phone', null);
  expect(await stage.ledger.do('devices', {})).toEqual([]);
  await stage.end();
});

test('what waits of a device is not heard any more once the broker has told of it', async () => {
  const { clock, heard, pace, says } = setPace();
  for (let n = 0; n < 101; n++) says('phone', 'here');
  const cleared = async () => void heard.push('phone cleared');
  pace.pass(bob, 'phone', cleared, () => {});
  await clock.turn(60_000);
  expect(heard.slice(100)).toEqual(['phone cleared']);
});

test('what waits is what a device said, not the payload that it said it in', async () => {
  const { stage, tells } = await setDevices();
  await Promise.all(Array.from({ length: 101 }, () => tells('phone', true)));
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 50; n++) {
    const payload = Buffer.from(JSON.stringify({ online: true, more: 'x'.repeat(100_000) }));
    stage.core.toXmpp.receive({ topic: `chat/bob/presence/c${n}`, payload, qos: 1, retain: false }, () => {});
  }
  gc();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  await stage.end();
});
