// Who waits for a turn: each once, in order, however many there are and whenever they come.

import { expect, test, vi } from 'vitest';
import { Line } from '../../src/migration/line.ts';

test('each has one turn, in the order in which they came, also those who come while others have theirs', () => {
  const line = new Line<string>();
  for (const one of ['a', 'b', 'a']) line.add(one);
  expect([line.take(), line.has('a'), line.has('b')]).toEqual(['a', false, true]);
  for (const one of ['c', 'a']) line.add(one);
  expect([line.take(), line.take(), line.take(), line.take()]).toEqual(['b', 'c', 'a', undefined]);
  line.add('d');
  expect([line.take(), line.take()]).toEqual(['d', undefined]);
});

test('a turn costs the same however many have had theirs: all who wait are gone through once', () => {
  const line = new Line<number>();
  for (let n = 1; n <= 1_000; n++) line.add(n);
  // Each new iterator passes by the places of all that were taken before it.
  const iterators = (['values', 'keys', 'entries', Symbol.iterator] as const).map((name) =>
    vi.spyOn(Set.prototype, name as 'values'),
  );
  const taken: unknown[] = [];
  for (let n = 1; n <= 1_000; n++) {
    taken.push(line.take());
    if (n <= 500) line.add(n + 1_000);
  }
  const made = iterators.map(({ mock }) => mock.calls.length);
  for (const spy of iterators) spy.mockRestore();
  expect(made).toEqual([0, 0, 0, 0]);
  expect(taken).toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1));
});
