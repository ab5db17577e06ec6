// The store's verbs on many entries at once: settle, republish, unpark, forget (DESIGN §8).

import type { DatabaseSync } from 'node:sqlite';
import { accepted, acked, dead, discarded, lanes, parked, settled, toMqtt } from './codes.ts';
import type { Derived, Keys } from './derived.ts';
import type { Conversation } from './ledger.ts';
import type { Operations } from './operations.ts';
import type { Tally } from './tally.ts';

type Sweep = Pick<Operations, 'settle' | 'republish' | 'unpark' | 'forget'>;

export function conversation(row: Record<string, unknown>): Conversation {
  return { lane: lanes[Number(row.lane)]!, user: String(row.user), peer: String(row.peer) };
}

export function sweepOperations(db: DatabaseSync, tally: Tally, derived: Derived): Sweep {
  return {
    settle: settleOperation(db, tally, derived),
    forget: forgetOperation(db, tally, derived),
    ...requeueOperations(db, tally),
  };
}

/** A PUBACK may come some time after the broker's last sign of life that `now` speaks of. */
const clockSkewMs = 60_000;

function settleOperation(db: DatabaseSync, tally: Tally, derived: Derived): Sweep['settle'] {
  // Both conditions are in the index, so those that wait for the app or the horizon cost nothing.
  const ripe = db.prepare(
    'SELECT seq, user FROM entry WHERE state = 2 AND app_has = 1 AND acked_at <= ? ORDER BY acked_at LIMIT ? + 0',
  );
  // The clock was put back since: these would wait for the time that is gone. They count as answered just now.
  const ahead = db.prepare(
    'UPDATE entry SET acked_at = ?1 WHERE state = 2 AND app_has IN (0, 1) AND acked_at > ?1 + ?2',
  );
  const settle = db.prepare(`UPDATE entry SET state = ${settled}, ended_at = ? WHERE seq = ?`);
  const dropBody = db.prepare('DELETE FROM body WHERE seq = ?');
  return ({ now, horizonMs, limit }) => {
    ahead.run(now, clockSkewMs);
    const rows = ripe.all(now - horizonMs, limit);
    for (const { seq, user } of rows) {
      settle.run(now, seq!);
      dropBody.run(seq!);
      derived.ended(String(user), Number(seq), toMqtt);
    }
    tally.move(toMqtt, acked, settled, rows.length);
    return rows.length;
  };
}

function forgetOperation(db: DatabaseSync, tally: Tally, derived: Derived): Sweep['forget'] {
  const old = db.prepare('SELECT seq FROM entry WHERE state >= 5 AND ended_at < ? ORDER BY ended_at LIMIT ? + 0');
  const refused = db.prepare(
    `SELECT seq, user, lane FROM entry WHERE state = 4 AND ended_at < ? AND NOT EXISTS (SELECT 1 FROM body WHERE body.seq = entry.seq)
       ORDER BY ended_at LIMIT ? + 0`,
  );
  const remove = db.prepare(
    'DELETE FROM entry WHERE seq = ? RETURNING lane, state, archive_key, content_key, request_key',
  );
  const drop = (seq: number) => {
    const { lane, state, ...keys } = remove.get(seq)! as unknown as Keys & { lane: number; state: number };
    derived.forgot(seq, keys);
    tally.forgotten(lane, state === dead ? discarded : state);
  };
  // Gives back to the file system what is free, a little at a time.
  const shrink = db.prepare('PRAGMA incremental_vacuum(256)');
  return ({ before, limit }) => {
    const rows = old.all(before, limit);
    for (const { seq } of rows) drop(Number(seq));
    const noBody = refused.all(before, limit - rows.length);
    for (const { seq, user, lane } of noBody) {
      drop(Number(seq));
      derived.ended(String(user), Number(seq), Number(lane));
      tally.move(Number(lane), dead, discarded);
    }
    if (rows.length + noBody.length > 0) shrink.all();
    return rows.length + noBody.length;
  };
}

/** Back to `accepted`: the number stays, so the place in the conversation does, too. */
function requeueOperations(db: DatabaseSync, tally: Tally): Pick<Sweep, 'republish' | 'unpark'> {
  const requeue = (from: typeof acked | typeof parked, which: string) => {
    const concerned = db.prepare(`SELECT DISTINCT lane, user, peer FROM entry WHERE state = ${from} ${which}`);
    const perLane = db.prepare(`SELECT lane, count(*) AS n FROM entry WHERE state = ${from} ${which} GROUP BY lane`);
    // What a device's presence proved was about the publish before.
    const move = db.prepare(
      `UPDATE entry SET state = ${accepted}, acked_at = NULL, app_has = app_acked_at IS NOT NULL WHERE state = ${from} ${which}`,
    );
    return (...values: string[]) => {
      const conversations = concerned.all(...values).map(conversation);
      for (const { lane, n } of perLane.all(...values)) tally.move(Number(lane), from, accepted, Number(n));
      move.run(...values);
      return conversations;
    };
  };
  const republishAll = requeue(acked, '');
  const republishOf = requeue(acked, 'AND seq IN (SELECT value FROM json_each(open_of(?))) AND app_acked_at IS NULL');
  const unparkAll = requeue(parked, '');
  const unparkOf = requeue(parked, 'AND user = ?');
  return {
    republish: ({ user }) => (user === undefined ? republishAll() : republishOf(user)),
    unpark: ({ user }) => (user === undefined ? unparkAll() : unparkOf(user)),
  };
}
