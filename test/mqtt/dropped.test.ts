// The broker's count of dropped messages, by rows: when it says that something was lost.

import { expect, test } from 'vitest';
import { DroppedCount } from '../../src/mqtt/dropped.ts';

test.each<[string, string[], number[]]>([
  ['the first count is what was before our time', ['7'], [0]],
  ['a rise is told', ['7', '7', '10', '11'], [0, 0, 3, 1]],
  ['a restart begins anew', ['7', '0', '2'], [0, 0, 2]],
  ['what is no count is nothing', ['7', 'many', '', '-1', '9'], [0, 0, 0, 0, 2]],
])('%s', (_, counts, rises) => {
  const dropped = new DroppedCount();
  expect(counts.map((count) => dropped.rise(Buffer.from(count)))).toEqual(rises);
});

test('what a trial of our own had dropped is no rise, whenever the broker counts it; what others lost meanwhile is', () => {
  const dropped = new DroppedCount();
  const rise = (count: number) => dropped.rise(Buffer.from(String(count)));
  rise(7);
  const settle = dropped.expect();
  expect(rise(507)).toBe(0);
  // 600 were ours: 500 of them are counted by now, and the rest comes with two of others.
  expect(settle(600)).toBe(0);
  expect([rise(577), rise(609), rise(610)]).toEqual([0, 2, 1]);
});

test('trials that overlap are judged behind the last of them', () => {
  const dropped = new DroppedCount();
  const rise = (count: number) => dropped.rise(Buffer.from(String(count)));
  rise(0);
  const [first, second] = [dropped.expect(), dropped.expect()];
  expect(rise(25)).toBe(0);
  expect(first(10)).toBe(0);
  expect(second(10)).toBe(5);
});

test('a restart of the broker forgets what a trial had dropped', () => {
  const dropped = new DroppedCount();
  const rise = (count: number) => dropped.rise(Buffer.from(String(count)));
  rise(7);
  dropped.expect()(100);
  expect([rise(0), rise(3)]).toEqual([0, 3]);
});
