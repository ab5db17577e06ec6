// The thread that owns the ledger's file. It knows nothing but the store; messages are answered in the order they come.

import { parentPort, workerData } from 'node:worker_threads';
import { openFile } from './file.ts';
import { type FromWorker, packResult, type ToWorker, unpackCall } from './wire.ts';

const port = parentPort!;
const answer = (message: FromWorker) => port.postMessage(message);

try {
  const { db, store } = openFile((workerData as { path: string }).path);
  port.on('message', (message: ToWorker) => {
    if ('close' in message) {
      db.close();
      port.close();
      return;
    }
    try {
      answer({ results: store.run(message.run.map(unpackCall)).map(packResult) });
    } catch (error) {
      answer({ failed: (error as Error).message });
    }
  });
  answer({ opened: { space: store.space, lastSeq: store.lastSeq } });
} catch (error) {
  answer({ refused: (error as Error).message });
}
