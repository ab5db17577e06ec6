// The store's rows about addresses on the component's own domain, and their contacts.

import type { DatabaseSync } from 'node:sqlite';
import type { AuditNote } from './ledger.ts';
import type { OwnContactRow, OwnOperations } from './own.ts';

/** `record` writes a line of the audit. */
export function ownOperations(db: DatabaseSync, record: (note: AuditNote | undefined) => void): OwnOperations {
  const users = db.prepare('SELECT * FROM own_user ORDER BY jid');
  const putUser = db.prepare(
    'INSERT OR REPLACE INTO own_user (jid, added, subscriptions, listed, profile, changed_at) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const removeUser = db.prepare('DELETE FROM own_user WHERE jid = ?');
  const removeContacts = db.prepare('DELETE FROM own_contact WHERE user = ?');
  const contacts = db.prepare(
    'SELECT * FROM own_contact WHERE (user, contact) > (?, ?) ORDER BY user, contact LIMIT ? + 0',
  );
  const putContact = db.prepare(
    'INSERT OR REPLACE INTO own_contact (user, contact, sees, seen, changed_at) VALUES (?, ?, ?, ?, ?)',
  );
  const removeContact = db.prepare('DELETE FROM own_contact WHERE user = ? AND contact = ?');
  return {
    ownUsers: () =>
      users.all().map((row) => ({
        jid: String(row.jid),
        added: row.added === 1,
        subscriptions: textOf(row.subscriptions),
        listed: row.listed === 1,
        profile: textOf(row.profile),
        changedAt: Number(row.changed_at),
      })),
    putOwnUser({ row, audit }) {
      const { jid, added, subscriptions = null, listed, profile = null, changedAt } = row;
      putUser.run(jid, added ? 1 : 0, subscriptions, listed ? 1 : 0, profile, changedAt);
      record(audit);
    },
    removeOwnUser({ jid, audit }) {
      removeUser.run(jid);
      removeContacts.run(jid);
      record(audit);
    },
    ownContacts: ({ after: { user, contact }, limit }) => contacts.all(user, contact, limit).map(contactRow),
    putOwnContact({ user, contact, sees, seen, changedAt }) {
      if (sees === undefined && seen === undefined) removeContact.run(user, contact);
      else putContact.run(user, contact, sees ?? null, seen ?? null, changedAt);
    },
  };
}

function contactRow(row: Record<string, unknown>): OwnContactRow {
  return {
    user: String(row.user),
    contact: String(row.contact),
    sees: textOf(row.sees),
    seen: textOf(row.seen),
    changedAt: Number(row.changed_at),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
