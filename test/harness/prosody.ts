// A private Prosody: own configuration, data and ports, nothing outside its directory. For tests and for the demo.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeCertificate } from './certificate.ts';
import type { Breach, LegacyServer, LegacyServerOptions } from './legacy-server.ts';
import { freePorts } from './ports.ts';
import { luaString, type ProsodySettings, prosodyConfig } from './prosody-config.ts';

export interface ProsodyOptions extends LegacyServerOptions {
  /** Lua lines for the VirtualHost's section. */
  options?: string;
  /** More of its environment. */
  env?: Record<string, string>;
}

export interface Prosody extends LegacyServer {
  /** Runs one line of Prosody's admin shell, such as `module:reload("crossfade_attach", "example.com")`. */
  shell(line: string): Promise<string>;
}

const modules = fileURLToPath(new URL('../../server-modules/prosody', import.meta.url));
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;

/**
 * Starts Prosody in the foreground, as our own process, and resolves when both ports take connections. Rejects with the
 * end of its log if it does not come up, and with ENOENT if it is not installed.
 */
export async function startProsody(options: ProsodyOptions): Promise<Prosody> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'crossfade-prosody-')));
  const moduleDir = options.broken ? await broken(join(dir, 'broken'), options.broken) : modules;
  const accountsDir = join(dir, 'data', 'example%2ecom', 'accounts');
  await mkdir(accountsDir, { recursive: true });
  await mkdir(join(dir, 'certs'), { recursive: true });
  if (options.tls) await makeCertificate(join(dir, 'certs'));
  for (const [name, password] of Object.entries(options.accounts)) {
    const file = Buffer.from(name)
      .toString('latin1')
      .replace(/[^A-Za-z0-9]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
    await writeFile(join(accountsDir, `${file}.dat`), `return { ["password"] = ${luaString(password)}; };\n`);
  }
  await writeRosters(join(accountsDir, '..', 'roster'), options.contacts ?? {});
  const [c2sPort, componentPort, directPort] = await freePorts(3);
  const settings: ProsodySettings = {
    dir,
    moduleDir,
    c2sPort: c2sPort!,
    componentPort: componentPort!,
    components: options.components,
    archive: options.archive ?? false,
    attach: options.attach ?? true,
    attachers: options.attachers ?? options.components.map(({ domain }) => domain),
    tls: options.tls ?? false,
    directPort: directPort!,
    options: [...limits(options), options.options ?? ''].join('\n'),
  };
  const env = { ...process.env, ...options.env };
  const configFile = join(dir, 'prosody.cfg.lua');
  await writeFile(configFile, prosodyConfig(settings), { mode: 0o600 });
  const log = () => readFile(join(dir, 'prosody.log'), 'utf8').catch(() => '');

  const shell = async (line: string) => {
    const { stdout } = await promisify(execFile)('prosodyctl', ['--config', configFile, 'shell', line]);
    return stdout;
  };

  let child = await run(configFile, settings, { log, env });
  const prosody: Prosody = {
    domain: 'example.com',
    c2sPort: settings.c2sPort,
    componentPort: settings.componentPort,
    dir,
    ...(options.tls && { directPort: directPort!, ca: join(dir, 'certs', 'example.com.crt') }),
    get pid() {
      return child.pid!;
    },
    log,
    async stop() {
      await end(child, 'SIGTERM');
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
    kill9: () => end(child, 'SIGKILL'),
    async restart() {
      await end(child, 'SIGTERM');
      child = await run(configFile, settings, { log, env });
    },
    shell,
    async deleteUser(user) {
      await shell(`user:delete("${user}@example.com")`);
    },
    async module(action) {
      const answer = await shell(`module:${action}("crossfade_attach", "example.com")`);
      if (!answer.includes('OK')) throw new Error(`module:${action}: ${answer}`);
    },
    async closeClient(jid) {
      await shell(`> prosody.full_sessions["${jid}"]:close()`);
    },
    async untilPending(jid) {
      await shell(
        `> local async = require "util.async"; while not prosody.full_sessions["${jid}"].hibernating do async.sleep(0.05) end`,
      );
    },
    untilAway: async () => {}, // it answers the connection that has asked
    settle: async () => {}, // it does one thing after the other
  };
  return prosody;
}

async function writeRosters(dir: string, contacts: Record<string, string[]>): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, others] of Object.entries(contacts)) {
    const items = others.map((other) => `["${other}@example.com"] = { subscription = "both"; groups = {}; };`);
    await writeFile(join(dir, `${name}.dat`), `return { [false] = { version = 1; }; ${items.join(' ')} };\n`);
  }
}

/** A folder with the module as it is, but for these places. */
async function broken(moduleDir: string, { file, from, to }: Breach): Promise<string> {
  await cp(modules, moduleDir, { recursive: true });
  const path = join(moduleDir, 'mod_crossfade_attach', file);
  const text = await readFile(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} does not say ${from}`);
  await writeFile(
    path,
    text.replaceAll(from, () => to),
  );
  return moduleDir;
}

function limits({ resumeTimeout, maxUnacked, maxOffline, resumableQueue }: ProsodyOptions): string[] {
  return [
    ...(resumableQueue === undefined ? [] : [`  smacks_max_queue_size = ${resumableQueue}`]),
    ...(resumeTimeout === undefined ? [] : [`  crossfade_resume_timeout = ${resumeTimeout}`]),
    ...(maxUnacked === undefined ? [] : [`  crossfade_max_unacked = ${maxUnacked}`]),
    ...(maxOffline === undefined ? [] : [`  storage_archive_item_limit = ${maxOffline}`]),
  ];
}

async function run(
  configFile: string,
  settings: ProsodySettings,
  { log, env }: { log: () => Promise<string>; env: NodeJS.ProcessEnv },
): Promise<ChildProcess> {
  const seenBefore = (await log()).length;
  const child = spawn('prosody', ['-F', '--config', configFile], { stdio: 'ignore', cwd: settings.dir, env });
  await once(child, 'spawn');
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const lines = (await log()).slice(seenBefore);
    // Its own lines say that it is our child, not a stranger, that listens on these ports.
    const ready = [settings.c2sPort, settings.componentPort].every((port) => isListening(lines, port));
    if (ready && (await accepts(settings.c2sPort)) && (await accepts(settings.componentPort))) return child;
    if (child.exitCode !== null || Date.now() > deadline) {
      await end(child, 'SIGKILL');
      throw new Error(`Prosody did not start:\n${lines.split('\n').slice(-25).join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function isListening(lines: string, port: number): boolean {
  return new RegExp(`Activated service '[^']+' on .*\\]:${port}\\b`).test(lines);
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
