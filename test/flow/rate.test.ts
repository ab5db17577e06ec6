// What an app may send: a burst, then so many a second, each user alone.

import { beforeEach, expect, test } from 'vitest';
import { Rate } from '../../src/flow/rate.ts';

let now: number;
let rate: Rate;
const clock = { now: () => now, after: () => ({ cancel() {} }), random: () => 0 };

beforeEach(() => {
  now = 1_000_000;
  rate = new Rate({ perSecond: 10, burst: 3 }, clock);
});
const take = (times: number, user = 'bob') => Array.from({ length: times }, () => rate.take(user));

test('a burst may come at once, and what is over it is told when it may come', () => {
  expect(take(5)).toEqual([0, 0, 0, 100, 100]);
});

test('after a time so many may come as it has brought, and never more than a burst', () => {
  take(3);
  now += 250;
  expect(take(3)).toEqual([0, 0, 50]);
  now += 3_600_000;
  expect(take(4)).toEqual([0, 0, 0, 100]);
});

test("one user's flood is nobody else's", () => {
  take(100);
  expect(take(3, 'carol')).toEqual([0, 0, 0]);
});

test('a clock that is put back gives nothing and takes nothing', () => {
  take(3);
  now -= 3_600_000;
  expect(take(1)).toEqual([100]);
  now += 100;
  expect(take(2)).toEqual([0, 100]);
});

test('users who have been silent are forgotten, those who have not are not', () => {
  take(3, 'flooder');
  for (let n = 0; n < 25_000; n++) {
    now += 1;
    if (n % 1000 === 0) take(3, 'flooder');
    rate.take(`user${n}`);
  }
  expect(rate.size).toBeLessThan(20_001);
  now += 1;
  expect(rate.take('flooder')).toBeGreaterThanOrEqual(0);
});
