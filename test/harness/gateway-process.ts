// The gateway as an operator runs it: `crossfade run` in a process of its own, that can be stopped, killed and started again.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { Happenings } from './happenings.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const startTimeoutMs = 20_000;

export interface LogLine {
  event: string;
  [field: string]: unknown;
}

export class GatewayProcess {
  readonly configFile: string;
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

  /** Resolves once it says that it is ready; rejects with what it said instead. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [main, 'run', '--config', this.configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const from = this.log.items.length;
    this.log.reopen();
    createInterface({ input: child.stdout! }).on('line', (line) => this.#hear(line));
    child.stderr!.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-4000);
    });
    child.once('close', () => this.log.close());
    const ready = await this.logged('gateway.ready', { from, timeoutMs: startTimeoutMs });
    this.#adminUrl = String(ready.adminUrl);
  }

  /** The first line of this event, from the given line on. */
  async logged(event: string, { from = 0, timeoutMs = 20_000 } = {}): Promise<LogLine> {
    const find = (lines: LogLine[]) => lines.slice(from).find((line) => line.event === event);
    try {
      return await this.log.until(find, `log event ${event}`, timeoutMs);
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

  get stderr(): string {
    return this.#stderr;
  }

  /** One request to the admin API; the answer's JSON. */
  async api(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const token = (await readFile(join(this.#dir, 'crossfade.sqlite.token'), 'utf8')).trim();
    const response = await fetch(`${this.#adminUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** Moves a user, and waits until the hand-over is done. */
  async move(jid: string, phase: string, timeoutMs = 60_000): Promise<Record<string, unknown>> {
    const answer = await this.api('PUT', `/api/v1/users/${jid}/phase`, { phase, reason: 'a play' });
    if (answer.status >= 400) throw new Error(`moving ${jid} to ${phase}: ${JSON.stringify(answer.body)}`);
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const { body } = await this.api('GET', `/api/v1/users/${jid}`);
      if (!body.moving) return body;
      if (Date.now() > deadline) throw new Error(`the move of ${jid} hangs: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill9(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'close');
  }

  #hear(line: string): void {
    if (line.startsWith('{')) this.log.add(JSON.parse(line));
    else this.#stderr = `${this.#stderr}${line}\n`.slice(-4000);
  }
}
