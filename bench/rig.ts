// The five processes of the benchmark: XMPP server, Mosquitto, apps, and side by side the gateway and the bridge.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { systemClock } from '../src/clock.ts';
import { openLedger } from '../src/ledger/sqlite.ts';
import { silentLog } from '../src/log.ts';
import { startMosquitto } from '../test/harness/mosquitto.ts';
import { Child } from './child.ts';
import { domains, host, localOf, type Side, users } from './traffic.ts';

export interface Rig {
  /** The two that are measured. */
  subjects: Record<Side, Child>;
  server: Child;
  app: Child;
  brokerPid: number;
  stop(): Promise<void>;
}

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const probe = ['--import', new URL('./probe.ts', import.meta.url).href];
const startTimeoutMs = 60_000;

/** Starts all of it: 1,000 users in phase `mqtt`, attached, a device of each online. `profileDir`: the gateway's profiles go there. */
export async function openRig({ profileDir }: { profileDir?: string }): Promise<Rig> {
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
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop().finally(() => process.exit(1)));
  try {
    const server = start(file('xmpp-server.ts'));
    const app = start(file('mqtt-app.ts'), { env: account });
    const xmppPort = await server.ask<number>('listen');
    await app.ask('open');
    await app.ask('comeOnline');
    await seed(join(dir, 'crossfade.sqlite'));
    const configFile = join(dir, 'crossfade.yaml');
    await writeFile(configFile, configOf(xmppPort, mosquitto.url, password), { mode: 0o600 });
    const profiling = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir];
    const gateway = start(file('../src/main.ts'), {
      args: ['run', '--config', configFile],
      nodeArgs: [...profiling, ...probe],
    });
    const bridge = start(file('bridge.ts'), { env: { ...account, XMPP_PORT: String(xmppPort) }, nodeArgs: probe });
    for (const side of Object.keys(domains)) await ready(server, side);
    return { subjects: { gateway, bridge }, server, app, brokerPid: mosquitto.pid, stop };
  } catch (fault) {
    await stop();
    throw fault;
  }
}

/** Users that were moved long ago. */
async function seed(path: string): Promise<void> {
  const ledger = await openLedger({ path, clock: systemClock, log: silentLog });
  const changedAt = Date.now();
  const rows = Array.from({ length: users }, (_, user) => `${localOf(user)}@${host}`);
  await Promise.all(
    rows.map((jid) => ledger.do('putUser', { row: { jid, phase: 'mqtt', version: 1, acks: false, changedAt } })),
  );
  await ledger.close();
}

function configOf(port: number, url: string, password: string): string {
  return stringify({
    xmpp: { domain: host, component: { host: '127.0.0.1', port, domain: domains.gateway, secret: 'a-fake-secret' } },
    mqtt: { url, username: 'crossfade', password },
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
    log: { level: 'warn' },
  });
}

async function ready(server: Child, side: string): Promise<void> {
  for (const until = Date.now() + startTimeoutMs; !(await server.ask<boolean>('isReady', side)); await sleep(100)) {
    if (Date.now() > until) throw new Error(`the ${side} does not come up`);
  }
}
