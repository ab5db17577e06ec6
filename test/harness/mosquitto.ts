// A real Mosquitto with a private configuration in a temporary folder, for tests and the demo; runs as whoever starts it.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import mqttPacket from 'mqtt-packet';
import { mosquittoAcl } from '../../src/mqtt/access.ts';

export interface MosquittoOptions {
  /** Passwords of apps by user name (= the user level of their topics). */
  accounts: Record<string, string>;
  gateway: { username: string; password: string };
  root?: string;
  /** Where configuration and database go; made under the temporary folder, and removed by `stop`, when not given. */
  dir?: string;
  /** Lines of mosquitto.conf to add or to replace, e.g. `{ max_inflight_messages: 20 }`; '' leaves one out. */
  options?: Record<string, string | number | boolean>;
}

export interface Mosquitto {
  readonly port: number;
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  /** The last lines of its log since it was started. */
  log(): Promise<string>;
  /** Ends it in order (it saves its database), with kill -9 after five seconds, and removes the folder unless that was given. */
  stop(): Promise<void>;
  /** kill -9; resolves when it is gone. */
  kill9(): Promise<void>;
  /** Starts it again on the same port with the same folder, ending it first if it still runs. */
  restart(): Promise<void>;
}

/** docs: what a broker beside Crossfade should be set to. */
const recommended = {
  persistence: true,
  autosave_interval: 5,
  max_queued_messages: 100_000,
  max_inflight_messages: 1000,
  persistent_client_expiration: '30d',
  set_tcp_nodelay: true,
  max_packet_size: 1_048_576,
  allow_anonymous: false,
};

const startTimeoutMs = 30_000;
const stopTimeoutMs = 20_000;
const path = [process.env.PATH ?? '', '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'].join(delimiter);

/** True if a `mosquitto` can be started here. */
export async function hasMosquitto(): Promise<boolean> {
  const child = spawn('mosquitto', ['-h'], { env: { ...process.env, PATH: path }, stdio: 'ignore' });
  return await new Promise((resolve) => {
    child.on('error', () => resolve(false));
    child.on('exit', () => resolve(true));
  });
}

/** Starts a Mosquitto on a free port of the loopback; rejects with the end of its log if it does not come up. */
export async function startMosquitto(options: MosquittoOptions): Promise<Mosquitto> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'crossfade-mosquitto-')));
  const port = await freePort();
  const tidy = async () => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  let child: ChildProcess;
  try {
    await configure(dir, port, options);
    child = await run(dir, port);
  } catch (error) {
    await tidy();
    throw error;
  }
  // a test or demo that fails halfway leaves nothing running
  const killAtExit = () => child.kill('SIGKILL');
  process.on('exit', killAtExit);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await gone;
    clearTimeout(late);
  };
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    dir,
    get pid() {
      return child.pid!;
    },
    log: () => logOf(dir),
    async stop() {
      await end('SIGTERM');
      process.off('exit', killAtExit);
      await tidy();
    },
    kill9: () => end('SIGKILL'),
    async restart() {
      await end('SIGTERM');
      child = await run(dir, port);
    },
  };
}

async function configure(dir: string, port: number, options: MosquittoOptions): Promise<void> {
  const { accounts, gateway, root = 'chat' } = options;
  const files = { passwords: join(dir, 'passwords'), acl: join(dir, 'acl'), conf: join(dir, 'mosquitto.conf') };
  const everybody = { ...accounts, [gateway.username]: gateway.password };
  await writeFile(files.passwords, lines(Object.entries(everybody).map(([user, password]) => `${user}:${password}`)));
  await chmod(files.passwords, 0o600);
  // replaces the plain text by hashes
  await promisify(execFile)('mosquitto_passwd', ['-U', files.passwords], { env: { ...process.env, PATH: path } });
  const acl = mosquittoAcl({ root, shadowRoot: `${root}-shadow`, gateway: gateway.username });
  // Tests look at the copies under the shadow root with this account; the gateway itself need not read there.
  const watching = `user ${gateway.username}\ntopic read ${root}-shadow/#\n`;
  await writeFile(files.acl, `${acl}\n${watching}`);
  const settings: Record<string, string | number | boolean> = {
    per_listener_settings: false,
    ...recommended,
    sys_interval: 1,
    persistence_location: `${dir}/`,
    password_file: files.passwords,
    acl_file: files.acl,
    log_dest: 'stderr',
    log_timestamp_format: '%Y-%m-%dT%H:%M:%S',
    connection_messages: true,
    // started as root it would become the user mosquitto, who may not read this folder
    ...(process.getuid?.() === 0 && { user: 'root' }),
    listener: `${port} 127.0.0.1`,
    ...options.options,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== '');
  await writeFile(files.conf, lines(given.map(([name, value]) => `${name} ${value}`)));
}

/** Its log says that it runs once it listens; an answer on the port alone could be somebody else's. */
async function run(dir: string, port: number): Promise<ChildProcess> {
  const file = await open(logFile(dir), 'w');
  const child = spawn('mosquitto', ['-c', join(dir, 'mosquitto.conf')], {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', file.fd, file.fd],
  });
  let fault = '';
  child.on('error', (error) => {
    fault = error.message;
  });
  await file.close();
  for (const until = Date.now() + startTimeoutMs; Date.now() < until && fault === ''; await sleep(20)) {
    if (/mosquitto version \S+ running/.test(await logOf(dir)) && (await answers(port))) return child;
    if (child.exitCode !== null) fault = `it ended with ${child.exitCode}`;
  }
  child.kill('SIGKILL');
  throw new Error(`Mosquitto does not start on port ${port}: ${fault || 'no sign of life'}\n${await logOf(dir)}`);
}

/** Whether it answers a CONNECT, with whatever: a SIGTERM before its main loop has begun would be lost. */
async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', timeout: 1000 });
  socket.write(
    mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', clientId: 'harness', clean: true, keepalive: 0 }),
  );
  const answered = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    for (const end of ['error', 'close', 'timeout']) socket.once(end, () => resolve(false));
  });
  socket.destroy();
  return answered;
}

async function logOf(dir: string): Promise<string> {
  const text = await readFile(logFile(dir), 'utf8');
  return text.split('\n').slice(-200).join('\n');
}

function logFile(dir: string): string {
  return join(dir, 'mosquitto.log');
}

/** A port of the loopback that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function lines(all: string[]): string {
  return `${all.join('\n')}\n`;
}
