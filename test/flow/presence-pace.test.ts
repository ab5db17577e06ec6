// An app that says how it is thousands of times in a second: little of it is heard, the last of it always.

import { expect, test } from 'vitest';
import { PresencePace } from '../../src/flow/presence-pace.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { TurnedClock } from '../migration/stage.ts';

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
