// The whole stage: a real Prosody with our module, a real Mosquitto and the gateway as a process, in one private folder.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GatewayProcess } from './gateway-process.ts';
import { type Mosquitto, startMosquitto } from './mosquitto.ts';
import { type Prosody, type ProsodyOptions, startProsody } from './prosody.ts';

export interface Stage {
  prosody: Prosody;
  mosquitto: Mosquitto;
  gateway: GatewayProcess;
  dir: string;
  /** Of every account, on both sides. */
  password: string;
  stop(): Promise<void>;
}

export interface StageOptions {
  /** Local parts; each has a legacy account and an MQTT account. */
  accounts: string[];
  prosody?: Partial<ProsodyOptions>;
  /** Bare JIDs on gw.example.com. */
  ownUsers?: string[];
  mosquitto?: Record<string, string | number | boolean>;
  /** Sections laid over the gateway's configuration. */
  config?: { xmpp?: object; mqtt?: object };
}

/** Starts everything on free ports; `stop` ends it and removes the folder. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-stage-'));
  const [password, secret, gatewayPassword] = [token(), token(), token()];
  const passwords = (names: string[]) => Object.fromEntries(names.map((name) => [name, password]));
  const prosody = await startProsody({
    accounts: passwords(options.accounts),
    components: [{ domain: 'gw.example.com', secret }],
    ...options.prosody,
  });
  const mosquitto = await startMosquitto({
    accounts: passwords([
      ...options.accounts,
      ...(options.ownUsers ?? []).map((jid) => encodeURIComponent(jid).replaceAll('.', '%2E')),
    ]),
    gateway: { username: 'crossfade', password: gatewayPassword },
    options: { sys_interval: 1, ...options.mosquitto },
  });
  const gateway = new GatewayProcess(dir);
  await gateway.configure({
    xmpp: {
      domain: 'example.com',
      component: {
        host: '127.0.0.1',
        port: prosody.componentPort,
        domain: 'gw.example.com',
        secret,
        users: options.ownUsers ?? [],
      },
      ...options.config?.xmpp,
    },
    mqtt: {
      url: mosquitto.url,
      username: 'crossfade',
      password: gatewayPassword,
      brokerHorizon: '10s',
      ...options.config?.mqtt,
    },
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
  });
  const stop = async () => {
    await gateway.stop();
    await Promise.all([prosody.stop(), mosquitto.stop()]);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await gateway.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { prosody, mosquitto, gateway, dir, password, stop };
}

function token(): string {
  return randomBytes(12).toString('hex');
}
