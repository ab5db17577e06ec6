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

/** A play that breaks off leaves none behind. */
const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

export class Puppet {
  /** Told of each event from the moment it is set. */
  onEvent: (event: PuppetEvent) => void = () => {};
  readonly #events = new Happenings<PuppetEvent>();
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #stderr = '';

  /** Debian's Python, the one that has slixmpp and Paho. */
  constructor(script: string, args: string[]) {
    const path = fileURLToPath(new URL(`./${script}`, import.meta.url));
    this.#child = spawn('/usr/bin/python3', [path, ...args]);
    this.#ended = once(this.#child, 'close').finally(() => this.#events.close());
    living.add(this.#child);
    this.#child.once('close', () => living.delete(this.#child));
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#hear(JSON.parse(line)));
    this.#child.stderr!.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-4000);
    });
    // A command to a client that is gone is no fault of the test: what it waits for will not come, and that is told.
    this.#child.stdin!.on('error', (error) => {
      this.#stderr += error.message;
    });
  }

  #hear(event: PuppetEvent): void {
    this.#events.add(event);
    this.onEvent(event);
  }

  /** Gives it a command. */
  tell(command: Record<string, unknown>): void {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
  }

  /** Resolves with the first event of this kind. */
  async first(event: string): Promise<PuppetEvent> {
    try {
      return await this.#events.until((events) => events.find((one) => one.event === event), `${event} of a client`);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#stderr}`, { cause: error });
    }
  }

  async quit(): Promise<void> {
    this.tell({ do: 'quit' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 6_000);
    await this.#ended;
    clearTimeout(timer);
  }

  /** It stands still, and its connection stays; until `resume`. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Gone without a word. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
