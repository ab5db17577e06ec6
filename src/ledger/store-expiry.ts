// The store's verbs on expiry: what waits beyond the time that its sender or the operator has set, and its end.

import type { DatabaseSync } from 'node:sqlite';
import { accepted, discarded, lanes, parked, sole, toMqtt } from './codes.ts';
import type { Derived } from './derived.ts';
import type { Operations } from './operations.ts';
import { ender, type Standing } from './store-life.ts';
import type { Tally } from './tally.ts';

export function expiryOperations(
  db: DatabaseSync,
  tally: Tally,
  derived: Derived,
): Pick<Operations, 'expired' | 'expire'> {
  const end = ender(db, tally, derived);
  // What the app has acknowledged is there, whatever the broker's horizon still says.
  const due = db.prepare(
    `SELECT seq, lane, user, peer, channel, id, state, iif(lane = ${toMqtt} AND custody = ${sole} AND late = 0, original, NULL) AS original
       FROM entry JOIN body USING (seq)
       WHERE expires_at <= ? AND expires_at IS NOT NULL AND state <= 3 AND app_acked_at IS NULL ORDER BY expires_at LIMIT ?`,
  );
  const standing = db.prepare(
    `SELECT seq, user, lane, state FROM entry WHERE seq = ? AND expires_at <= ? AND state BETWEEN ${accepted} AND ${parked}`,
  );
  return {
    expired: ({ now, limit }) =>
      due.all(now, limit).map((row) => ({
        seq: Number(row.seq),
        lane: lanes[Number(row.lane)]!,
        user: String(row.user),
        peer: String(row.peer),
        channel: String(row.channel),
        id: row.id === null ? undefined : String(row.id),
        isParked: row.state === parked,
        original: row.original === null ? undefined : String(row.original),
      })),
    expire({ seqs, at }) {
      for (const seq of seqs) {
        const row = standing.get(seq, at) as unknown as Standing | undefined;
        if (row) end(row, discarded, at, 'expired');
      }
    },
  };
}
