// The processes of a benchmark: XMPP server, Mosquitto, apps, and side by side the gateways and bridges that are measured.

import { randomBytes } from 'node:crypto';
import { constants, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { startMosquitto } from '../test/harness/mosquitto.ts';
import { Child, now } from './child.ts';
import { compiled } from './compiled.ts';
import { type Seed, seedLedger } from './seed.ts';
import { domainOf, host, isGateway, rootOf, type Side, users } from './traffic.ts';

/** One that is measured. */
export interface Subject {
  side: Side;
  /** Of its ledger, beside the 1,000 users whose messages are sent. */
  seed?: Seed;
  /** Sections of its configuration, over those of the benchmark. */
  config?: Record<string, object>;
  env?: Record<string, string>;
  nodeArgs?: string[];
}

export interface Rig {
  /** Those that are measured, by side. */
  subjects: Record<Side, Child>;
  server: Child;
  app: Child;
  /** Whose processor time counts as the server's and the broker's. */
  serverPid: number;
  brokerPid: number;
  /** Ends a gateway and starts it again as it was started first. Resolves when its link stands, to when it was started (ms). */
  restart(side: Side): Promise<number>;
  stop(): Promise<void>;
}

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const probe = ['--import', pathToFileURL(compiled('probe', 'child')).href];
const seeded = 'seeded.sqlite';
const startTimeoutMs = 240_000;
/** What `crossfade run` gives itself (main.ts), but not where its parent is connected, as ours is. */
const asRun = '--max-semi-space-size=32';

/** Starts all of it: in each gateway 1,000 users in phase `mqtt`, attached, a device of each online. `profileDir`: the gateways' profiles go there. */
export async function openRig(given: Subject[], { profileDir }: { profileDir?: string } = {}): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  const password = randomBytes(12).toString('hex');
  // Without a limit, so that the broker drops nothing of what the apps send faster than it is taken.
  const options = { max_queued_messages: 0 };
  const mosquitto = await startMosquitto({ accounts: {}, gateway: { username: 'crossfade', password }, options });
  const account = { MQTT_PORT: String(mosquitto.port), MQTT_USER: 'crossfade', MQTT_PASSWORD: password };
  const children: Child[] = [];
  const start = (...given: ConstructorParameters<typeof Child>) => {
    const child = new Child(...given);
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) await child.stop();
    await mosquitto.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const interrupted = () => void stop().finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, interrupted);
  try {
    const server = start(file('xmpp-server.ts'));
    const app = start(file('mqtt-app.ts'), { env: account });
    const xmppPort = await server.ask<number>('listen');
    await app.ask('open');
    const place = { dir, xmppPort, url: mosquitto.url, password };
    const open = (subject: Subject) => {
      if (isGateway(subject.side)) return start(...gatewayOf(subject, place, profileDir));
      return start(...bridgeOf(subject, { ...account, XMPP_PORT: String(xmppPort) }));
    };
    const subjects: Record<Side, Child> = {};
    for (const subject of given) {
      const { side } = subject;
      if (isGateway(side)) await app.ask('comeOnline', side);
      if (isGateway(side)) await prepare(subject, place);
      subjects[side] = open(subject);
      await ready(server, subject);
    }
    return {
      ...{ subjects, server, app, serverPid: server.pid, brokerPid: mosquitto.pid },
      async restart(side) {
        const subject = given.find((one) => one.side === side)!;
        await subjects[side]!.stop();
        await server.ask('forget', side);
        await freshLedger(join(dir, side));
        const startedAt = now();
        subjects[side] = open(subject);
        await ready(server, subject);
        return startedAt;
      },
      async stop() {
        for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, interrupted);
        await stop();
      },
    };
  } catch (fault) {
    await stop();
    throw fault;
  }
}

export interface Place {
  dir: string;
  xmppPort: number;
  url: string;
  password: string;
}

/** Its folder, with configuration and ledger. */
export async function prepare(
  { side, seed, config = {} }: Subject,
  { dir, xmppPort, url, password }: Place,
): Promise<void> {
  const folder = join(dir, side);
  await mkdir(folder);
  const component = { host: '127.0.0.1', port: xmppPort, domain: domainOf(side), secret: 'a-fake-secret' };
  const sections: Record<string, object> = {
    xmpp: { domain: host, component },
    mqtt: { url, username: 'crossfade', password, clientId: side, root: rootOf(side) },
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
    log: { level: 'warn' },
  };
  for (const [name, section] of Object.entries(config)) sections[name] = { ...sections[name], ...section };
  await writeFile(join(folder, 'crossfade.yaml'), stringify(sections), { mode: 0o600 });
  seedLedger(join(folder, seeded), side, seed);
  await freshLedger(folder);
}

/** The ledger as it was seeded, in place of the one that has been worked with. */
async function freshLedger(folder: string): Promise<void> {
  for (const end of ['', '-wal', '-shm']) await rm(join(folder, `crossfade.sqlite${end}`), { force: true });
  await copyFile(join(folder, seeded), join(folder, 'crossfade.sqlite'), constants.COPYFILE_FICLONE);
}

export function gatewayOf(subject: Subject, { dir }: Place, profileDir?: string): ConstructorParameters<typeof Child> {
  const profiling = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir];
  const { side, env, nodeArgs = [] } = subject;
  const args = ['run', '--config', join(dir, side, 'crossfade.yaml')];
  return [file('../dist/main.js'), { args, env, nodeArgs: [asRun, ...nodeArgs, ...profiling, ...probe] }];
}

/** `bridge` and `least` in TypeScript, `python` in Python. */
function bridgeOf({ side }: Subject, env: Record<string, string>): ConstructorParameters<typeof Child> {
  if (side === 'python') return [file('bridge.py'), { env, execPath: '/usr/bin/python3' }];
  return [compiled(side), { env, nodeArgs: probe }];
}

async function ready(server: Child, { side, seed }: Subject): Promise<void> {
  const sessions = isGateway(side) ? users + (seed?.attached ?? 0) : 0;
  for (const until = Date.now() + startTimeoutMs; !(await server.ask<boolean>('isReady', { side, sessions })); ) {
    if (Date.now() > until) throw new Error(`the ${side} does not come up`);
    await sleep(100);
  }
}
