// Opens the ledger's file: mode 0600, WAL, fsync at each commit, locked against a second process.

import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Store } from './store.ts';

const busy = 5;

/**
 * Creates the file if there is none. Throws with a text for the operator: no such folder, in use by another process, no
 * ledger, newer schema. The lock is the kernel's, so it ends with the process however that ends.
 */
export function openFile(path: string): { db: DatabaseSync; store: Store } {
  let db: DatabaseSync | undefined;
  try {
    // Never opened here if it is there: closing any descriptor of the file would drop the locks of this process on it.
    if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600));
    chmodSync(path, 0o600);
    db = new DatabaseSync(path, { timeout: 0 });
    // auto_vacuum counts only before the first table; the lock is taken, and kept, by the first access after locking_mode.
    db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT');
    db.exec('PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864');
    return { db, store: new Store(db, path) };
  } catch (error) {
    db?.close();
    throw explained(error as NodeJS.ErrnoException & { errcode?: number }, path);
  }
}

function explained(error: NodeJS.ErrnoException & { errcode?: number }, path: string): Error {
  if (error.errcode === busy) {
    return new Error(`${path} is in use by another process: is the gateway running already? Stop that one first.`);
  }
  if (error.errcode === undefined && error.code === undefined) return error;
  return new Error(
    `the ledger ${path} cannot be opened: ${error.message}. Check ledger.path, the folder and its rights.`,
    {
      cause: error,
    },
  );
}
