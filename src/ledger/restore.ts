// Puts a backup in the place of a ledger; the old file is kept beside it. The new life begins when the gateway opens it (file-life.ts).

import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { backupTime, markAsBackup } from './file-life.ts';
import { type Inspected, inspect } from './inspect.ts';
import { isBusy, whyNotOpened } from './trouble.ts';

export interface Restorable extends Inspected {
  file: string;
  path: string;
  /** There is a ledger that will be moved aside. */
  replaces: boolean;
}

/** Looks at the backup and the place where it goes, and changes nothing. Throws with a text for the operator. */
export function lookAtRestore(file: string, path: string): Restorable {
  refuseIfInUse(path);
  return { ...inspect(file), file, path, replaces: existsSync(path) };
}

/** Gives the name under which the old ledger is kept; null if there was none. A power cut leaves the old or the new one. */
export function restore({ file, path }: { file: string; path: string }, now: number): string | null {
  refuseIfInUse(path);
  const part = `${path}.part`;
  rmSync(part, { force: true });
  copyFileSync(file, part, constants.COPYFILE_EXCL);
  chmodSync(part, 0o600);
  mark(part, now);
  sync(part);
  const kept = freeName(`${path}.before-restore-${new Date(now).toISOString().replace(/[-:]|\.\d+/g, '')}`);
  const isKept = existsSync(path);
  clearLog(path, kept);
  if (isKept) keep(path, kept);
  renameSync(part, path);
  sync(dirname(path));
  return isKept ? kept : null;
}

/** Both names, until the new file takes one: at no moment is there no ledger. Some file systems know one name only. */
function keep(path: string, kept: string): void {
  try {
    linkSync(path, kept);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(String((error as NodeJS.ErrnoException).code)))
      throw error;
    renameSync(path, kept);
  }
}

/** A second restore within a second keeps a second ledger. */
function freeName(name: string): string {
  for (let n = 1; ; n++) {
    const free = n === 1 ? name : `${name}-${n}`;
    if (!existsSync(free) && !existsSync(`${free}-wal`)) return free;
  }
}

/**
 * A log that lies beside it when the new file comes would be taken for the new one's, and written over it. What is in it goes into the
 * old file; where that cannot be read the log stays beside that one.
 */
function clearLog(path: string, kept: string): void {
  if (existsSync(path) && existsSync(`${path}-wal`)) {
    try {
      const db = new DatabaseSync(path, { timeout: 0 });
      try {
        db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE');
      } finally {
        db.close();
      }
    } catch {
      // Damaged: perhaps that is why it is restored.
    }
  }
  for (const end of ['-wal', '-shm']) if (existsSync(path + end)) renameSync(path + end, kept + end);
  sync(dirname(path));
}

/** What `ledger backup` has made says so; any other copy becomes one here. */
function mark(path: string, now: number): void {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE');
    markAsBackup(db, backupTime(db) ?? now);
  } finally {
    db.close();
  }
}

/**
 * A damaged ledger may be replaced, one that is open may not. The log beside it stays as it is, and none may be left where there was
 * none: whether one is missing is what the gateway looks for at its start.
 */
function refuseIfInUse(path: string): void {
  if (!existsSync(path)) return;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: existsSync(`${path}-wal`), timeout: 0 });
    db.exec('PRAGMA locking_mode = EXCLUSIVE');
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
  } catch (error) {
    if (isBusy(error)) throw whyNotOpened(error, path);
  } finally {
    db?.close();
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}
