// The store's verbs on one entry's life: sent, answered, refused, parked, ended (DESIGN §8, the states).

import type { DatabaseSync } from 'node:sqlite';
import {
  accepted,
  acked,
  copy,
  dead,
  discarded,
  type KeySpace,
  parked,
  returned,
  sent,
  seqOf,
  settled,
  sole,
  toMqtt,
  toXmpp,
  words,
} from './codes.ts';
import type { Derived } from './derived.ts';
import type { Operations } from './operations.ts';
import type { Tally } from './tally.ts';

type Life = Pick<
  Operations,
  | 'answered'
  | 'sent'
  | 'notSent'
  | 'refused'
  | 'parked'
  | 'discard'
  | 'returned'
  | 'handedBack'
  | 'takenBack'
  | 'discardRest'
  | 'discardCopies'
  | 'appAcked'
  | 'renewed'
>;

export interface Standing {
  seq: number;
  user: string;
  lane: number;
  state: number;
}

export function lifeOperations(db: DatabaseSync, tally: Tally, derived: Derived, space: KeySpace): Life {
  const end = ender(db, tally, derived);
  const standing = db.prepare('SELECT seq, user, lane, state FROM entry WHERE seq = ?');
  const toEnd = (seqs: number[]) =>
    seqs.map((seq) => standing.get(seq) as unknown as Standing).filter((row) => row !== undefined && row.state <= dead);
  const takenBack = db.prepare(
    `SELECT seq, user, lane, state FROM entry WHERE seq IN (SELECT value FROM json_each(open_of(?))) AND n > ? AND custody = ${sole}
       AND link = (SELECT id FROM link WHERE name = ? AND epoch = ?)`,
  );
  const notReturned = db.prepare(
    `SELECT seq, user, lane, state FROM entry WHERE seq IN (SELECT value FROM json_each(open_of(?))) AND lane = ${toMqtt}
       AND (custody <> ${sole} OR app_acked_at IS NOT NULL)`,
  );
  const becomeCopy = db.prepare(`UPDATE entry SET custody = ${copy} WHERE seq = ?`);
  const copies = db.prepare(
    `SELECT seq, user, lane, state FROM entry WHERE seq IN (SELECT value FROM json_each(open_of(?))) AND lane = ${toMqtt}
       AND custody = ${copy} AND state <= ${parked}`,
  );
  const loseArchiveKey = db.prepare('UPDATE entry SET archive_key = NULL WHERE seq = ? AND archive_key = ?');
  return {
    ...answerOperations(db, tally, derived, end),
    appAcked: appAckedOperation(db, space),
    discard({ seqs, at, reason }) {
      for (const row of toEnd(seqs)) end(row, discarded, at, reason);
    },
    returned({ seqs, at }) {
      for (const row of toEnd(seqs)) end(row, returned, at);
    },
    handedBack({ seqs }) {
      for (const seq of seqs) becomeCopy.run(seq);
    },
    takenBack({ user, link, epoch, h, at, become }) {
      const rows = takenBack.all(user, h, link, epoch) as unknown as Standing[];
      for (const row of rows) become === 'copy' ? becomeCopy.run(row.seq) : end(row, discarded, at, 'taken-back');
      return rows.length;
    },
    discardCopies({ user, at, reason }) {
      const rows = copies.all(user) as unknown as Standing[];
      for (const row of rows) end(row, discarded, at, reason);
      return rows.length;
    },
    renewed({ archiveKey }) {
      for (const seq of [...derived.known(archiveKey)]) {
        if (loseArchiveKey.run(seq, archiveKey).changes) derived.forgot(seq, { archive_key: archiveKey });
      }
    },
    discardRest({ user, at, reason }) {
      const rows = notReturned.all(user) as unknown as Standing[];
      for (const row of rows) end(row, discarded, at, reason);
      return rows.length;
    },
  };
}

/**
 * Ends an entry: the body goes; `returned` and `discarded` lose their repeat keys too, so the message may come again, unless an app
 * has acknowledged it: then whatever copy the server still has of it is a repeat.
 */
export function ender(db: DatabaseSync, tally: Tally, derived: Derived) {
  const dropBody = db.prepare('DELETE FROM body WHERE seq = ?');
  const keysToLose = db.prepare(
    'SELECT archive_key, content_key, request_key FROM entry WHERE seq = ? AND app_acked_at IS NULL',
  );
  const loseKeys = db.prepare(
    'UPDATE entry SET archive_key = NULL, content_key = NULL, request_key = NULL, request_digest = NULL WHERE seq = ?',
  );
  const settle = db.prepare(
    `UPDATE entry SET state = ${settled}, acked_at = ?, ended_at = ?, attempts = attempts + ? WHERE seq = ?`,
  );
  const leave = db.prepare(
    'UPDATE entry SET state = ?, ended_at = ?, condition = coalesce(?, condition) WHERE seq = ?',
  );
  return (row: Standing, to: typeof settled | typeof returned | typeof discarded, at: number, reason?: string) => {
    if (to === settled) settle.run(at, at, row.state === accepted ? 1 : 0, row.seq);
    else {
      leave.run(to, at, reason ?? null, row.seq);
      const keys = keysToLose.get(row.seq);
      if (keys) {
        derived.forgot(row.seq, keys);
        loseKeys.run(row.seq);
      }
    }
    dropBody.run(row.seq);
    derived.ended(row.user, row.seq, row.lane);
    tally.move(row.lane, row.state, to);
  };
}

function answerOperations(
  db: DatabaseSync,
  tally: Tally,
  derived: Derived,
  end: ReturnType<typeof ender>,
): Pick<Life, 'answered' | 'sent' | 'notSent' | 'refused' | 'parked'> {
  const standing = db.prepare('SELECT seq, user, lane, state, request_key FROM entry WHERE seq = ?');
  const find = (seq: number) => standing.get(seq) as unknown as (Standing & { request_key: string | null }) | undefined;
  // Apps that never acknowledge: a device that is online at, or was online after, the PUBACK stands for their word.
  const ack = db.prepare(
    `UPDATE entry SET state = ${acked}, acked_at = ?1, attempts = attempts + (state = ${accepted}),
         app_has = app_acked_at IS NOT NULL OR (
           NOT EXISTS (SELECT 1 FROM acking WHERE acking.user = entry.user)
           AND EXISTS (SELECT 1 FROM device WHERE device.user = entry.user AND (online OR last_online_at > ?1)))
       WHERE seq = ?2 AND lane = ${toMqtt} AND state = ?3`,
  );
  const settle = db.prepare(
    `UPDATE entry SET state = ${settled}, acked_at = ?1, ended_at = ?1, attempts = attempts + 1 WHERE seq = ?2 AND lane = ${toXmpp} AND state = ${accepted}`,
  );
  const dropBody = db.prepare('DELETE FROM body WHERE seq = ?');
  const sending = db.prepare(`UPDATE entry SET state = ${sent}, sent_at = ?, attempts = attempts + 1 WHERE seq = ?`);
  const unsend = db.prepare(`UPDATE entry SET state = ${accepted} WHERE seq = ?`);
  const park = db.prepare(`UPDATE entry SET state = ${parked}, sent_at = ?, attempts = attempts + ? WHERE seq = ?`);
  // A refused id leaves no key: the app may use it again once the cause is mended. The digest stays for an operator's retry.
  const refuse = db.prepare(
    `UPDATE entry SET state = ${dead}, ended_at = ?, condition = ?, text = ?, request_key = NULL WHERE seq = ?`,
  );
  return {
    answered({ seq, at, sender }) {
      // Nearly none was written down as sent: that needs no look at it first.
      if (sender === undefined) {
        if (ack.run(at, seq, accepted).changes) return tally.move(toMqtt, accepted, acked);
      } else if (settle.run(at, seq).changes) {
        dropBody.run(seq);
        derived.ended(sender, seq, toXmpp);
        return tally.move(toXmpp, accepted, settled);
      }
      const row = find(seq);
      if (!row || row.state > sent) return;
      if (row.lane === toXmpp) return end(row, settled, at);
      ack.run(at, seq, row.state);
      tally.move(toMqtt, row.state, acked);
    },
    sent({ seqs, at }) {
      let count = 0;
      for (const seq of seqs) {
        const row = find(seq);
        if (!row || row.state > sent) continue;
        sending.run(at, seq);
        tally.move(row.lane, row.state, sent);
        count++;
      }
      return count;
    },
    notSent({ seq }) {
      const row = find(seq);
      if (row?.state !== sent) return;
      unsend.run(seq);
      tally.move(row.lane, sent, accepted);
    },
    refused({ seq, at, condition, text }) {
      const row = find(seq);
      if (!row || row.state > parked) return;
      derived.forgot(seq, { request_key: row.request_key });
      refuse.run(at, condition, words(text), seq);
      tally.move(row.lane, row.state, dead);
    },
    parked({ seq, at }) {
      const row = find(seq);
      if (!row || row.state > sent) return;
      park.run(at, row.state === accepted ? 1 : 0, seq);
      tally.move(row.lane, row.state, parked);
    },
  };
}

function appAckedOperation(db: DatabaseSync, space: KeySpace): Life['appAcked'] {
  const acknowledge = db.prepare(
    `UPDATE entry SET app_acked_at = ?, app_has = 1 WHERE seq = ? AND user = ? AND lane = ${toMqtt} AND app_acked_at IS NULL`,
  );
  const firstAck = db.prepare('INSERT OR IGNORE INTO acking (user) VALUES (?)');
  // From the first ack on the device's presence proves nothing any more.
  const requireAcks = db.prepare(
    `UPDATE entry SET app_has = 0 WHERE seq IN (SELECT value FROM json_each(open_of(?))) AND state = ${acked} AND app_acked_at IS NULL`,
  );
  return ({ user, keys, at }) => {
    if (firstAck.run(user).changes) requireAcks.run(user);
    let news = 0;
    for (const key of keys) {
      const seq = seqOf(space, key);
      if (seq !== undefined) news += Number(acknowledge.run(at, seq, user).changes);
    }
    return news;
  };
}
