// The gateway as an operator runs it: `crossfade run` in a process of its own, that can be stopped, killed and started again.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { Happenings } from './happenings.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const stderrKept = 4000;

export interface LogLine {
  event: string;
  [field: string]: unknown;
}

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

export class GatewayProcess {
  readonly configFile: string;
  /** Laid over this process's environment at each start. */
  env: Record<string, string> = {};
  /** Everything it has logged since its first start. */
  readonly log = new Happenings<LogLine>();
  #child: ChildProcess | undefined;
  #adminUrl = '';
  #stderr = '';
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    this.configFile = join(dir, 'crossfade.yaml');
  }

  /** Writes crossfade.yaml; the ledger and the admin token stand beside it. */
  async configure(config: Record<string, unknown>): Promise<void> {
    await writeFile(this.configFile, stringify(config), { mode: 0o600 });
  }

  /** Resolves once it has logged this event; rejects with what it said instead. */
  async start(until = 'gateway.ready'): Promise<void> {
    // With SIGXFSZ ignored, what does not fit on the disk is an error (see `fillDisk`), as it is on a real one.
    const command = ['-c', `trap '' XFSZ; exec "$@"`, 'sh', process.execPath, main, 'run', '--config', this.configFile];
    const child = spawn('/bin/sh', command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.env },
    });
    const killAtExit = () => child.kill('SIGKILL');
    process.once('exit', killAtExit);
    this.#child = child;
    const from = this.log.items.length;
    this.log.reopen();
    createInterface({ input: child.stdout! }).on('line', (line) => this.#hear(line));
    child.stderr!.on('data', (chunk) => this.#complain(chunk));
    child.once('close', () => {
      this.log.close();
      process.off('exit', killAtExit);
    });
    this.#adminUrl = String((await this.logged({ event: 'gateway.started' }, from)).adminUrl);
    await this.logged({ event: until }, from);
  }

  /** The first line with these fields, from the given line on. */
  async logged(fields: LogLine, from = 0): Promise<LogLine> {
    const fits = (line: LogLine) => Object.entries(fields).every(([name, value]) => line[name] === value);
    try {
      return await this.log.until((lines) => lines.slice(from).find(fits), `log line ${JSON.stringify(fields)}`);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#stderr}`, { cause: error });
    }
  }

  get adminUrl(): string {
    return this.#adminUrl;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** One request to the admin API; the answer's JSON. Rejects with the gateway's own words if it failed on it. */
  async api(method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown): Promise<Answer> {
    const response = await this.#fetch(method, path, body);
    if (response.status === 500) {
      const fault = this.log.items.findLast(({ event }) => event === 'admin.fault');
      throw new Error(`${method} ${path} failed in the gateway: ${fault?.error}\n${fault?.stack}`);
    }
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** One sample of /metrics; 0 if it was never counted. */
  async metric(name: string, labels: Record<string, string>): Promise<number> {
    const text = await (await this.#fetch('GET', '/metrics')).text();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const line = text
      .split('\n')
      .find((line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)));
    return Number(line?.split(' ').at(-1) ?? 0);
  }

  async user(jid: string): Promise<Record<string, unknown>> {
    return (await this.api('GET', `/api/v1/users/${encodeURIComponent(jid)}`)).body;
  }

  /** All entries of the user, the oldest first. */
  async entries(jid: string): Promise<Record<string, unknown>[]> {
    const all: Record<string, unknown>[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await this.api('GET', `/api/v1/ledger?limit=1000&user=${encodeURIComponent(jid)}${cursor}`);
      all.push(...(body.items as Record<string, unknown>[]));
      if (body.next === null) return all;
      cursor = `&cursor=${body.next}`;
    }
  }

  /** What was done to the user, the oldest first. */
  async audit(jid: string): Promise<Record<string, unknown>[]> {
    const { body } = await this.api('GET', `/api/v1/audit?user=${encodeURIComponent(jid)}`);
    return (body.items as Record<string, unknown>[]).reverse();
  }

  /** Asks for a move; does not wait for its end. */
  async put(jid: string, phase: string, reason = 'a play'): Promise<Answer> {
    return await this.api('PUT', `/api/v1/users/${encodeURIComponent(jid)}/phase`, { phase, reason });
  }

  /** Moves a user, and waits until the hand-over is done. */
  async move(jid: string, phase: string): Promise<Record<string, unknown>> {
    const answer = await this.put(jid, phase);
    if (answer.status >= 400) throw new Error(`moving ${jid} to ${phase}: ${JSON.stringify(answer.body)}`);
    return await this.moved(jid);
  }

  /** Resolves, with the user, once no move of its is under way. */
  async moved(jid: string): Promise<Record<string, unknown>> {
    return await this.userWhen(jid, ({ moving }) => !moving);
  }

  /** Resolves, with the user, once it stands like that. */
  async userWhen(jid: string, fits: (user: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (const deadline = Date.now() + 30_000; ; ) {
      const user = await this.user(jid);
      if (fits(user)) return user;
      if (Date.now() > deadline) throw new Error(`waited in vain for ${jid}: ${JSON.stringify(user)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** From now on no file of the gateway may grow, or, with `false`, all may again. */
  async fillDisk(isFull = true): Promise<void> {
    const limit = isFull ? '1:unlimited' : 'unlimited:unlimited';
    await promisify(execFile)('prlimit', ['--pid', String(this.#child?.pid), `--fsize=${limit}`]);
  }

  /**
   * From now on these system calls of the gateway give this error, as those of a disk that fails; ends with what is returned. By strace, which
   * for anybody but root needs kernel.yama.ptrace_scope = 0.
   */
  async failCalls(calls: string, error: string): Promise<() => Promise<void>> {
    const how = ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=${error}`, '-o', '/dev/null'];
    const tracer = spawn('strace', ['-f', ...how, '-p', String(this.#child?.pid)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(tracer, 'close');
    let said = '';
    await new Promise<void>((resolve, reject) => {
      tracer.stderr.on('data', (chunk) => {
        said += chunk;
        if (/attached/.test(said)) resolve();
      });
      ended.then(() => reject(new Error(`strace ended: ${said}`)), reject);
    });
    return async () => {
      tracer.kill('SIGINT');
      await ended;
    };
  }

  /** It stands still, as on a machine that stalls; its connections stay. Until `resume`. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Resolves to the exit code. */
  async stop(): Promise<number | null> {
    return await this.#end('SIGTERM');
  }

  async kill9(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    child.kill(signal);
    child.kill('SIGCONT'); // a test that broke off may have left it standing still
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  }

  async #fetch(method: string, path: string, body?: unknown): Promise<Response> {
    const token = (await readFile(join(this.#dir, 'crossfade.sqlite.token'), 'utf8')).trim();
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    return await fetch(`${this.#adminUrl}${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  #hear(line: string): void {
    if (line.startsWith('{')) this.log.add(JSON.parse(line));
    else this.#complain(`${line}\n`);
  }

  #complain(text: unknown): void {
    this.#stderr = `${this.#stderr}${text}`.slice(-stderrKept);
  }
}
