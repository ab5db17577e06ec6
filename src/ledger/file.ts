// Opens the ledger's file: mode 0600, WAL, fsync at each commit, locked against a second process.

import { chmodSync, closeSync, existsSync, openSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { beginUse, endUse, isInUse } from './file-life.ts';
import { Store } from './store.ts';
import { restoreHint, whyNotOpened } from './trouble.ts';

export interface OpenFile {
  store: Store;
  db: DatabaseSync;
  /** Throws, with a text for the operator, when the file is not where it was: what is written to it now nobody would find again. */
  checkThere(): void;
  close(): void;
}

/**
 * Creates the file if there is none. Throws with a text for the operator: no such folder, in use by another process, no
 * ledger, newer schema, damaged. The lock is the kernel's, so it ends with the process however that ends.
 */
export function openFile(path: string): OpenFile {
  let db: DatabaseSync | undefined;
  try {
    const hadLog = existsSync(`${path}-wal`);
    if (hadLog && !existsSync(path)) throw ledgerMissing(path);
    // Never opened here if it is there: closing any descriptor of the file would drop the locks of this process on it.
    if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600));
    chmodSync(path, 0o600);
    db = new DatabaseSync(path, { timeout: 0 });
    // auto_vacuum counts only before the first table; the lock is taken, and kept, by the first access after locking_mode.
    db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT');
    db.exec('PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864');
    takeInLog(db);
    checkWhole(db, path);
    const store = new Store(db, path);
    if (!hadLog && isInUse(db)) throw logMissing(path);
    beginUse(db);
    takeInLog(db);
    return opened({ db, store, path });
  } catch (error) {
    db?.close();
    throw whyNotOpened(error, path);
  }
}

function opened({ db, store, path }: { db: DatabaseSync; store: Store; path: string }): OpenFile {
  const { ino, dev } = statSync(path);
  return {
    ...{ db, store },
    checkThere() {
      const now = statSync(path, { throwIfNoEntry: false });
      if (now?.ino === ino && now.dev === dev) return;
      throw new Error(
        `${path} is not there any more, or is another file: put it back, with ${path}-wal beside it, and the gateway goes on by itself. A gateway that starts now would begin an empty ledger`,
      );
    },
    close() {
      try {
        // What is in the log goes to the file first, and the log begins anew without being cut: so the last word needs no room on a full disk.
        db.exec('PRAGMA wal_checkpoint(RESTART)');
        endUse(db);
      } finally {
        db.close();
      }
    },
  };
}

/**
 * What a process that died had committed last stands in the log, perhaps in the system's memory only: an fsync may have failed on
 * it. It goes to the file itself, with an fsync of its own, before anything is answered that counts on it.
 */
function takeInLog(db: DatabaseSync): void {
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
}

/** Cheap: whether all its pages are there. Whether each is right shows when it is read; `ledger verify --offline` reads all. */
function checkWhole(db: DatabaseSync, path: string): void {
  const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count);
  const pageSize = Number(db.prepare('PRAGMA page_size').get()?.page_size);
  const { size } = statSync(path);
  if (size < pages * pageSize)
    throw new Error(`the ledger ${path} is cut off: it has ${size} bytes of ${pages * pageSize}. ${restoreHint(path)}`);
}

/** SQLite would remove the log of a file that is empty. */
function ledgerMissing(path: string): Error {
  return new Error(
    `${path} is missing, and the log that belongs to it, ${path}-wal, is there: messages are in both. Put it back, or restore a backup (crossfade ledger restore FILE), which keeps the log beside it.`,
  );
}

function logMissing(path: string): Error {
  return new Error(
    `${path} was left without being closed, and the log beside it, ${path}-wal, is missing: the messages that were written last are in it. ` +
      `Put it back. If it is lost, or if another program such as sqlite3 has opened the file since: crossfade ledger restore ${path} goes on with what is in the file, as after a restore.`,
  );
}
