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
