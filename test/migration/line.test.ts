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
  const iterators = vi.spyOn(Set.prototype, 'values');
  for (let n = 1; n <= 1_000; n++) {
    expect(line.take()).toBe(n);
    if (n <= 500) line.add(n + 1_000);
  }
  expect(iterators).not.toHaveBeenCalled();
  iterators.mockRestore();
});
