// scripts/run.mjs and scripts/setup.mjs as programs: which Node, arguments, exit codes, signals.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pathFor, root } from '../../scripts/node24.mjs';

const run = join(root, 'scripts', 'run.mjs');
let dir: string;
let script: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-run-'));
  script = join(dir, 'script.ts');
  writeFileSync(
    script,
    `const what: string = process.argv[2] ?? '';
if (what === 'say') console.log(JSON.stringify({ node: process.versions.node, rest: process.argv.slice(3), path: process.env.PATH }));
if (what === 'fail') process.exit(7);
if (what === 'wait') {
  process.on('SIGTERM', () => process.exit(9));
  setInterval(() => {}, 1000);
  console.log('waiting');
}
if (what === 'die') process.kill(process.pid, 'SIGKILL');
`,
  );
});

afterAll(() => rmSync(dir, { recursive: true }));

test('a TypeScript file runs on Node 24 with its arguments as they were given', () => {
  const { stdout, status } = spawnSync(process.execPath, [run, script, 'say', '--once', 'a b'], { encoding: 'utf8' });
  const said = JSON.parse(stdout);
  expect(status).toBe(0);
  expect(said.rest).toEqual(['--once', 'a b']);
  expect(Number(said.node.split('.')[0])).toBeGreaterThanOrEqual(24);
});

test("PATH begins with that Node and the checkout's commands and ends with the folders of Debian's servers", () => {
  const path = pathFor('/n/bin/node', '/c', '/usr/bin:/usr/sbin');
  expect(path).toBe('/n/bin:/c/node_modules/.bin:/usr/bin:/usr/sbin:/usr/local/sbin:/sbin');
});

test.each([
  { what: 'fail', status: 7 },
  { what: 'die', status: 128 + 9 },
])('$what: the exit code is $status', ({ what, status }) => {
  expect(spawnSync(process.execPath, [run, script, what]).status).toBe(status);
});

test('SIGTERM is handed on, and the end is awaited', async () => {
  const child = spawn(process.execPath, [run, script, 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  expect(code).toBe(9);
});

test('an unknown purpose is a usage error', () => {
  const { stderr, status } = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs'), '--for', 'fun'], {
    encoding: 'utf8',
  });
  expect(status).toBe(2);
  expect(stderr).toContain('Usage: node scripts/setup.mjs [--for run|demo|test]');
});

test('a second set-up says nothing and takes no time', () => {
  const started = performance.now();
  const { stderr, status } = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs'), '--for', 'test'], {
    encoding: 'utf8',
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(performance.now() - started).toBeLessThan(5000);
});
