// The verdict over what the demo's story counted.

import { expect, test } from 'vitest';
import { figureOf, type Row, verdict } from '../../demo/verdict.ts';

const rows: { row: Row; figure: string; exitCode: 0 | 1 }[] = [
  { row: { what: 'all there', actual: 300, expected: 300 }, figure: '300 of 300', exitCode: 0 },
  { row: { what: 'none, as it should be', actual: 0, expected: 0 }, figure: '0', exitCode: 0 },
  { row: { what: 'one lost', actual: 299, expected: 300 }, figure: '299, expected 300', exitCode: 1 },
  { row: { what: 'one too many', actual: 6, expected: 5 }, figure: '6, expected 5', exitCode: 1 },
  { row: { what: 'one repeat', actual: 1, expected: 0 }, figure: '1, expected 0', exitCode: 1 },
  { row: { what: 'in time', actual: 1000, atMost: 1000, unit: 'ms' }, figure: '1000 ms', exitCode: 0 },
  {
    row: { what: 'too late', actual: 1001, atMost: 1000, unit: 'ms' },
    figure: '1001 ms, expected at most 1000 ms',
    exitCode: 1,
  },
  {
    row: { what: 'no time at all', actual: Number.NaN, atMost: 1000, unit: 'ms' },
    figure: 'NaN ms, expected at most 1000 ms',
    exitCode: 1,
  },
];

test.each(rows)('$row.what: $figure, exit code $exitCode', ({ row, figure, exitCode }) => {
  expect(figureOf(row)).toBe(figure);
  expect(verdict([row]).exitCode).toBe(exitCode);
});

test('one wrong count among right ones makes the whole a failure, and is counted', () => {
  expect(verdict(rows.map(({ row }) => row))).toEqual({ exitCode: 1, text: '5 of 8 counts are wrong.' });
});

test('right counts alone are a success', () => {
  const right = rows.filter(({ exitCode }) => exitCode === 0).map(({ row }) => row);
  expect(verdict(right)).toEqual({ exitCode: 0, text: 'All 3 counts are right.' });
});

test('a story that counted nothing has shown nothing', () => {
  expect(verdict([]).exitCode).toBe(1);
});
