// The thread that owns the ledger's file. It knows nothing but the store; messages are answered in the order they come.

import { parentPort, workerData } from 'node:worker_threads';
import { copyTo, type Stop } from './copy.ts';
import { openFile } from './file.ts';
import { whyNotWritten } from './trouble.ts';
import { type FromWorker, packResult, type ToWorker, unpackCalls, type WorkerData } from './wire.ts';

const port = parentPort!;
const answer = (message: FromWorker) => port.postMessage(message);

try {
  const { path, closed } = workerData as WorkerData;
  const { db, store, checkThere, close } = openFile(path);
  const stop: Stop = { asked: false };
  let copying: Promise<void> = Promise.resolve();
  port.on('message', (message: ToWorker) => {
    if ('close' in message) {
      stop.asked = true;
      void copying.finally(() => {
        try {
          close();
        } finally {
          Atomics.store(closed, 0, 1);
          Atomics.notify(closed, 0);
          port.close();
        }
      });
    } else if ('copy' in message) copying = copyTo(db, message.copy, { answer, stop });
    else {
      try {
        checkThere();
        answer({ results: store.run(unpackCalls(message.run)).map(packResult) });
      } catch (error) {
        answer({ failed: whyNotWritten(error, path) });
      }
    }
  });
  answer({ opened: { space: store.space, lastSeq: store.lastSeq, restored: store.restored } });
} catch (error) {
  answer({ refused: (error as Error).message });
}
