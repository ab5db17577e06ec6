// The store's verbs on expiry: what waits beyond the time that its sender or the operator has set, and its end.

import type { DatabaseSync } from 'node:sqlite';
import { accepted, acked, discarded, lanes, parked, sent, settled, sole, toMqtt, toXmpp } from './codes.ts';
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
  // What an app has is there, whatever the broker's horizon still says; it is over only where it would have to go to the broker once more.
  const columns = `seq, lane, user, peer, channel, id, app_has,
      iif(lane = ${toMqtt} AND custody = ${sole} AND late = 0, original, NULL) AS original`;
  // What the legacy server may have is not called expired before that is known.
  const isDue = `expires_at IS NOT NULL AND state <= 3 AND (app_has = 0 OR state <> ${acked}) AND NOT (lane = ${toXmpp} AND state = ${sent})`;
  const all = db.prepare(
    `SELECT ${columns} FROM entry JOIN body USING (seq) WHERE expires_at <= ?1 AND (?3 IS NULL OR lane = ?3) AND ${isDue} ORDER BY expires_at LIMIT ?2 + 0`,
  );
  // `+`: by number, and not through all that is due.
  const among = db.prepare(
    `SELECT ${columns} FROM entry JOIN body USING (seq)
       WHERE seq IN (SELECT value FROM json_each(?3)) AND +expires_at <= ?1 AND ${isDue} ORDER BY expires_at LIMIT ?2 + 0`,
  );
  const standing = db.prepare(
    `SELECT seq, user, lane, state, app_has FROM entry WHERE seq = ? AND expires_at <= ? AND state BETWEEN ${accepted} AND ${parked}`,
  );
  return {
    expired: ({ now, limit, lane, among: seqs }) =>
      (seqs
        ? among.all(now, limit, JSON.stringify(seqs))
        : all.all(now, limit, lane === undefined ? null : lanes.indexOf(lane))
      ).map((row) => ({
        seq: Number(row.seq),
        lane: lanes[Number(row.lane)]!,
        user: String(row.user),
        peer: String(row.peer),
        channel: String(row.channel),
        id: row.id === null ? undefined : String(row.id),
        appHas: row.app_has === 1,
        original: row.original === null ? undefined : String(row.original),
      })),
    expire({ seqs, at }) {
      for (const seq of seqs) {
        const row = standing.get(seq, at) as unknown as (Standing & { app_has: number }) | undefined;
        if (row) end(row, row.app_has === 1 ? settled : discarded, at, 'expired');
      }
    },
  };
}
