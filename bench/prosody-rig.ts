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
import { domainOf, friendOf, localOf, users } from './traffic.ts';

/** Legacy clients; each writes to, or is written to by, a share of the users. */
export const friends = 20;
const startTimeoutMs = 120_000;
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** `env`: of Prosody's. Sides: `gateway`, and `bare` for the end of the link with nothing behind it. */
export async function openProsodyRig(env: Record<string, string> = {}): Promise<Omit<Rig, 'restart'>> {
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
      ...Array.from({ length: users }, (_, user) => [localOf(user), `bare${localOf(user)}`]).flat(),
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
    await bare.ask('open', { port: prosody.componentPort, secret });
    const subject: Subject = { side: 'gateway', config: { migration: { attachWindow: 20 } } };
    const place = { dir, xmppPort: prosody.componentPort, url: mosquitto.url, password };
    await prepare(subject, place);
    const gateway = child(...gatewayOf(subject, place));
    const server = child(file('c2s-clients.ts'));
    await server.ask('open', { port: prosody.c2sPort, friends, password });
    await attachedAll(() => prosody.shell('c2s:count()'));
    return { subjects: { gateway, bare }, server, app, serverPid: prosody.pid, brokerPid: mosquitto.pid, stop };
  } catch (fault) {
    await stop();
    throw fault;
  }
}

/** Resolves when the server has the sessions of both, and of its clients. */
async function attachedAll(count: () => Promise<string>): Promise<void> {
  for (const until = Date.now() + startTimeoutMs; ; await sleep(500)) {
    const sessions = Number(/Total: (\d+)/.exec(await count())?.[1] ?? 0);
    if (sessions >= 2 * users + friends) return;
    if (Date.now() > until) throw new Error(`only ${sessions} sessions are attached`);
  }
}
