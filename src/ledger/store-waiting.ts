// The store's answers for whoever wakes apps: which users have messages that no app has, and how many are news.

import type { DatabaseSync } from 'node:sqlite';
import { toMqtt } from './codes.ts';
import type { Operations } from './operations.ts';

/** What others wrote, and no app has: neither parked nor handed to the broker counts as had. */
const waits = `lane = ${toMqtt} AND channel = 'message' AND app_has = 0 AND json_extract(payload, '$.direction') = 'received'`;

export function waitingOperations(db: DatabaseSync): Pick<Operations, 'waitingFor' | 'waitingUsers'> {
  // With max() the other columns are those of its row.
  const news = db.prepare(
    `SELECT count(*) AS count, max(seq) AS seq, peer, at FROM entry JOIN body USING (seq)
       WHERE seq IN (SELECT value FROM json_each(open_of(?))) AND seq > ? AND state <= 3 AND ${waits}`,
  );
  // Each part by its own index: asked once, at the start, over a ledger of any length.
  const users = db.prepare(
    ['state <= 1', 'state = 2 AND app_has = 0', 'state = 3']
      .map((state) => `SELECT user FROM entry JOIN body USING (seq) WHERE ${state} AND ${waits}`)
      .join(' UNION '),
  );
  return {
    waitingFor({ user, after }) {
      const row = news.get(user, after);
      if (!row?.count) return null;
      return { from: String(row.peer), count: Number(row.count), at: Number(row.at), seq: Number(row.seq) };
    },
    waitingUsers: () => users.all().map(({ user }) => String(user)),
  };
}
