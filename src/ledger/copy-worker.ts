// The thread that finishes a copy of the ledger: one file without a log, marked as a backup, looked at from end to end.

import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { explainFault } from './account.ts';
import { markAsBackup } from './file-life.ts';
import { inspect } from './inspect.ts';

export type FromCopyWorker = { entries: number } | { fault: string };

function finish({ path, at }: { path: string; at: number }): FromCopyWorker {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE');
    markAsBackup(db, at);
  } finally {
    db.close();
  }
  const { faults, checked } = inspect(path);
  const [first] = faults;
  return first
    ? { fault: `${first.lane ?? ''} ${first.state ?? ''} ${explainFault(first)}`.trim() }
    : { entries: checked };
}

try {
  parentPort!.postMessage(finish(workerData));
} catch (error) {
  parentPort!.postMessage({ fault: (error as Error).message } satisfies FromCopyWorker);
}
