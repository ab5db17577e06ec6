// The processes of the benchmark through a real Prosody: it, its clients, the gateway with broker and apps, and the bare end of the link.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../test/harness/mosquitto.ts';
import { startProsody } from '../test/harness/prosody.ts';
import { Child } from './child.ts';
import { gatewayOf, prepare, type Rig, type Subject } from './rig.ts';
import { domainOf, friendOf, localOf } from './traffic.ts';

/** Moved users, of the gateway and of the bare end each; legacy clients, each of which writes to, or is written to by, a share of them. */
export const [owners, friends] = [200, 20];
const startTimeoutMs = 120_000;
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Sides: `gateway`, and, unless `gatewayOnly`, `bare` for the end of the link with nothing behind it. `env`: of Prosody's. */
export async function openProsodyRig({
  env = {},
  gatewayOnly = false,
}: {
  env?: Record<string, string>;
  gatewayOnly?: boolean;
} = {}): Promise<Omit<Rig, 'restart'>> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  const password = randomBytes(12).toString('hex');
  const secret = 'a-fake-secret';
  const closing: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    for (const close of closing.splice(0).reverse()) await close();
  };
  const child = (...given: ConstructorParameters<typeof Child>) => {
    const one = new Child(...given);
    closing.push(() => one.stop());
    return one;
  };
  try {
    const names = [
      ...Array.from({ length: owners }, (_, user) => [localOf(user), `bare${localOf(user)}`]).flat(),
      ...Array.from({ length: friends }, (_, at) => friendOf(at, friends).split('@')[0]!),
    ];
    const prosody = await startProsody({
      accounts: Object.fromEntries(names.map((name) => [name, password])),
      components: ['gateway', 'bare'].map((side) => ({ domain: domainOf(side), secret })),
      env,
    });
    closing.push(() => prosody.stop());
    const mosquitto = await startMosquitto({
      accounts: {},
      gateway: { username: 'crossfade', password },
      options: { max_queued_messages: 0 },
    });
    closing.push(() => mosquitto.stop());
    const account = { MQTT_PORT: String(mosquitto.port), MQTT_USER: 'crossfade', MQTT_PASSWORD: password };
    const app = child(file('mqtt-app.ts'), { env: account });
    await app.ask('open');
    await app.ask('comeOnline', 'gateway');
    const bare = child(file('attach-end.ts'));
    if (!gatewayOnly) await bare.ask('open', { port: prosody.componentPort, secret, owners });
    const subject: Subject = { side: 'gateway', seed: { moved: owners }, config: { migration: { attachWindow: 20 } } };
    const place = { dir, xmppPort: prosody.componentPort, url: mosquitto.url, password };
    await prepare(subject, place);
    const gateway = child(...gatewayOf(subject, place));
    const server = child(file('c2s-clients.ts'));
    await server.ask('open', { port: prosody.c2sPort, friends, password });
    await attachedAll((gatewayOnly ? 1 : 2) * owners + friends, () => prosody.shell('c2s:count()'));
    return { subjects: { gateway, bare }, server, app, serverPid: prosody.pid, brokerPid: mosquitto.pid, stop };
  } catch (fault) {
    await stop();
    throw fault;
  }
}

/** Resolves when the server has the sessions of both, and of its clients. */
async function attachedAll(wanted: number, count: () => Promise<string>): Promise<void> {
  for (const until = Date.now() + startTimeoutMs; ; await sleep(500)) {
    const sessions = Number(/Total: (\d+)/.exec(await count())?.[1] ?? 0);
    if (sessions >= wanted) return;
    if (Date.now() > until) throw new Error(`only ${sessions} of ${wanted} sessions are attached`);
  }
}
