// Runs `crossfade` as an operator does: a process of its own, in a folder of its own, with the environment given and no more.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

export interface Surroundings {
  cwd: string;
  env?: Record<string, string>;
  input?: string;
}

export function start(args: string[], { cwd, env = {} }: Surroundings): ChildProcess {
  return spawn(process.execPath, [main, ...args], { cwd, env: { PATH: process.env.PATH, ...env } });
}

/** Resolves at the end of the command, with all it said. */
export async function crossfade(args: string[], surroundings: Surroundings): Promise<Ended> {
  const child = start(args, surroundings);
  child.stdin?.end(surroundings.input ?? '');
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
