// A process of the benchmark and the calls to it: the parent asks over Node's IPC channel, the child answers.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

interface Question {
  id: number;
  name: string;
  args: unknown;
}

interface Reply {
  id: number;
  value?: unknown;
  fault?: string;
}

/** In the child: answers calls by name, and ends with the parent. */
export function answerCalls(calls: Record<string, (args: never) => unknown>): void {
  process.on('message', async ({ id, name, args }: Question) => {
    const reply: Reply = { id };
    try {
      reply.value = await calls[name]!(args as never);
    } catch (fault) {
      reply.fault = String(fault);
    }
    process.send!(reply);
  });
  process.on('disconnect', () => process.exit());
}

export class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #id = 0;

  /**
   * `file` runs on this Node, or on `execPath`, with `args`, the environment and `env`. Its output is dropped unless `onLine`
   * takes it.
   */
  constructor(
    file: string,
    options: {
      args?: string[];
      env?: Record<string, string>;
      nodeArgs?: string[];
      execPath?: string;
      onLine?: (line: string) => void;
    } = {},
  ) {
    const { args = [], env = {}, nodeArgs = [], execPath = process.execPath, onLine } = options;
    this.#process = fork(file, args, {
      ...{ execPath, execArgv: nodeArgs },
      env: { ...process.env, ...env },
      stdio: ['ignore', onLine ? 'pipe' : 'ignore', 'inherit', 'ipc'],
    });
    this.#process.on('message', ({ id, value, fault }: Reply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (fault === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(fault));
    });
    this.#process.on('exit', (code, signal) => {
      const gone = new Error(`${file} ended with ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(gone);
    });
    if (onLine)
      this.#process.stdout!.setEncoding('utf8').on('data', (text: string) => text.split('\n').forEach(onLine));
    const kill = () => this.#process.kill('SIGKILL');
    process.on('exit', kill);
    this.#process.on('exit', () => process.off('exit', kill));
  }

  get pid(): number {
    return this.#process.pid!;
  }

  ask<T = void>(name: string, args: unknown = null): Promise<T> {
    const waiting = Promise.withResolvers<unknown>();
    const id = ++this.#id;
    this.#waiting.set(id, waiting);
    this.#process.send({ id, name, args } satisfies Question);
    return waiting.promise as Promise<T>;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGTERM');
    await once(this.#process, 'exit');
  }
}

/** Resolves when `count` is reached, or nothing has been added for ten seconds: what is missing then is lost. */
export class Counter {
  #count = 0;
  #wanted = 0;
  #reached: PromiseWithResolvers<number> | undefined;
  #silence: NodeJS.Timeout | undefined;
  #lastAt = 0;

  /** Starts anew; resolves to the time of the last one (ms). */
  until(wanted: number): Promise<number> {
    this.#count = 0;
    this.#wanted = wanted;
    this.#reached = Promise.withResolvers<number>();
    this.#silence = setInterval(() => {
      if (this.#count > 0 && now() - this.#lastAt > 10_000) this.#end();
    }, 1000);
    return this.#reached.promise;
  }

  add(more: number): void {
    if (more === 0) return;
    this.#count += more;
    this.#lastAt = now();
    if (this.#count >= this.#wanted) this.#end();
  }

  #end(): void {
    clearInterval(this.#silence);
    this.#reached?.resolve(this.#lastAt);
  }
}

/** Milliseconds on a clock that all processes of a machine share (CLOCK_MONOTONIC). */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Calls `send` with each number below `count` in turn, evenly spread; resolves to when each was sent (ms). */
export async function pace(count: number, perSecond: number, send: (at: number) => void): Promise<number[]> {
  const sentAt: number[] = [];
  const begun = now();
  for (let at = 0; at < count; at += 1) {
    while (now() < begun + (at * 1000) / perSecond) await new Promise((resolve) => setTimeout(resolve, 1));
    sentAt.push(now());
    send(at);
  }
  return sentAt;
}
