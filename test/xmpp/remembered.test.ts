// What is remembered of single users, and for how long.

import { beforeEach, expect, test } from 'vitest';
import { Remembered } from '../../src/xmpp/remembered.ts';

const hour = 3_600_000;
const [bob, carol] = ['bob@example.com', 'carol@example.com'];
let now: number;
let remembered: Remembered<string>;

beforeEach(() => {
  now = Date.UTC(2026, 0, 1);
  remembered = new Remembered({ now: () => now, random: () => 0, after: () => ({ cancel() {} }) });
});

test('something about another user in each hour of a year is never more than a week has hours', () => {
  for (let n = 0; n < 365 * 24; n++) {
    remembered.set(`u${n}@example.com`, 'x');
    now += hour;
    expect(remembered.size).toBeLessThanOrEqual(7 * 24);
  }
});

test('it is remembered for a week from the last time that it was said', () => {
  remembered.set(bob, 'once');
  remembered.set(carol, 'once');
  now += 6 * 24 * hour;
  remembered.set(bob, 'again');
  now += 6 * 24 * hour;
  expect([remembered.get(bob), remembered.get(carol)]).toEqual(['again', undefined]);
  remembered.set(carol, 'new');
  expect(remembered.size).toBe(2);
  remembered.delete(bob);
  expect(remembered.get(bob)).toBeUndefined();
});

test('a clock that was put back by a year keeps nothing for a year', () => {
  remembered.set(bob, 'x');
  now -= 365 * 24 * hour;
  expect(remembered.get(bob)).toBeUndefined();
  remembered.set(carol, 'x');
  expect(remembered.size).toBe(1);
});
