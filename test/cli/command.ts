// Runs `crossfade` as an operator does: a process of its own, in a folder of its own, with the environment given and no more (but where what Node compiles is kept).

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
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
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return spawn(process.execPath, [main, ...args], { cwd, env: { PATH, NODE_COMPILE_CACHE, ...env } });
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

/** A crossfade.yaml in this folder for a gateway that finds neither server nor broker. */
export async function configureAlone(dir: string): Promise<void> {
  const nobody = await closedPort();
  writeFileSync(
    join(dir, 'crossfade.yaml'),
    `xmpp: { domain: example.com, component: { domain: gw.example.com, port: ${nobody}, secret: not-a-real-one } }
mqtt: { url: "mqtt://127.0.0.1:${nobody}" }
admin: { listen: "127.0.0.1:0" }
`,
  );
}

export interface Running {
  gateway: ChildProcess;
  /** Of its admin side. */
  url: string;
  /** What it has logged; goes on to grow. */
  events: string[];
}

/** `crossfade run` in this folder; resolves once the gateway has started. The caller ends it. */
export async function runGateway(cwd: string): Promise<Running> {
  const gateway = start(['run'], { cwd });
  gateway.stderr?.resume();
  const events: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    gateway.once('close', () => reject(new Error(`run ended: ${events.join(', ')}`)));
    createInterface({ input: gateway.stdout! }).on('line', (line) => {
      const { event, adminUrl } = JSON.parse(line);
      events.push(event);
      if (event === 'gateway.started') resolve(adminUrl);
    });
  });
  return { gateway, url, events };
}
