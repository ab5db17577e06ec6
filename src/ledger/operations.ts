// What may be asked of the ledger, and what each answer promises; by verbs. Those on the own domain and on client sessions have files of their own.

import type { Piece } from './account.ts';
import type {
  ArchivePlace,
  AuditNote,
  AuditRow,
  Conversation,
  Counts,
  DeviceRow,
  Entry,
  EntryFilter,
  EntryView,
  Expired,
  Fault,
  Mark,
  Missed,
  Pile,
  Remainder,
  Retried,
  TakenOut,
  UserRow,
} from './ledger.ts';
import type { OwnOperations } from './own.ts';
import type { SessionOperations } from './session-operations.ts';

/**
 * The operations, each atomic and in the order they were called; all that change something resolve once it is on disk.
 * Ended entries (settled, returned, discarded) lose their body; `returned` and `discarded` lose their repeat keys as well, unless an
 * app has acknowledged them.
 */
export interface Operations extends OwnOperations, SessionOperations {
  /**
   * toMqtt: PUBACK came → acked. toXmpp: the server's result came → settled. `sender`: the user of an entry towards XMPP; who gives it
   * saves a look at the entry.
   */
  answered(args: { seq: number; at: number; sender?: string }): void;
  /** Sent, and still unanswered: raises attempts. Returns how many of them are still to be sent. */
  sent(args: { seqs: number[]; at: number }): number;
  /** What was sent the receiving side surely has not got: sent → accepted. */
  notSent(args: { seq: number }): void;
  /** Refused for good by the receiving side → dead; kept until an operator decides. */
  refused(args: { seq: number; at: number; condition: string; text: string }): void;
  parked(args: { seq: number; at: number }): void;
  /** parked → accepted, for one user or all. Returns the conversations concerned. */
  unpark(args: { user?: string }): Conversation[];
  discard(args: { seqs: number[]; at: number; reason: string }): void;
  /** `<return>` was processed. */
  returned(args: { seqs: number[]; at: number }): void;
  /** `<return>` was processed, and the app shall have it all the same: it stays as a `copy`, with its keys, so that a flush makes it `sole` again. */
  handedBack(args: { seqs: number[]; at: number }): void;
  /**
   * The server took back this user's stanzas with n > h of this epoch, but not copies. The `sole` entries made of them end as `discarded` (a rollback),
   * or become `copy` (a session that the server ended). Returns how many.
   */
  takenBack(args: {
    user: string;
    link: string;
    epoch: string;
    h: number;
    at: number;
    become: 'discarded' | 'copy';
  }): number;
  /** End every toMqtt entry of the user that is still open and need not be returned. Returns how many. */
  discardRest(args: { user: string; at: number; reason: string }): number;
  /** No device is left that could take them: ends the user's open `copy` entries towards the apps. Returns how many. */
  discardCopies(args: { user: string; at: number; reason: string }): number;
  /** What has this archive key is over: the next that comes with it is no repeat of it. */
  renewed(args: { archiveKey: string }): void;
  /** The app has stored these. Returns how many were news. Marks the user as one whose apps ack. */
  appAcked(args: { user: string; keys: string[]; at: number }): number;
  /**
   * acked → settled where both hold: PUBACK at least `horizonMs` old, and the app has it (an ack, or, for a user whose
   * apps never sent one, a device online after the PUBACK). Returns how many. Bounded work per call (`limit`).
   */
  settle(args: { now: number; horizonMs: number; limit: number }): number;
  /** acked → accepted: of one user those without app ack, of all (broker restart) whatever is not settled. Returns the conversations. */
  republish(args: { user?: string }): Conversation[];
  /**
   * Drops history (and its repeat keys) that ended before `before`, and entries that were refused as they came: no body is there to
   * decide about. Returns how many. Bounded work per call (`limit`).
   */
  forget(args: { before: number; limit: number }): number;

  /** What waits, or is parked, beyond its time, the oldest first; not what the legacy server may have, nor what an app has and only the broker's horizon is awaited for. `among`: of these. */
  expired(args: { now: number; limit: number; lane?: Conversation['lane']; among?: number[] }): Expired[];
  /** Ends those of them: as `discarded` (`expired`), or, what an app has, as `settled`. */
  expire(args: { seqs: number[]; at: number }): void;

  /** Conversations with entries to send (accepted, sent). */
  conversations(args: Record<string, never>): Conversation[];
  /** The next entries to send of one conversation, by number. */
  toSend(args: Conversation & { after: number; limit: number }): Entry[];
  /** How many toXmpp entries of the user are still to be sent. */
  toXmppWaiting(args: { user: string }): number;
  /**
   * toMqtt entries to be handed back: `sole`, no app ack, waiting, parked or dead; by number. `key` is for this `<return>`: the same as
   * long as the stanza has not come to us again.
   */
  toReturn(args: {
    user: string;
    after?: number;
    limit: number;
  }): { seq: number; key: string; at: number; original: string }[];
  /** Users with the number of entries that are with the broker since their last device was online. */
  withBroker(args: Record<string, never>): { user: string; count: number }[];

  /**
   * An operator's word. parked or dead → accepted; a request's id gets its key back, so that the app's repeat is known. Not where the
   * app has used the id again meanwhile.
   */
  retry(args: { seq: number; note?: AuditNote }): Retried;
  /**
   * Before `<return>`: it is set aside as dead (`returning`), so that neither a crash nor an operator can publish what was handed back.
   * Only `sole` entries that no app and no broker has.
   */
  takeOut(args: { seq: number; at: number }): TakenOut;
  /** The server surely has not got what was taken out: it goes on as before; `fault`: dead with that again. */
  notTaken(args: { seq: number; at: number; fault?: Fault }): void;
  /** An operator ends an open entry. False where there is none. */
  endByHand(args: { seq: number; at: number; as: 'returned' | 'discarded'; reason?: string; note: AuditNote }): boolean;
  /** Of every user that has anything left, by user; reads the whole table. */
  remainders(args: { after: string; limit: number }): Remainder[];
  /** What is open for a user: counted up to `limit` entries, the oldest first; `more`: there are others. */
  piles(args: { user: string; limit: number }): { piles: Pile[]; more: boolean };
  /** When the user's last entry in each lane was accepted, among the newest `depth` entries of all. */
  lastEntries(args: { user: string; depth: number }): { toMqtt?: number; toXmpp?: number };

  /** Messages of others that wait for the user's apps and have a higher number than `after`: how many, and of the newest sender, time and number. */
  waitingFor(args: { user: string; after: number }): { from: string; count: number; at: number; seq: number } | null;
  /** Users for whom such messages wait. */
  waitingUsers(args: Record<string, never>): string[];
  position(args: { link: string }): { epoch: string; h: number } | null;
  /**
   * The link stands in this epoch, read up to h: a restart must know, or the server would forget which keys it has processed. Where
   * that is news, every mark has a gap behind it from `at` on.
   */
  epochBegan(args: { link: string; epoch: string; h: number; at: number }): void;
  mark(args: { user: string }): Mark | null;
  /** Marks with a gap, or without an id, by user. */
  marksToMend(args: { after: string; limit: number }): { user: string; mark: Mark }[];
  /** Messages of the user may have been missed. */
  gapOpened(args: { user: string; at: number }): void;
  /**
   * All up to `place` is here; `done`: the gap is closed. Nothing happens, and false is answered, where another gap has opened since
   * `gapAt` (undefined: where there was none). What was `missed` is untold from then on.
   */
  caughtUp(args: { user: string; gapAt?: number; place: ArchivePlace; missed?: Missed; done: boolean }): boolean;
  /** What may be missing and has not been logged, the oldest first. */
  untoldGaps(args: Record<string, never>): { user: string; missed: Missed }[];
  /** All of the user's have been. */
  gapsTold(args: { user: string }): void;
  counts(args: Record<string, never>): Counts;
  /**
   * One piece of a check of the account: `from` null begins it, after that `next` of the piece before. Whatever is written meanwhile is
   * counted as well. One check at a time: another one that begins ends it.
   */
  verify(args: { from: number | null; user?: string; since?: number; limit: number }): Piece;
  entries(args: EntryFilter): EntryView[];
  /** By key, or all with this sender's id. */
  entry(args: { key?: string; id?: string }): EntryView[];

  /** Whether an app of this user has ever acknowledged. */
  acks(args: { user: string }): boolean;
  users(args: { after: string; limit: number }): UserRow[];
  /** `mark`: the archive counts from now on, or no more. */
  putUser(args: { row: UserRow; audit?: Omit<AuditRow, 'id'>; mark?: 'begin' | 'end' }): void;
  audit(args: { user?: string; before?: number; limit: number }): AuditRow[];
  /** A line in the audit for what changes nothing else here. */
  audited(args: AuditNote): void;
  devices(args: Record<string, never>): DeviceRow[];
  putDevice(args: DeviceRow): void;
  removeDevice(args: { user: string; client: string }): void;
  getMeta(args: { name: string }): string | null;
  putMeta(args: { name: string; value: string }): void;
}
