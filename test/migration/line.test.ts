// Who waits for a turn: each once, in order, however many there are and whenever they come.

import { expect, test } from 'vitest';
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

test('two hundred thousand have their turns within a second', () => {
  const line = new Line<object>();
  for (let n = 0; n < 200_000; n++) line.add({ n });
  const began = performance.now();
  while (line.take()) {}
  // 5 s with a new iterator for each.
  expect(performance.now() - began).toBeLessThan(1_000);
});
