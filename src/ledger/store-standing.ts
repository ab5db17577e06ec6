// The store's questions an operator asks about users: what is open and in which state, what a way back would find.

import type { DatabaseSync } from 'node:sqlite';
import { accepted, dead, lanes, sent, sole, states, toMqtt, toXmpp } from './codes.ts';
import type { Pile } from './ledger.ts';
import type { Operations } from './operations.ts';

type Standing = Pick<Operations, 'piles' | 'lastEntries' | 'remainders'>;

export function standingOperations(db: DatabaseSync): Standing {
  return { piles: pilesOperation(db), lastEntries: lastEntriesOperation(db), remainders: remaindersOperation(db) };
}

function pilesOperation(db: DatabaseSync): Standing['piles'] {
  const oldest = 'SELECT value FROM json_each(open_of(?)) ORDER BY value LIMIT ? + 0';
  const counted = db.prepare(
    `SELECT lane, peer, state, count(*) AS n, sum(custody = ${sole} AND app_acked_at IS NULL) AS sole,
         min(accepted_at) AS since, iif(state = ${dead}, condition, NULL) AS condition, max(seq) AS newest
       FROM entry WHERE seq IN (${oldest}) GROUP BY lane, peer, state ORDER BY since`,
  );
  return ({ user, limit }) => {
    const rows = counted.all(user, limit);
    const piles = rows.map(
      (row): Pile => ({
        lane: lanes[Number(row.lane)]!,
        peer: String(row.peer),
        state: states[Number(row.state)]!,
        count: Number(row.n),
        sole: Number(row.sole),
        since: Number(row.since),
        condition: row.condition === null ? undefined : String(row.condition),
      }),
    );
    const more = piles.reduce((sum, { count }) => sum + count, 0) === limit;
    return { piles, more };
  };
}

/** No index by user over what has ended: each would be paid for by every message. So only the newest entries are looked at. */
function lastEntriesOperation(db: DatabaseSync): Standing['lastEntries'] {
  const newest = db.prepare(
    `SELECT accepted_at AS at FROM entry WHERE seq > (SELECT max(seq) FROM entry) - ? AND user = ? AND lane = ?
       ORDER BY seq DESC LIMIT 1`,
  );
  return ({ user, depth }) => {
    const of = (lane: number) => newest.get(depth, user, lane)?.at as number | undefined;
    return { toMqtt: of(toMqtt), toXmpp: of(toXmpp) };
  };
}

function remaindersOperation(db: DatabaseSync): Standing['remainders'] {
  const isOurs = `lane = ${toMqtt} AND custody = ${sole} AND app_acked_at IS NULL AND original IS NOT NULL`;
  const byUser = db.prepare(
    `SELECT user, sum(${isOurs}) AS to_return, sum(lane = ${toMqtt} AND NOT (${isOurs})) AS to_discard,
         sum(lane = ${toXmpp} AND state IN (${accepted}, ${sent})) AS to_send,
         sum(lane = ${toXmpp} AND state = ${dead} AND body.seq IS NOT NULL) AS dead
       FROM entry LEFT JOIN body USING (seq) WHERE state <= ${dead} AND user > ? GROUP BY user ORDER BY user LIMIT ? + 0`,
  );
  return ({ after, limit }) =>
    byUser.all(after, limit).map((row) => ({
      user: String(row.user),
      toReturn: Number(row.to_return),
      toDiscard: Number(row.to_discard),
      toSend: Number(row.to_send),
      dead: Number(row.dead),
    }));
}
