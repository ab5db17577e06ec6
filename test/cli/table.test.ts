// Tables for terminals.

import { expect, test } from 'vitest';
import { type Cell, printable, table } from '../../src/cli/table.ts';

type Row = readonly [Cell, Cell];
const columns = [
  { title: 'name', cell: (row: Row) => row[0] },
  { title: 'value', cell: (row: Row) => row[1] },
];

const tables: { what: string; rows: Row[]; lines: string[] }[] = [
  { what: 'nothing but the titles', rows: [], lines: ['NAME  VALUE'] },
  {
    what: 'numbers to the right',
    rows: [
      ['a', 7],
      ['bcdef', 1234567],
    ],
    lines: ['NAME     VALUE', 'a            7', 'bcdef  1234567'],
  },
  {
    what: 'what is absent as a dash',
    rows: [
      [undefined, null],
      ['', 'x'],
    ],
    lines: ['NAME  VALUE', '-     -', '-     x'],
  },
  {
    what: 'yes and no',
    rows: [
      ['a', true],
      ['b', false],
    ],
    lines: ['NAME  VALUE', 'a     yes', 'b     no'],
  },
  {
    what: 'wide characters and marks by their width',
    rows: [
      ['日本', 'x'],
      ['e\u0301te\u0301s', 'y'],
    ],
    lines: ['NAME  VALUE', '日本  x', 'e\u0301te\u0301s  y'],
  },
];

test.each(tables)('a table shows $what', ({ rows, lines }) => {
  expect(table(columns, rows)).toEqual(lines);
});

test('what others wrote cannot steer the terminal', () => {
  expect(printable('a\u001b[2Jb\u202ec\nd')).toBe('a\ufffd[2Jb\ufffdc\ufffdd');
  expect(table(columns, [['\u001b[31m', 'x']]).join('')).not.toContain('\u001b');
});
