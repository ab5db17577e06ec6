// A backup: a copy of the ledger while it is at work, checked, fsynced, and only then under its own name.

import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, extname, isAbsolute } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { FromCopyWorker } from './copy-worker.ts';

/** How far a backup is; a refusal or a failure has a text for the operator. */
export interface BackupState {
  state: 'copying' | 'checking' | 'done' | 'failed';
  file: string;
  /** When it began; ms since 1970. */
  at: number;
  pages: number;
  ofPages: number;
  bytes?: number;
  entries?: number;
  tookMs?: number;
  text?: string;
}

/** Copies the open ledger, page by page, to this file. */
export type Copy = (file: string, progress: (done: number, of: number) => void) => Promise<void>;

export class Backups {
  /** The last one, or the one under way. */
  last: BackupState | undefined;
  readonly #copy: Copy;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor({ copy, clock, log }: { copy: Copy; clock: Clock; log: Log }) {
    this.#copy = copy;
    this.#clock = clock;
    this.#log = log;
  }

  /** Begins one; `last` tells how it goes. Gives a text instead where it cannot. */
  begin(file: string): BackupState | string {
    const why = this.#whyNot(file);
    if (why) return why;
    const state: BackupState = { state: 'copying', file, at: this.#clock.now(), pages: 0, ofPages: 0 };
    this.last = state;
    this.#run(state).catch((error: Error) => {
      rmSync(partOf(file), { force: true });
      Object.assign(state, { state: 'failed', text: error.message });
      this.#log.error({ event: 'ledger.backup-failed', file, error: error.message });
    });
    return state;
  }

  #whyNot(file: string): string | undefined {
    const { last } = this;
    if (last?.state === 'copying' || last?.state === 'checking')
      return `the backup ${last.file} is under way; wait for its end`;
    if (!isAbsolute(file)) return `${file} is no absolute path`;
    if (existsSync(file)) return `${file} is there already; a backup overwrites nothing`;
    if (existsSync(partOf(file)))
      return `${partOf(file)} is there: what is left of a backup that was cut off; remove it`;
    try {
      closeSync(openSync(partOf(file), 'wx', 0o600));
    } catch (error) {
      return `${file} cannot be written by the gateway: ${(error as Error).message}`;
    }
    return undefined;
  }

  async #run(state: BackupState): Promise<void> {
    const { file, at } = state;
    const part = partOf(file);
    await this.#copy(part, (pages, ofPages) => Object.assign(state, { pages, ofPages }));
    state.state = 'checking';
    const entries = await finishCopy(part, at);
    sync(part);
    renameSync(part, file);
    sync(dirname(file));
    const { size: bytes } = statSync(file);
    const tookMs = this.#clock.now() - at;
    Object.assign(state, { state: 'done', bytes, entries, tookMs });
    this.#log.info({ event: 'ledger.backup', file, bytes, entries, tookMs });
  }
}

const partOf = (file: string) => `${file}.part`;

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/** In a thread of its own, as it reads the whole copy: marks it as a backup and checks it. Gives the number of its entries. */
async function finishCopy(path: string, at: number): Promise<number> {
  const url = new URL(`./copy-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(url, { workerData: { path, at } });
  const answer = await new Promise<FromCopyWorker>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that checks the copy ended')));
  });
  if ('fault' in answer) throw new Error(`the copy is not good and was removed: ${answer.fault}`);
  return answer.entries;
}
