// The simulation's command line: a long run is shared out, goes on with what its record has not, and no other run is taken for it.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { playHere } from './player.ts';
import { type Piece, type Range, rangesLeft, readRecord } from './record.ts';

let dir: string;
let record: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-record-'));
  record = join(dir, 'record');
});
afterEach(() => rmSync(dir, { recursive: true }));

const script = fileURLToPath(new URL('./run.ts', import.meta.url));
const run = (from: number, count: number, jobs = 1) => {
  const range = ['--from', `${from}`, '--count', `${count}`];
  return spawnSync(process.execPath, [script, ...range, '--jobs', `${jobs}`, '--record', record], { encoding: 'utf8' });
};
/** As a run of the seeds from 0 on has left it. */
const played = { from: 0, to: 1000, messages: 20_000, lives: 2_000, seconds: 30, broken: [] as number[] };
const keep = (piece: object) => writeFileSync(record, `${JSON.stringify(piece)}\n`);

test('it plays what the record does not have yet, and the sum is of all', () => {
  keep(played);
  const { status, stdout } = run(0, 1003);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^1003 seeds, .* 0 broken\n$/) });
  const [, piece] = readFileSync(record, 'utf8').trim().split('\n');
  expect(JSON.parse(piece!)).toMatchObject({ from: 1000, to: 1003, broken: [] });
});

test('a seed that was broken before the break still counts', () => {
  keep({ ...played, broken: [7] });
  const { status, stdout } = run(0, 1001);
  expect({ status, stdout }).toEqual({ status: 1, stdout: expect.stringMatching(/^1001 seeds, .* 1 broken\n$/) });
});

test('the record of other seeds is refused', () => {
  keep(played);
  const { status, stdout } = run(5000, 10);
  expect(status).toBe(2);
  expect(stdout).toMatch(/has seeds 0 to 999, which are not of this run: take another file/);
  expect(JSON.parse(readFileSync(record, 'utf8'))).toEqual(played);
});

test('two processes play what one would, once each', async () => {
  const { status, stdout } = run(40, 20, 2);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^20 seeds, .* 0 broken\n$/) });
  const pieces = readRecord(record);
  expect(pieces.map(({ from, to }) => [from, to]).sort()).toEqual([
    [40, 50],
    [50, 60],
  ]);
  const sum = (of: (piece: Piece) => number) => pieces.reduce((total, piece) => total + of(piece), 0);
  const { messages, lives } = await playHere(range(40, 60), false);
  expect({ messages: sum((piece) => piece.messages), lives: sum((piece) => piece.lives) }).toEqual({ messages, lives });
});

test('of no processes nothing is played, which is not taken for well', () => {
  const { status, stdout } = run(0, 10, 0);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '--jobs takes a whole number from 1 on, not "0".\n' });
});

const range = (from: number, to: number): Range => ({ from, to });
test.each<[string, Range[], Range[] | { strange: Range }]>([
  ['nothing', [], [range(10, 20), range(20, 30), range(30, 35)]],
  ['the beginning', [range(10, 20)], [range(20, 30), range(30, 35)]],
  ['the end', [range(30, 35)], [range(10, 20), range(20, 30)]],
  ['pieces in any order, one of them ended early', [range(20, 30), range(10, 13)], [range(13, 20), range(30, 35)]],
  ['all', [range(10, 35)], []],
  ['seeds before it', [range(0, 10)], { strange: range(0, 10) }],
  ['seeds behind it', [range(30, 40)], { strange: range(30, 40) }],
  ['a seed twice', [range(10, 20), range(19, 30)], { strange: range(19, 30) }],
])('of a run that has played %s is left what nobody has played', (_, played, left) => {
  expect(rangesLeft(range(10, 35), played, 10)).toEqual(left);
});
