// What client sessions have sent and the server has not counted yet (attach: client): so that nothing is sent twice after a crash.

import type { DatabaseSync } from 'node:sqlite';
import type { Operations } from './operations.ts';

export function outboundOperations(db: DatabaseSync): Pick<Operations, 'outPlaced' | 'outResolved' | 'outForgotten'> {
  const put = db.prepare('INSERT OR REPLACE INTO outbound (link, key, n) VALUES (?, ?, ?)');
  // Behind h are the numbers up to half a turn of its 2^32 ahead; n = 0 was processed in an epoch before.
  const drop = db.prepare(
    'DELETE FROM outbound WHERE link = ? AND n > 0 AND (n - ? + 4294967296) % 4294967296 BETWEEN 1 AND 2147483648',
  );
  const dropAll = db.prepare('DELETE FROM outbound WHERE link = ? AND n > 0');
  const close = db.prepare('UPDATE outbound SET n = 0 WHERE link = ?');
  const kept = db.prepare('SELECT key FROM outbound WHERE link = ?');
  const forget = db.prepare('DELETE FROM outbound WHERE link = ? AND key = ?');
  return {
    outPlaced({ link, key, n }) {
      put.run(link, key, n);
    },
    outResolved({ link, h }) {
      if (h === null) dropAll.run(link);
      else drop.run(link, h);
      close.run(link);
      return kept.all(link).map(({ key }) => String(key));
    },
    outForgotten({ link, keys }) {
      for (const key of keys) forget.run(link, key);
    },
  };
}
