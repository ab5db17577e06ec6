// Everything the story needs, started unprivileged in one private folder on free ports: Prosody, a broker, the gateway.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLog } from '../src/log.ts';
import { startEmbeddedBroker } from '../src/mqtt/embedded-broker.ts';
import { GatewayProcess } from '../test/harness/gateway-process.ts';
import { freePort, hasMosquitto, type Mosquitto, startMosquitto } from '../test/harness/mosquitto.ts';
import { type Prosody, startProsody } from '../test/harness/prosody.ts';
import { Guard } from './guard.ts';

export type BrokerKind = 'mosquitto' | 'embedded';

/** Something that a person has to put right; the text says how. */
export class DemoFault extends Error {}

export interface DemoBroker {
  kind: BrokerKind;
  url: string;
  port: number;
  /** What the apps speak: MQTT 5, or 4 = MQTT 3.1.1. */
  protocolVersion: 4 | 5;
  /** Name, version, and what is special about it. */
  about: string;
}

export interface CommandResult {
  code: number;
  out: string;
  /** As a person waits for it. */
  durationMs: number;
}

const domain = 'gw.example.com';
const gatewayAccount = 'crossfade';
const checkout = fileURLToPath(new URL('..', import.meta.url));

export const crossfadeVersion: string = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')).version;

export class World {
  readonly dir: string;
  readonly gateway: GatewayProcess;
  /** By local part, for both sides. */
  readonly passwords: Record<string, string>;
  readonly #guard: Guard;
  readonly #closing: (() => Promise<void>)[] = [];
  #starting: Promise<void> = Promise.resolve();
  #stopping = false;
  #prosody: Prosody | undefined;
  #prosodyVersion = '';
  #mosquitto: Mosquitto | undefined;
  #broker: DemoBroker | undefined;

  /** A folder in the temporary folder, with nothing running yet. */
  static async make(people: string[]): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), 'crossfade-demo-')), people);
  }

  private constructor(dir: string, people: string[]) {
    this.dir = dir;
    this.gateway = new GatewayProcess(dir);
    this.passwords = Object.fromEntries(people.map((name) => [name, secret()]));
    this.#guard = new Guard(dir);
  }

  get prosody(): Prosody {
    return this.#prosody!;
  }

  get prosodyVersion(): string {
    return this.#prosodyVersion;
  }

  get broker(): DemoBroker {
    return this.#broker!;
  }

  /** Rejects with a DemoFault where a person can help. `kind` undefined: Mosquitto if it is there. */
  start(kind: BrokerKind | undefined): Promise<void> {
    this.#starting = this.#start(kind);
    return this.#starting;
  }

  /** Ends everything and removes the folder; may be called at any time, also while starting. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#starting.catch(() => {});
    for (const close of this.#closing.splice(0).reverse()) await close();
    await rm(this.dir, { recursive: true, force: true });
    this.#guard.dismiss();
  }

  /** As a crash would: nothing is written down, nobody is told. */
  async killGateway(): Promise<void> {
    await this.gateway.kill9();
    this.#watch();
  }

  async startGateway(): Promise<void> {
    if (this.#stopping) return;
    const started = this.gateway.start();
    this.#watch();
    await started;
  }

  /** Runs `crossfade …` as a person would type it. */
  crossfade(args: string[]): Promise<CommandResult> {
    const startedAt = performance.now();
    return new Promise((resolve) => {
      execFile(join(this.dir, 'crossfade'), args, (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? 1);
        resolve({ code, out: stdout + (code === 0 ? '' : stderr), durationMs: performance.now() - startedAt });
      });
    });
  }

  async #start(kind: BrokerKind | undefined): Promise<void> {
    const chosen = kind ?? ((await hasMosquitto()) ? 'mosquitto' : 'embedded');
    const [component, broker] = [secret(), secret()];
    await this.#step(() => this.#startProsody(component));
    await this.#step(() => (chosen === 'mosquitto' ? this.#startMosquitto(broker) : this.#startEmbedded(broker)));
    await this.#step(() => this.#configure(component, broker));
    this.#closing.push(async () => void (await this.gateway.stop()));
    await this.#step(() => this.startGateway());
  }

  async #step(work: () => Promise<void>): Promise<void> {
    if (this.#stopping) throw new DemoFault('stopped while starting');
    await work();
    this.#watch();
  }

  #watch(): void {
    this.#guard.watch([this.#prosody?.pid, this.#mosquitto?.pid, this.gateway.pid]);
  }

  async #startProsody(componentSecret: string): Promise<void> {
    const dir = join(this.dir, 'prosody');
    await mkdir(dir);
    try {
      const components = [{ domain, secret: componentSecret }];
      this.#prosody = await startProsody({ accounts: this.passwords, components, dir, archive: true });
    } catch (error) {
      throw notInstalled(error, 'prosody') ?? error;
    }
    this.#closing.push(() => this.prosody.stop());
    this.#prosodyVersion = /Prosody version (\S+)/.exec(await this.prosody.log())?.[1] ?? '';
  }

  async #startMosquitto(password: string): Promise<void> {
    const dir = join(this.dir, 'mosquitto');
    await mkdir(dir);
    if (!(await hasMosquitto())) throw notInstalled({ code: 'ENOENT' }, 'mosquitto');
    const gateway = { username: gatewayAccount, password };
    const mosquitto = await startMosquitto({ accounts: this.passwords, gateway, dir });
    this.#mosquitto = mosquitto;
    this.#closing.push(() => mosquitto.stop());
    const version = /mosquitto version (\S+)/.exec(await mosquitto.log())?.[1] ?? '';
    const { url, port } = mosquitto;
    this.#broker = { kind: 'mosquitto', url, port, protocolVersion: 5, about: `Mosquitto ${version}` };
  }

  /** In the demo's own process, so that it outlives the gateway, which is going to be killed. */
  async #startEmbedded(password: string): Promise<void> {
    const gateway = { username: gatewayAccount, password };
    const broker = await startEmbeddedBroker({ root: 'chat', gateway, accounts: this.passwords, log: silentLog });
    this.#closing.push(() => broker.stop());
    const about = 'the embedded broker (in this process, MQTT 3.1.1, for trying out only)';
    this.#broker = { kind: 'embedded', url: broker.url, port: broker.port, protocolVersion: 4, about };
  }

  async #configure(componentSecret: string, password: string): Promise<void> {
    await this.gateway.configure({
      xmpp: {
        domain: 'example.com',
        component: { host: '127.0.0.1', port: this.prosody.componentPort, domain, secret: componentSecret },
      },
      mqtt: { url: this.broker.url, username: gatewayAccount, password, brokerHorizon: '10s' },
      ledger: { path: './crossfade.sqlite' },
      // fixed, as the commands read it here and the gateway is started twice
      admin: { listen: `127.0.0.1:${await freePort()}` },
    });
    await this.#shortcut('crossfade', join(checkout, 'src', 'main.ts'));
    await this.#shortcut('mqtt', join(checkout, 'node_modules', 'mqtt', 'build', 'bin', 'mqtt.js'));
  }

  /** A command in the folder, with the demo's configuration and the caller's files. */
  async #shortcut(name: string, script: string): Promise<void> {
    const quote = (path: string) => `'${path.replaceAll("'", "'\\''")}'`;
    const config = `CROSSFADE_CONFIG=${quote(join(this.dir, 'crossfade.yaml'))}`;
    const text = `#!/bin/sh\n${config} exec ${quote(process.execPath)} ${quote(script)} "$@"\n`;
    await writeFile(join(this.dir, name), text, { mode: 0o700 });
  }
}

function notInstalled(error: unknown, name: string): DemoFault | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return undefined;
  const hint = name === 'mosquitto' ? ', or leave --broker out to use the embedded one' : '';
  return new DemoFault(
    `${name} is not installed. Run \`node scripts/setup.mjs --for demo\` (or install it by hand)${hint}.`,
  );
}

function secret(): string {
  return randomBytes(8).toString('hex');
}
