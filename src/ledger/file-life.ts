// The lives of a ledger's file. A backup that is opened as the ledger begins a new one: whatever was done since the backup is not in
// it, so no key may be made again, and no place on a link is believed.

import type { DatabaseSync } from 'node:sqlite';
import type { KeySpace } from './codes.ts';

/** Stands in a backup: when it was made, ms since 1970. */
const backupMark = 'backup-at';
/** Stands in a file that a process has open, or left without closing it. */
const useMark = 'in-use';
const put = 'INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)';

function metaOf(db: DatabaseSync, name: string): string | undefined {
  const row = db.prepare('SELECT value FROM meta WHERE name = ?').get(name);
  return row && String(row.value);
}

export function isInUse(db: DatabaseSync): boolean {
  return metaOf(db, useMark) !== undefined;
}

export function beginUse(db: DatabaseSync): void {
  db.prepare(put).run(useMark, '1');
}

export function endUse(db: DatabaseSync): void {
  db.prepare('DELETE FROM meta WHERE name = ?').run(useMark);
}

/** From now on this file is a copy, made at `at` (ms), and no ledger in use. */
export function markAsBackup(db: DatabaseSync, at: number): void {
  endUse(db);
  db.prepare(put).run(backupMark, String(at));
}

/** When it was made, if it is a backup that has not been opened as a ledger. */
export function backupTime(db: DatabaseSync): number | undefined {
  const text = metaOf(db, backupMark);
  return text === undefined ? undefined : Number(text);
}

/**
 * If this is a backup: begins its new life, in one commit, and gives the time at which it was made. Entries keep their keys, so apps
 * and broker know them. The links' epochs go: the server's numbers are ahead, and with a new epoch it ends the sessions, takes back
 * what it has not delivered, and every mark gets a gap that the archive fills. What the broker was given is published again.
 */
export function beginNewLife(db: DatabaseSync): number | undefined {
  const made = backupTime(db);
  if (made === undefined) return undefined;
  db.exec('BEGIN IMMEDIATE');
  try {
    db.exec(`
      INSERT OR REPLACE INTO former_space SELECT last_seq, space FROM file;
      UPDATE file SET space = lower(hex(randomblob(8)));
      DELETE FROM link;
      DELETE FROM meta WHERE name IN ('${backupMark}', 'broker-boot');`);
    db.prepare(
      `INSERT INTO audit (at, who, what, detail) VALUES (cast(unixepoch('subsec') * 1000 AS INTEGER), 'crossfade', 'ledger.restored', ?)`,
    ).run(`from the backup of ${new Date(made).toISOString()}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
  return made;
}

/** The newest space, with those of earlier lives behind it. */
export function keySpaceOf(db: DatabaseSync): KeySpace {
  let after = 0;
  let before: KeySpace | undefined;
  for (const { up_to: upTo, space } of db.prepare('SELECT up_to, space FROM former_space ORDER BY up_to').all()) {
    before = { name: String(space), after, before };
    after = Number(upTo);
  }
  return { name: String(db.prepare('SELECT space FROM file').get()?.space), after, before };
}
