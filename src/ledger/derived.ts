// Two indexes whose order is random, in memory: on disk each entry would dirty a page of its own in either, which costs three times
// what the entry itself does. Filled from the entries when the file opens, kept up with each, put back when a commit fails.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { SeqIndex } from './seq-index.ts';

/** An entry's repeat keys, as a row of the file has them. */
export interface Keys {
  archive_key: SQLOutputValue;
  content_key: SQLOutputValue;
  request_key: SQLOutputValue;
}

export class Derived {
  /** Repeat keys of all kinds. */
  readonly #known = new SeqIndex();
  /** Numbers of the entries that have not ended, by user. */
  readonly #open = new Map<string, Set<number>>();
  /** What takes back the changes since the last commit, last first. */
  #undo: (() => void)[] = [];

  /** Takes one to two seconds for a million entries. Statements ask by `seq IN (SELECT value FROM json_each(open_of(?)))`. */
  constructor(db: DatabaseSync) {
    const keys = db.prepare(
      `SELECT seq, archive_key, content_key, request_key FROM entry
         WHERE archive_key IS NOT NULL OR content_key IS NOT NULL OR request_key IS NOT NULL`,
    );
    for (const row of keys.iterate()) {
      for (const key of [row.archive_key, row.content_key, row.request_key]) {
        if (typeof key === 'string') this.#known.add(hashOf(key), Number(row.seq));
      }
    }
    const open = db.prepare('SELECT user, seq FROM entry WHERE state <= 4');
    for (const { user, seq } of open.iterate()) this.#opened(String(user), Number(seq));
    this.#undo = [];
    db.function('open_of', (user) => JSON.stringify([...(this.#open.get(String(user)) ?? [])]));
  }

  /** Entries that may have this key. */
  known(key: string): number[] {
    return this.#known.find(hashOf(key));
  }

  opened(user: string, seq: number): void {
    this.#opened(user, seq);
    this.#undo.push(() => this.#ended(user, seq));
  }

  ended(user: string, seq: number): void {
    this.#ended(user, seq);
    this.#undo.push(() => this.#opened(user, seq));
  }

  learned(key: string, seq: number): void {
    const hash = hashOf(key);
    this.#known.add(hash, seq);
    this.#undo.push(() => this.#known.remove(hash, seq));
  }

  /** The entry loses these keys. */
  forgot(seq: number, keys: Partial<Keys>): void {
    for (const key of [keys.archive_key, keys.content_key, keys.request_key]) {
      if (typeof key !== 'string') continue;
      const hash = hashOf(key);
      this.#known.remove(hash, seq);
      this.#undo.push(() => this.#known.add(hash, seq));
    }
  }

  /** For `restore`, if what follows is rolled back. */
  save(): number {
    return this.#undo.length;
  }

  restore(saved: number): void {
    while (this.#undo.length > saved) this.#undo.pop()!();
  }

  committed(): void {
    this.#undo = [];
  }

  #opened(user: string, seq: number): void {
    const seqs = this.#open.get(user);
    if (seqs) seqs.add(seq);
    else this.#open.set(user, new Set([seq]));
  }

  #ended(user: string, seq: number): void {
    const seqs = this.#open.get(user);
    if (seqs?.delete(seq) && seqs.size === 0) this.#open.delete(user);
  }
}

/** Repeat keys are digests, so the first 32 bits are as good as any: 5 characters and a part of the sixth. */
function hashOf(key: string): number {
  let hash = 0;
  for (let at = 0; at < 6; at++) hash = Math.imul(hash, 67) + key.charCodeAt(at);
  return hash >>> 0;
}
