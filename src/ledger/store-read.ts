// The store's questions about entries: what to send, what to return, how much there is.

import type { DatabaseSync } from 'node:sqlite';
import {
  custodies,
  dead,
  type KeySpace,
  keyOf,
  lanes,
  type Place,
  returnKeyOf,
  sent,
  seqOf,
  sole,
  states,
  toMqtt,
  toXmpp,
  words,
} from './codes.ts';
import type { EntryView } from './ledger.ts';
import type { Operations } from './operations.ts';
import { conversation } from './store-sweep.ts';
import type { Tally } from './tally.ts';

type Read = Pick<
  Operations,
  'conversations' | 'toSend' | 'toXmppWaiting' | 'toReturn' | 'withBroker' | 'counts' | 'entries' | 'entry'
>;

type Row = Record<string, unknown>;
const defaultLimit = 100;

function optional<T>(value: unknown): T | undefined {
  return value === null ? undefined : (value as T);
}

export function readOperations(db: DatabaseSync, tally: Tally, space: KeySpace): Read {
  return {
    ...deliveryQueries(db, space),
    ...viewQueries(db, space),
    counts: () => tally.counts(),
  };
}

function deliveryQueries(
  db: DatabaseSync,
  space: KeySpace,
): Pick<Read, 'conversations' | 'toSend' | 'toXmppWaiting' | 'toReturn' | 'withBroker'> {
  const conversations = db.prepare('SELECT DISTINCT lane, user, peer FROM entry WHERE state <= 1');
  const toSend = db.prepare(
    `SELECT seq, channel, id, topic, payload, expires_at, lane = ${toXmpp} AND state = ${sent} AS is_sent FROM entry JOIN body USING (seq)
       WHERE state <= 1 AND lane = ? AND user = ? AND peer = ? AND seq > ? ORDER BY seq LIMIT ? + 0`,
  );
  const toXmppWaiting = db.prepare(
    `SELECT count(*) AS n FROM entry WHERE state <= 1 AND lane = ${toXmpp} AND user = ?`,
  );
  const toReturn = db.prepare(
    `SELECT seq, at, link, n, original FROM entry JOIN body USING (seq)
       WHERE entry.seq IN (SELECT value FROM json_each(open_of(?))) AND lane = ${toMqtt} AND custody = ${sole} AND app_acked_at IS NULL
         AND original IS NOT NULL AND entry.seq > ? ORDER BY seq LIMIT ? + 0`,
  );
  const withBroker = db.prepare(
    `SELECT user, count(*) AS n FROM entry
       WHERE state = 2 AND app_has = 0 AND acked_at > coalesce(
         (SELECT max(iif(online, 9e15, last_online_at)) FROM device WHERE device.user = entry.user), -1)
       GROUP BY user ORDER BY user`,
  );
  return {
    conversations: () => conversations.all().map(conversation),
    toSend: ({ lane, user, peer, after, limit }) =>
      toSend.all(lanes.indexOf(lane), user, peer, after, limit).map((row) => ({
        seq: Number(row.seq),
        key: keyOf(space, Number(row.seq)),
        lane,
        user,
        peer,
        channel: String(row.channel),
        id: optional<string>(row.id),
        topic: optional<string>(row.topic),
        payload: String(row.payload),
        expiresAt: optional<number>(row.expires_at),
        ...(row.is_sent === 1 && { isSent: true }),
      })),
    toXmppWaiting: ({ user }) => Number(toXmppWaiting.get(user)?.n),
    toReturn: ({ user, after = 0, limit }) =>
      toReturn.all(user, after, limit).map((row) => ({
        seq: Number(row.seq),
        key: returnKeyOf(space, Number(row.seq), row as unknown as Place),
        at: Number(row.at),
        original: String(row.original),
      })),
    withBroker: () => withBroker.all().map((row) => ({ user: String(row.user), count: Number(row.n) })),
  };
}

function viewQueries(db: DatabaseSync, space: KeySpace): Pick<Read, 'entries' | 'entry'> {
  const columns = `SELECT entry.*, topic, link.name AS link_name, link.epoch AS link_epoch
    FROM entry LEFT JOIN body USING (seq) LEFT JOIN link ON link.id = entry.link`;
  const bySeq = db.prepare(`${columns} WHERE entry.seq = ?`);
  // No index: asked by people, seldom, while each index is paid for by every message.
  const byId = db.prepare(`${columns} WHERE entry.id = ? ORDER BY entry.seq LIMIT ${defaultLimit}`);
  const view = (row: Row): EntryView => ({
    key: keyOf(space, Number(row.seq)),
    seq: Number(row.seq),
    lane: lanes[Number(row.lane)]!,
    state: states[Number(row.state)]!,
    user: String(row.user),
    peer: String(row.peer),
    channel: String(row.channel),
    id: optional(row.id),
    custody: custodies[Number(row.custody)]!,
    topic: optional(row.topic),
    mapping: optional(row.mapping),
    condition: optional(row.condition),
    text: optional(row.text),
    position:
      row.n === null ? undefined : { n: Number(row.n), link: optional(row.link_name), epoch: optional(row.link_epoch) },
    archived: row.archive_key !== null,
    late: row.late !== 0,
    attempts: Number(row.attempts),
    at: Number(row.at),
    acceptedAt: Number(row.accepted_at),
    sentAt: optional(row.sent_at),
    ackedAt: optional(row.acked_at),
    appAckedAt: optional(row.app_acked_at),
    endedAt: optional(row.ended_at),
    expiresAt: optional(row.expires_at),
  });
  return {
    entries({ lane, user, state, id, before, limit = defaultLimit, after = 0 }) {
      const where = ['entry.seq > ?'];
      const values: (string | number)[] = [after];
      if (lane) where.push(`lane = ${lanes.indexOf(lane)}`);
      if (state) where.push(state === 'waiting' ? 'state <= 2' : `state = ${states.indexOf(state)}`);
      if (user !== undefined) {
        where.push('user = ?');
        values.push(user);
        // Found by their numbers: of what has ended there is no index by user.
        if (state === 'waiting' || (state && states.indexOf(state) <= dead)) {
          where.push('entry.seq IN (SELECT value FROM json_each(open_of(?)))');
          values.push(user);
        }
      }
      if (id !== undefined) {
        where.push('entry.id = ?');
        values.push(words(id));
      }
      if (before !== undefined) {
        where.push('accepted_at < ?');
        values.push(before);
      }
      const query = `${columns} WHERE ${where.join(' AND ')} ORDER BY entry.seq LIMIT ? + 0`;
      return db
        .prepare(query)
        .all(...values, limit)
        .map(view);
    },
    entry({ key, id }) {
      const rows: Row[] = [];
      const seq = key === undefined ? undefined : seqOf(space, key);
      if (seq !== undefined) rows.push(...bySeq.all(seq));
      if (id !== undefined) rows.push(...byId.all(words(id)));
      return rows.map(view);
    },
  };
}
