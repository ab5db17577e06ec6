// How `crossfade run` comes to V8's option for a smaller young generation: it begins again with it, as the same process.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const ours = '--max-semi-space-size=32';
/** Loaded before `main.ts`, each time that the process begins. */
const look = `data:text/javascript,console.log(JSON.stringify([process.pid, process.execArgv.slice(2), process.argv.slice(2)]))`;

type Beginning = [pid: number, options: string[], args: string[]];

async function beginnings(nodeArgs: string[], args: string[], { isForked = false, nodeOptions = '' } = {}) {
  const options = { env: { ...process.env, NODE_OPTIONS: nodeOptions } };
  const before = ['--import', look, ...nodeArgs];
  const child = isForked
    ? fork(main, args, { ...options, execArgv: before, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    : spawn(process.execPath, [...before, main, ...args], options);
  let out = '';
  let err = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number];
  const told = out
    .split('\n')
    .filter((line) => line.startsWith('['))
    .map((line) => JSON.parse(line) as Beginning);
  return { code, err, pids: new Set(told.map(([pid]) => pid)), pid: child.pid!, told: told.map(([, ...rest]) => rest) };
}

const run = ['run', '--config', '/nowhere/ünd mit Leerzeichen.yaml'];

test('crossfade run begins again as the same process, with its arguments, its options and the size', async () => {
  const { pid, pids, told, code, err } = await beginnings(['--no-deprecation'], run);
  expect(told).toEqual([
    [['--no-deprecation'], run],
    [['--no-deprecation', ours], run],
  ]);
  expect([...pids]).toEqual([pid]);
  expect({ code, err }).toEqual({ code: 78, err: expect.stringContaining('/nowhere/ünd mit Leerzeichen.yaml') });
  expect(err).not.toContain('Warning');
});

test.concurrent.each<[string, string[], string[], Parameters<typeof beginnings>[2]?]>([
  ['another command', [], ['--version']],
  ['a size of somebody’s own', ['--max-semi-space-size=64'], run],
  ['a size written with underscores', ['--max_semi_space_size=64'], run],
  ['a size in NODE_OPTIONS', [], run, { nodeOptions: '--max-semi-space-size=64' }],
  ['a parent that is connected', [], run, { isForked: true }],
  ['no permission to start a process', ['--permission', '--allow-fs-read=*', '--allow-worker'], run],
])('%s: it does not begin again', async (_, nodeArgs, args, how) => {
  const { told } = await beginnings(nodeArgs, args, how);
  expect(told).toEqual([[nodeArgs, args]]);
});
