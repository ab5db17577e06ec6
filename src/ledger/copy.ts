// Copies the ledger while it is at work: SQLite's online backup over the ledger's own connection, so what is committed meanwhile is in it.

import { close, fsync, open } from 'node:fs';
import { backup, type DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import type { FromWorker } from './wire.ts';

/** At a time the connection is held for so many pages, half a millisecond from memory. */
const pagesAtOnce = 64;
/** The copy is brought to the disk beside the copying, so that its end, which holds the connection, has little left to do. */
const pagesUnsynced = 4096;

export interface Stop {
  asked: boolean;
}

export async function copyTo(
  db: DatabaseSync,
  path: string,
  { answer, stop }: { answer: (message: FromWorker) => void; stop: Stop },
): Promise<void> {
  try {
    const descriptor = await promisify(open)(path, 'r+');
    let [synced, syncing] = [0, Promise.resolve()];
    try {
      await backup(db, path, {
        rate: pagesAtOnce,
        progress({ totalPages, remainingPages }) {
          if (stop.asked) throw new Error('the gateway was stopped before the backup was done');
          const done = totalPages - remainingPages;
          answer({ copied: { done, of: totalPages } });
          if (done - synced < pagesUnsynced) return;
          synced = done;
          syncing = syncing.then(() => promisify(fsync)(descriptor)).catch(() => {});
        },
      });
    } finally {
      await syncing;
      await promisify(close)(descriptor);
    }
    answer({ copied: 'all' });
  } catch (error) {
    answer({ copied: { fault: (error as Error).message } });
  }
}
