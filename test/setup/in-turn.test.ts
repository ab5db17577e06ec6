// The set-up's turn: two of them never work in one folder at once, and a killed one holds up nobody.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { inTurn } from '../../scripts/in-turn.mjs';

let dir: string;
let file: string;
let told: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-turn-'));
  file = join(dir, 'lock');
  told = [];
  vi.spyOn(console, 'error').mockImplementation((text) => void told.push(text));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

test('the second waits for the first, and says so once', async () => {
  const done: string[] = [];
  const one = inTurn(file, async () => {
    done.push('one begins');
    await sleep(400);
    done.push('one ends');
  });
  const two = inTurn(file, async () => done.push('two begins'));
  await Promise.all([one, two]);
  expect(done).toEqual(['one begins', 'one ends', 'two begins']);
  expect(told).toEqual(['setup: another set-up of this checkout is under way; waiting for it …']);
  expect(existsSync(file)).toBe(false);
});

test('what a killed one has left behind holds up nobody', async () => {
  const { pid } = spawnSync(process.execPath, ['--eval', '']);
  writeFileSync(file, String(pid));
  expect(await inTurn(file, async () => 'done')).toBe('done');
});

test('nor does one that was killed before it could write who it is; one that is just about to is waited for', async () => {
  writeFileSync(file, '');
  const turn = inTurn(file, async () => 'done');
  await sleep(400);
  expect(existsSync(file)).toBe(true);
  utimesSync(file, 1, 1);
  expect(await turn).toBe('done');
});

test('a work that fails gives its turn away', async () => {
  await expect(inTurn(file, () => Promise.reject(new Error('no npm')))).rejects.toThrow('no npm');
  expect(existsSync(file)).toBe(false);
});
