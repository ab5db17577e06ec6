// The ledger's contract for addresses on the component's own domain: who they are, and whom they know.

import type { AuditNote } from './ledger.ts';

export interface OwnUserRow {
  jid: string;
  /** By an operator; false: by the configuration, now or once. */
  added: boolean;
  /** Absent: what the configuration says. */
  subscriptions?: string;
  listed: boolean;
  /** JSON, written and read by migration/. */
  profile?: string;
  changedAt: number;
}

/** Without `sees` and `seen` nothing is between the two, and there is no row. */
export interface OwnContactRow {
  user: string;
  contact: string;
  /** May the contact see the user? */
  sees?: string;
  /** May the user see the contact? */
  seen?: string;
  changedAt: number;
}

export interface OwnOperations {
  ownUsers(args: Record<string, never>): OwnUserRow[];
  putOwnUser(args: { row: OwnUserRow; audit?: AuditNote }): void;
  /** With all contacts. */
  removeOwnUser(args: { jid: string; audit: AuditNote }): void;
  /** By user and contact, behind `after`. */
  ownContacts(args: { after: { user: string; contact: string }; limit: number }): OwnContactRow[];
  putOwnContact(args: OwnContactRow): void;
}
