// A third-party client in a Python process, driven by JSON lines; its events are kept, and can be waited for.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Happenings } from './happenings.ts';

export interface PuppetEvent {
  event: string;
  [field: string]: unknown;
}

export class Puppet {
  readonly events = new Happenings<PuppetEvent>();
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #stderr = '';

  /** Debian's Python, the one that has slixmpp and Paho. */
  constructor(script: string, args: string[], env: Record<string, string> = {}) {
    const path = fileURLToPath(new URL(`./${script}`, import.meta.url));
    this.#child = spawn('/usr/bin/python3', [path, ...args], { env: { ...process.env, ...env } });
    this.#ended = once(this.#child, 'close').finally(() => this.events.close());
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.events.add(JSON.parse(line)));
    this.#child.stderr!.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-4000);
    });
    // A command to a client that is gone is no fault of the test: what it waits for will not come, and that is told.
    this.#child.stdin!.on('error', (error) => {
      this.#stderr += error.message;
    });
  }

  tell(command: Record<string, unknown>): void {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
  }

  /** Resolves once `holds` is true of an event; with that event. */
  async event(holds: (event: PuppetEvent) => boolean, what: string, timeoutMs?: number): Promise<PuppetEvent> {
    return await this.#explain(this.events.until((events) => events.find(holds), what, timeoutMs));
  }

  /** Resolves once there are so many such events. */
  async count(
    holds: (event: PuppetEvent) => boolean,
    least: number,
    what: string,
    timeoutMs?: number,
  ): Promise<PuppetEvent[]> {
    const enough = (events: PuppetEvent[]) => {
      const found = events.filter(holds);
      return found.length >= least ? found : undefined;
    };
    return await this.#explain(this.events.until(enough, `${least} × ${what}`, timeoutMs));
  }

  async quit(): Promise<void> {
    this.tell({ do: 'quit' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 6_000);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Gone without a word. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async #explain<Found>(found: Promise<Found>): Promise<Found> {
    try {
      return await found;
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#stderr}`, { cause: error });
    }
  }
}

/** A legacy client on slixmpp, online with priority 0 unless told otherwise. */
export async function slixmpp(account: {
  jid: string;
  password: string;
  port: number;
  priority?: number;
}): Promise<Puppet> {
  const puppet = new Puppet('slixmpp_client.py', [account.jid, account.password, String(account.port)]);
  await puppet.event(({ event }) => event === 'online', `${account.jid} online`);
  puppet.tell({ do: 'presence', priority: account.priority ?? 0 });
  return puppet;
}

/** An app's MQTT side on Paho. `acks`: it acknowledges by key. */
export async function paho(app: {
  client: string;
  user: string;
  password: string;
  port: number;
  root?: string;
  version?: 3 | 5;
  acks?: boolean;
}): Promise<Puppet> {
  const { client, user, password, port, root = 'chat', version = 5, acks = true } = app;
  const args = [client, user, password, String(port), root, String(version)];
  const puppet = new Puppet('paho_client.py', args, { ACK: acks ? '1' : '0' });
  await puppet.event(({ event }) => event === 'online', `${client} online`);
  return puppet;
}
