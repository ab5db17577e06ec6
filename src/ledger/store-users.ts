// The store's rows about users: phase, devices, audit, and named values.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { acked } from './codes.ts';
import type { AuditRow, UserRow } from './ledger.ts';
import type { Operations } from './operations.ts';
import type { Marks } from './store-marks.ts';

type Users = Pick<
  Operations,
  'acks' | 'users' | 'putUser' | 'audit' | 'audited' | 'devices' | 'putDevice' | 'removeDevice' | 'getMeta' | 'putMeta'
>;

function text(value: SQLOutputValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function userOperations(db: DatabaseSync, marks: Marks): Users {
  const getMeta = db.prepare('SELECT value FROM meta WHERE name = ?');
  const putMeta = db.prepare('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)');
  return {
    ...userRows(db, marks),
    ...deviceRows(db),
    getMeta: ({ name }) => text(getMeta.get(name)?.value) ?? null,
    putMeta: ({ name, value }) => void putMeta.run(name, value),
  };
}

function userRows(db: DatabaseSync, marks: Marks): Pick<Users, 'acks' | 'users' | 'putUser' | 'audit' | 'audited'> {
  const users = db.prepare(
    `SELECT jid, phase, version, moving, attached, observed, locked, legacy_login, notified_at, changed_at,
       EXISTS (SELECT 1 FROM acking WHERE acking.user = jid)
     FROM user WHERE jid > ? ORDER BY jid LIMIT ? + 0`,
  );
  // A million of them are read at the start: as arrays in half the time that objects take.
  users.setReturnArrays(true);
  const put = db.prepare(
    `INSERT OR REPLACE INTO user (jid, phase, version, moving, attached, observed, locked, legacy_login, notified_at, changed_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  // Only ever set: a row read before the first ack and written after it must not take it back.
  const putAcks = db.prepare('INSERT OR IGNORE INTO acking (user) VALUES (?)');
  const acks = db.prepare('SELECT 1 FROM acking WHERE user = ?');
  const note = db.prepare('INSERT INTO audit (at, who, what, user, reason, detail) VALUES (?, ?, ?, ?, ?, ?)');
  const record = (row: Omit<AuditRow, 'id'> | undefined) => {
    if (row) note.run(row.at, row.who, row.what, row.user ?? null, row.reason ?? null, row.detail ?? null);
  };
  const audit = db.prepare('SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ? + 0');
  const auditOf = db.prepare('SELECT * FROM audit WHERE user = ? AND id < ? ORDER BY id DESC LIMIT ? + 0');
  return {
    acks: ({ user }) => acks.get(user) !== undefined,
    users: ({ after, limit }) => (users.all(after, limit) as unknown as SQLOutputValue[][]).map(userRow),
    putUser({ row, audit, mark }) {
      const { jid, phase, version, moving = null, attached = null, observed = null, locked = null, changedAt } = row;
      const { legacyLogin = null, notifiedAt = null } = row;
      put.run(jid, phase, version, moving, attached, observed, locked, legacyLogin, notifiedAt, changedAt);
      if (row.acks) putAcks.run(row.jid);
      if (mark === 'begin') marks.began(jid, changedAt);
      else if (mark === 'end') marks.ended(jid);
      record(audit);
    },
    audit({ user, before = Number.MAX_SAFE_INTEGER, limit }) {
      const rows = user === undefined ? audit.all(before, limit) : auditOf.all(user, before, limit);
      return rows.map(auditRow);
    },
    audited: record,
  };
}

function userRow([jid, phase, version, ...rest]: SQLOutputValue[]): UserRow {
  const [moving, attached, observed, locked, legacyLogin, notifiedAt, changedAt, acks] = rest;
  return {
    jid: String(jid),
    phase: String(phase),
    version: Number(version),
    moving: text(moving),
    attached: text(attached),
    observed: text(observed),
    locked: text(locked),
    legacyLogin: text(legacyLogin),
    notifiedAt: notifiedAt === null ? undefined : Number(notifiedAt),
    acks: acks === 1,
    changedAt: Number(changedAt),
  };
}

function auditRow(row: Record<string, SQLOutputValue>): AuditRow {
  return {
    id: Number(row.id),
    at: Number(row.at),
    who: String(row.who),
    what: String(row.what),
    user: text(row.user),
    reason: text(row.reason),
    detail: text(row.detail),
  };
}

function deviceRows(db: DatabaseSync): Pick<Users, 'devices' | 'putDevice' | 'removeDevice'> {
  const devices = db.prepare('SELECT * FROM device ORDER BY user, client');
  const wasOnline = db.prepare('SELECT 1 FROM device WHERE user = ? AND online LIMIT 1');
  const put = db.prepare(
    `INSERT INTO device (user, client, online, seen_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET online = excluded.online, seen_at = excluded.seen_at,
         last_online_at = iif(online AND NOT excluded.online, excluded.seen_at, last_online_at)`,
  );
  const remove = db.prepare('DELETE FROM device WHERE user = ? AND client = ?');
  // A device online after the PUBACK: all the word there is of apps that never acknowledge. `+` keeps SQLite from the index
  // of all that is acked, which may be millions, where the user has few.
  const appHas = db.prepare(
    `UPDATE entry SET app_has = 1 WHERE seq IN (SELECT value FROM json_each(open_of(?1))) AND state = ${acked} AND +app_has = 0
       AND NOT EXISTS (SELECT 1 FROM acking WHERE acking.user = ?1)`,
  );
  return {
    devices: () =>
      devices.all().map((row) => ({
        user: String(row.user),
        client: String(row.client),
        online: row.online === 1,
        seenAt: Number(row.seen_at),
      })),
    putDevice({ user, client, online, seenAt }) {
      if (online && !wasOnline.get(user)) appHas.run(user);
      put.run(user, client, online ? 1 : 0, seenAt);
    },
    removeDevice: ({ user, client }) => void remove.run(user, client),
  };
}
