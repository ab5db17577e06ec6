// The simulation's command line: a run that was broken off goes on where its record ends, and no other run is taken for it.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

let dir: string;
let record: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-record-'));
  record = join(dir, 'record');
});
afterEach(() => rmSync(dir, { recursive: true }));

const script = fileURLToPath(new URL('./run.ts', import.meta.url));
const run = (from: number, count: number) =>
  spawnSync(process.execPath, [script, '--from', `${from}`, '--count', `${count}`, '--record', record], {
    encoding: 'utf8',
  });
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
  expect(stdout).toMatch(/has seeds 0 to 999, which do not go on from 5000: take another file/);
  expect(JSON.parse(readFileSync(record, 'utf8'))).toEqual(played);
});
