// Patterns of JIDs.

import { expect, test } from 'vitest';
import { makeGlob } from '../../src/admin/glob.ts';

const cases: [pattern: string, fitting: string[], others: string[]][] = [
  ['bob@example.com', ['bob@example.com'], ['bob@example.com.evil', 'abob@example.com']],
  ['b*@example.com', ['bob@example.com', 'b@example.com'], ['alice@example.com', 'bob@example.org']],
  ['*@example.com', ['bob@example.com', '@example.com'], ['bob@example.comx']],
  ['b?b@*', ['bob@example.com', 'b☃b@x'], ['bb@x', 'boob@x']],
  ['*a*b*', ['xaxbx', 'ab'], ['ba', 'a']],
  ['*', ['', 'anything'], []],
  ['BOB@*', ['bob@example.com'], []],
  ['b.b@*', ['b.b@x'], ['bob@x']],
  ['**b', ['b', 'aab'], ['ba']],
  ['a?*', ['ab', 'abc'], ['a']],
];

test.each(cases)('%s', (pattern, fitting, others) => {
  const fits = makeGlob(pattern);
  expect(fitting.filter((text) => !fits(text))).toEqual([]);
  expect(others.filter(fits)).toEqual([]);
});

test('no pattern takes long', () => {
  const fits = makeGlob('*a'.repeat(1500));
  const begun = performance.now();
  expect(fits('a'.repeat(1499))).toBe(false);
  expect(performance.now() - begun).toBeLessThan(1000);
});
