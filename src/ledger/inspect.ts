// Looks at a ledger's file that no gateway has open, a backup for example: is it whole, and does its account add up?

import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Account } from './account.ts';
import { Derived } from './derived.ts';
import { backupTime, endUse, isInUse, keySpaceOf } from './file-life.ts';
import { newestVersion, versionOf } from './schema.ts';
import { verifyOperation } from './store-verify.ts';
import { Tally } from './tally.ts';
import { whyNotOpened } from './trouble.ts';

const pieceRows = 10_000;

export interface Inspected extends Account {
  /** It is a backup, made then (ms). */
  backupAt?: number;
}

/**
 * Reads all of it, and leaves it as it is; what a gateway that was killed left in the log beside the file is taken in, as its
 * next start would. Throws with a text for the operator: in use, no ledger, of another version, damaged.
 */
export function inspect(path: string, part: { user?: string; since?: number } = {}): Inspected {
  if (!existsSync(path)) throw new Error(`there is no ${path}`);
  const hadLog = existsSync(`${path}-wal`);
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: 0 });
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; ROLLBACK');
    const version = versionOf(db, path);
    if (version !== newestVersion)
      throw new Error(
        `${path} was written by an older Crossfade (ledger schema ${version}, this one works with ${newestVersion}). Start the gateway with it once: that brings it up to date.`,
      );
    const { integrity_check: result } = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check: string };
    if (result !== 'ok') throw Object.assign(new Error(result), { errcode: 11 });
    const inspected = { ...accountOf(db, part), backupAt: backupTime(db) };
    if (hadLog && isInUse(db)) endUse(db);
    return inspected;
  } catch (error) {
    throw whyNotOpened(error, path);
  } finally {
    db?.close();
  }
}

function accountOf(db: DatabaseSync, part: { user?: string; since?: number }): Account {
  const lastSeq = Number(db.prepare('SELECT last_seq FROM file').get()?.last_seq);
  const parts = { tally: new Tally(db), derived: new Derived(db), space: keySpaceOf(db), lastSeq: () => lastSeq };
  const { verify } = verifyOperation(db, parts);
  for (let from: number | null = null; ; ) {
    const piece = verify({ ...part, from, limit: pieceRows });
    if ('account' in piece) return piece.account;
    from = piece.next;
  }
}
