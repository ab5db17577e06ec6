// The whole stage: a real legacy server with our module (Prosody, if no other is asked for), a real Mosquitto and the gateway as a process, in one private folder; and
// the cast, which leaves when the stage is struck.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { type App, type AppOptions, app } from './app.ts';
import { type Contact, type ContactOptions, contact } from './contact.ts';
import { GatewayProcess } from './gateway-process.ts';
import { Happenings } from './happenings.ts';
import { type LegacyClient, type LegacyOptions, legacyClient } from './legacy-client.ts';
import type { LegacyServer, LegacyServerOptions, ServerKind } from './legacy-server.ts';
import { type Mosquitto, startMosquitto } from './mosquitto.ts';
import { prosody } from './servers.ts';

export interface StageOptions {
  /** Local parts, prepared; each has a legacy account and an MQTT account. */
  accounts: string[];
  /** Which legacy server, and how it is set. */
  kind?: ServerKind;
  legacy?: Partial<LegacyServerOptions>;
  /** `client`: the server has no module of ours, but an archive; users are held by client sessions. Default: `module`. */
  attach?: 'module' | 'client';
  /** How client sessions have TLS, where the server has it. Default: `starttls`. */
  security?: 'starttls' | 'direct';
  /** Bare JIDs on gw.example.com. */
  ownUsers?: string[];
  /** Names of further MQTT accounts. */
  mqttAccounts?: string[];
  mosquitto?: Record<string, string | number | boolean>;
  /** What stands between the gateway and the servers: given their ports, it gives the ones the gateway connects to. */
  between?: (ports: { component: number; broker: number }) => Promise<{ component: number; broker: number }>;
  /** Of the gateway. */
  env?: Record<string, string>;
  /** Sections laid over the gateway's configuration. */
  config?: { xmpp?: object; mqtt?: object; migration?: object; webhook?: object; shutdown?: object };
}

/** A message on the broker. */
export interface Passing {
  topic: string;
  payload: string;
  retain: boolean;
}

const gatewayName = 'crossfade';

export class Stage {
  readonly server: LegacyServer;
  readonly mosquitto: Mosquitto;
  readonly gateway: GatewayProcess;
  readonly dir: string;
  /** Of every account, on both sides, but the gateway's. */
  readonly password: string;
  readonly #gatewayPassword: string;
  readonly #leaving: (() => Promise<void>)[] = [];

  constructor(
    parts: Pick<Stage, 'server' | 'mosquitto' | 'gateway' | 'dir' | 'password'> & { gatewayPassword: string },
  ) {
    this.server = parts.server;
    this.mosquitto = parts.mosquitto;
    this.gateway = parts.gateway;
    this.dir = parts.dir;
    this.password = parts.password;
    this.#gatewayPassword = parts.gatewayPassword;
  }

  /** A legacy client on slixmpp; `name` is a local part with or without a resource. */
  async contact(name: string, options: Partial<ContactOptions> = {}): Promise<Contact> {
    const [local, resource = 'desk'] = name.split('/');
    const jid = `${local}@example.com/${resource}`;
    const one = await contact({ jid, password: this.password, port: this.server.c2sPort, ...options });
    this.#leaving.push(() => one.leave());
    return one;
  }

  /** A legacy client on @xmpp/client. */
  async legacyClient(user: string, options: Partial<LegacyOptions> = {}): Promise<LegacyClient> {
    const one = await legacyClient({ user, password: this.password, port: this.server.c2sPort, ...options });
    this.#leaving.push(() => one.stop());
    return one;
  }

  /** An app of the user whose topics have this level. Its client id names the user as well: it is the broker's for all. */
  async app(user: string, device: string, options: Partial<AppOptions> = {}): Promise<App> {
    const client = `${user}-${device}`;
    const one = await app({ user, client, password: this.password, port: this.mosquitto.port, ...options });
    this.#leaving.push(() => one.leave());
    return one;
  }

  /** What passes on the broker under this filter, retained messages first; resolves when the subscription stands. */
  async watch(filter: string): Promise<Happenings<Passing>> {
    const { url } = this.mosquitto;
    const passing = new Happenings<Passing>();
    const client = await connectAsync(url, { username: gatewayName, password: this.#gatewayPassword });
    this.#leaving.push(() => client.endAsync());
    client.on('message', (topic, payload, { retain }) => passing.add({ topic, payload: payload.toString(), retain }));
    await client.subscribeAsync(filter, { qos: 1 });
    return passing;
  }

  async strike(): Promise<void> {
    await Promise.allSettled(this.#leaving.map((leave) => leave()));
    await this.gateway.stop();
    await Promise.all([this.server.stop(), this.mosquitto.stop()]);
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Starts everything on free ports; `strike` ends it and removes the folder. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-stage-'));
  const [password, secret, gatewayPassword] = [token(), token(), token()];
  const { ownUsers = [], mqttAccounts = [], accounts } = options;
  const server = await (options.kind ?? prosody).start({
    accounts: Object.fromEntries(accounts.map((name) => [name, password])),
    components: [{ domain: 'gw.example.com', secret }],
    // As docs/servers/any.md asks: with a full queue Prosody 0.12.3 resumes nothing, and does not say what it has processed.
    ...(options.attach === 'client' && { attach: false, archive: true, resumableQueue: 5_000 }),
    ...options.legacy,
  });
  const levels = [...accounts, ...ownUsers].map(userLevel);
  const mosquitto = await startMosquitto({
    accounts: Object.fromEntries([...levels, ...mqttAccounts].map((name) => [name, password])),
    gateway: { username: gatewayName, password: gatewayPassword },
    options: options.mosquitto,
  });
  const gateway = new GatewayProcess(dir);
  gateway.env = options.env ?? {};
  const stage = new Stage({ server, mosquitto, gateway, dir, password, gatewayPassword });
  const direct = { component: server.componentPort, broker: mosquitto.port };
  const { component: port, broker } = (await options.between?.(direct)) ?? direct;
  const component = { host: '127.0.0.1', port, domain: 'gw.example.com', secret, users: ownUsers };
  const clients = options.attach === 'client' ? await clientSessions(dir, server, options, password) : {};
  await gateway.configure({
    xmpp: { domain: 'example.com', component, ...clients, ...options.config?.xmpp },
    mqtt: {
      ...{ url: `mqtt://127.0.0.1:${broker}`, username: gatewayName, password: gatewayPassword, brokerHorizon: '10s' },
      ...options.config?.mqtt,
    },
    migration: options.config?.migration ?? {},
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
    ...(options.config?.webhook && { webhook: options.config.webhook }),
    ...(options.config?.shutdown && { shutdown: options.config.shutdown }),
  });
  try {
    await gateway.start(options.legacy?.attach === false ? 'component.online' : 'gateway.ready');
  } catch (error) {
    await stage.strike();
    throw error;
  }
  return stage;
}

/** What the configuration says of them: over the server's TLS where it has any. */
async function clientSessions(
  dir: string,
  { c2sPort, directPort, ca }: LegacyServer,
  { accounts, security = 'starttls' }: StageOptions,
  password: string,
) {
  const file = join(dir, 'credentials');
  await writeFile(file, accounts.map((name) => `${name}:${password}\n`).join(''), { mode: 0o600 });
  const tls = ca === undefined ? { security: 'none' } : { security, caFile: ca };
  const port = security === 'direct' ? directPort : c2sPort;
  return { attach: { kind: 'client' }, client: { port, ...tls, credentials: { file } } };
}

/** As docs/app-developers.md spells it: every byte outside A-Z a-z 0-9 _ - is percent-encoded. Written anew, not the gateway's own. */
export function userLevel(name: string): string {
  return Buffer.from(name)
    .toString('latin1')
    .replace(/[^A-Za-z0-9_-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

function token(): string {
  return randomBytes(12).toString('hex');
}
