// Two indexes whose order is random, in memory: on disk each entry would dirty a page of its own in either, which costs three times
// what the entry itself does; and a count. Filled from the entries when the file opens, kept up with each, put back when a commit fails.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { dead, toXmpp } from './codes.ts';
import { SeqIndex } from './seq-index.ts';

const pageSize = 10_000;

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
  /** How many of those are of the user's apps (toXmpp). */
  readonly #ofApps = new Map<string, number>();
  /** What takes back the changes since the last commit, last first. */
  #undo: (() => void)[] = [];

  /** Takes about a second for a million entries. Statements ask by `seq IN (SELECT value FROM json_each(open_of(?)))`. */
  constructor(db: DatabaseSync) {
    this.#load(db);
    db.function('open_of', (user) => JSON.stringify([...(this.#open.get(String(user)) ?? [])]));
  }

  /** Entries that may have this key. */
  known(key: string): number[] {
    return this.#known.find(hashOf(key));
  }

  /** Whether the entry has not ended. */
  isOpen(user: string, seq: number): boolean {
    return this.#open.get(user)?.has(seq) ?? false;
  }

  get openCount(): number {
    let count = 0;
    for (const seqs of this.#open.values()) count += seqs.size;
    return count;
  }

  /** Entries towards XMPP that have not ended. */
  openOfApps(user: string): number {
    return this.#ofApps.get(user) ?? 0;
  }

  opened(user: string, seq: number, lane: number): void {
    this.#opened(user, seq, lane);
    this.#undo.push(() => this.#ended(user, seq, lane));
  }

  ended(user: string, seq: number, lane: number): void {
    this.#ended(user, seq, lane);
    this.#undo.push(() => this.#opened(user, seq, lane));
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

  /** By pages, as arrays: a third of the time that one row after the other takes. */
  #load(db: DatabaseSync): void {
    const page = db.prepare(
      `SELECT seq, iif(state <= ${dead}, user, NULL), lane, archive_key, content_key, request_key FROM entry
         WHERE seq > ? ORDER BY seq LIMIT ${pageSize}`,
    );
    page.setReturnArrays(true);
    for (let after = -1, rows: SQLOutputValue[][] | undefined; !rows || rows.length === pageSize; ) {
      rows = page.all(after) as unknown as SQLOutputValue[][];
      for (const [number, user, lane, ...keys] of rows) {
        const seq = Number(number);
        if (typeof user === 'string') this.#opened(user, seq, Number(lane));
        for (const key of keys) if (typeof key === 'string') this.#known.add(hashOf(key), seq);
        after = seq;
      }
    }
  }

  #opened(user: string, seq: number, lane: number): void {
    const seqs = this.#open.get(user);
    if (seqs) seqs.add(seq);
    else this.#open.set(user, new Set([seq]));
    if (lane === toXmpp) this.#ofApps.set(user, this.openOfApps(user) + 1);
  }

  #ended(user: string, seq: number, lane: number): void {
    const seqs = this.#open.get(user);
    if (!seqs?.delete(seq)) return;
    if (seqs.size === 0) this.#open.delete(user);
    if (lane !== toXmpp) return;
    const left = this.openOfApps(user) - 1;
    if (left > 0) this.#ofApps.set(user, left);
    else this.#ofApps.delete(user);
  }
}

/** Repeat keys are digests, so the first 32 bits are as good as any: 5 characters and a part of the sixth. */
function hashOf(key: string): number {
  let hash = 0;
  for (let at = 0; at < 6; at++) hash = Math.imul(hash, 67) + key.charCodeAt(at);
  return hash >>> 0;
}
