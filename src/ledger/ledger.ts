// The ledger's contract: what is written down of each message, and what may be asked of it. No SQL and no thread here.

import type { Piece } from './account.ts';
import type { OwnOperations } from './own.ts';
import type { SessionOperations } from './session-operations.ts';

export type Lane = 'toMqtt' | 'toXmpp';

/** `sent` is written only for what stays unanswered for a second; the rest goes from accepted to acked in one step. */
export type State = 'accepted' | 'sent' | 'acked' | 'settled' | 'parked' | 'dead' | 'returned' | 'discarded';

/** `sole`: came to our session alone, so it must be handed back if no app ever takes it. `copy`: somebody else has it, too. */
export type Custody = 'sole' | 'copy';

/** A message's place in an archive: its id there (without one only its time is known), and its time (ms since 1970). */
export interface ArchivePlace {
  id?: string;
  at: number;
}

/** How far a user's archive is known here. */
export interface Mark extends ArchivePlace {
  /** Since when messages behind it may be missing (ms); a later gap has another number. */
  gapAt?: number;
  /** The last time that the archive could not say what has been missed. */
  missed?: Missed;
}

/** Messages between these two times (ms) may be missing. */
export interface Missed {
  from: number;
  to: number;
  /** `no-archive`, `mark-unknown` (the archive has forgotten the place), `archive-refused`. */
  reason: string;
}

/** What accept is given. Stored as it will be sent, so that recovery needs no second translation. */
export interface Draft {
  lane: Lane;
  /** Prepared bare JID. */
  user: string;
  /** The other side's bare JID; with lane and user it names the conversation, inside which order is kept. */
  peer: string;
  channel: string;
  /** The sender's id. */
  id?: string;
  custody: Custody;
  /** The message's own time: delay stamp of the own server, else arrival; ms since 1970. */
  at: number;
  /** Observed, carbon, delayed, flushed or archived: such a one can be a second copy of another (DESIGN §8). */
  late?: boolean;
  /** It came in a carbon, of which there is one for each message: two carbons are two messages. */
  carbon?: boolean;
  /** Its place in the user's archive, where it came live from there: the user's mark moves to it. */
  place?: ArchivePlace;
  position?: { link: string; epoch: string; n: number };
  /** Repeat keys; see repeat.ts. toMqtt: archive and content. toXmpp: request, with the digest of the whole payload beside it. */
  archiveKey?: string;
  contentKey?: string;
  requestKey?: string;
  requestDigest?: string;
  /** toXmpp: not where so many entries of this user's apps have not ended yet (waiting or dead). */
  maxOpen?: number;
  /** From then on (ms) it is of no use, and is not sent any more. */
  expiresAt?: number;
  /** toMqtt: topic, payload (JSON text). toXmpp: payload is the finished stanza. */
  topic?: string;
  payload: string;
  /** toMqtt: the stanza as it came, for `<return>`. */
  original?: string;
  mapping?: string;
  /** Set: the entry is written as `dead` at once, with the reason. */
  refused?: { condition: string; text: string };
}

/** What deliver works with. */
export interface Entry {
  seq: number;
  key: string;
  lane: Lane;
  user: string;
  peer: string;
  channel: string;
  id?: string;
  topic?: string;
  payload: string;
  /** Not to be sent from then on (ms). */
  expiresAt?: number;
}

/** An entry that waits beyond its time. */
export interface Expired extends Conversation, Pick<Entry, 'seq' | 'channel' | 'id'> {
  isParked: boolean;
  /** toMqtt, and its sender waits for an answer: it came live and directly, and to nobody else. */
  original?: string;
}

export type Outcome =
  | { kind: 'new' }
  /** Known already; nothing new is delivered. */
  | { kind: 'repeat' }
  /** toXmpp only: the id was used before with other content. */
  | { kind: 'conflict' }
  /** toXmpp only: `maxOpen` is reached; nothing is written. */
  | { kind: 'full' };

/** Number and key exist before the first await; `outcome` resolves when it is on disk, and does not reject while the ledger is open. */
export interface Accepting {
  seq: number;
  key: string;
  outcome: Promise<Outcome>;
}

export interface Conversation {
  lane: Lane;
  user: string;
  peer: string;
}

/** For people: one entry with its whole life. Times in ms since 1970. */
export interface EntryView {
  key: string;
  seq: number;
  lane: Lane;
  state: State;
  user: string;
  peer: string;
  channel: string;
  id?: string;
  custody: Custody;
  topic?: string;
  mapping?: string;
  condition?: string;
  text?: string;
  /** Where it stood on the link to the legacy server; the epoch is known while it lasts. */
  position?: { n: number; link?: string; epoch?: string };
  /** Whether the archive's id, as a key, tells its repeats. */
  archived: boolean;
  /** It came by a way that makes second copies: observed, carbon, delayed, flushed or archived. */
  late: boolean;
  attempts: number;
  at: number;
  acceptedAt: number;
  sentAt?: number;
  ackedAt?: number;
  appAckedAt?: number;
  endedAt?: number;
  expiresAt?: number;
}

export interface EntryFilter {
  lane?: Lane;
  user?: string;
  /** A state, or `waiting` (accepted, sent, acked). */
  state?: State | 'waiting';
  limit?: number;
  /** Only entries with a higher number. */
  after?: number;
  /** The sender's id. */
  id?: string;
  /** Only entries that were accepted before (ms). */
  before?: number;
}

/** Per lane, how many entries are in each state. */
export type Counts = Record<Lane, Record<State, number>>;

export interface UserRow {
  jid: string;
  phase: string;
  version: number;
  /** JSON, written and read by migration/. */
  moving?: string;
  attached?: string;
  observed?: string;
  locked?: string;
  legacyLogin?: string;
  notifiedAt?: number;
  /** A first out/ack makes acks required for good. */
  acks: boolean;
  changedAt: number;
}

export interface DeviceRow {
  user: string;
  client: string;
  online: boolean;
  seenAt: number;
}

export interface AuditRow {
  id: number;
  at: number;
  who: string;
  what: string;
  user?: string;
  reason?: string;
  detail?: string;
}

/** Who did what, when and why, for the audit. */
export type AuditNote = Omit<AuditRow, 'id'>;

/** What came of an operator's `retry`; `repeated`: the app has sent the same id again, and that entry stands for it. */
export type Retried = 'done' | 'absent' | 'not-so' | 'no-body' | 'repeated' | 'returning';

/** An entry that `takeOut` has taken out of delivery, or why it has not. */
export type TakenOut =
  /** `key`: for the `<return>`, as `toReturn` gives it. */
  | { kind: 'taken'; user: string; key: string; at: number; original: string; from: State }
  | { kind: 'absent' | 'not-so' | 'copy' | 'no-body' | 'with-broker' | 'app-has' };

/** What is still here for one user, as the way back sees it. */
export interface Remainder {
  user: string;
  /** toMqtt: to be handed back. */
  toReturn: number;
  /** toMqtt: somebody else, or the app, has it. */
  toDiscard: number;
  /** toXmpp: accepted, and not yet sent. */
  toSend: number;
  /** toXmpp: refused for good; with a body to decide about. */
  dead: number;
}

/** The user's open entries of one conversation in one state. */
export interface Pile {
  lane: Lane;
  peer: string;
  state: State;
  count: number;
  sole: number;
  /** When the oldest was accepted. */
  since: number;
  /** Of a dead one, the newest. */
  condition?: string;
}

/**
 * The operations, each atomic and in the order they were called; all that change something resolve once it is on disk.
 * Ended entries (settled, returned, discarded) lose their body; `returned` and `discarded` lose their repeat keys as well, unless an
 * app has acknowledged them.
 */
export interface Operations extends OwnOperations, SessionOperations {
  /** toMqtt: PUBACK came → acked. toXmpp: the server's result came → settled. */
  answered(args: { seq: number; at: number }): void;
  /** Sent, and still unanswered: raises attempts. */
  sent(args: { seqs: number[]; at: number }): void;
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

  /** What waits, or is parked, beyond its time and no app has acknowledged; the oldest first. */
  expired(args: { now: number; limit: number }): Expired[];
  /** Ends those of them as `discarded` (`expired`). */
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
  retry(args: { seq: number; at: number; note?: AuditNote }): Retried;
  /**
   * Before `<return>`: what waits, or is parked, is set aside as dead (`returning`), so that no crash can publish what was handed back;
   * what is dead stays so. Only `sole` entries that no app and no broker has.
   */
  takeOut(args: { seq: number; at: number }): TakenOut;
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
   * `gapAt` (undefined: where there was none).
   */
  caughtUp(args: { user: string; gapAt?: number; place: ArchivePlace; missed?: Missed; done: boolean }): boolean;
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

/** How accepted entries come back to deliver: in the order of their numbers, right after their commit. */
export type CommittedHandler = (entry: Entry) => void;

export interface Ledger {
  /** `draft` gets the entry's key and gives what to write; `copy` is written in the same commit, if the first turns out new. */
  accept(draft: (key: string) => Draft, copy?: (key: string) => Draft): Accepting;
  do<Name extends keyof Operations>(
    name: Name,
    args: Parameters<Operations[Name]>[0],
  ): Promise<ReturnType<Operations[Name]>>;
  /** As `do`, in the same order with all other calls, but nobody waits: it goes along with the next commit, within 20 ms; a failure is logged. */
  note<Name extends keyof Operations>(name: Name, args: Parameters<Operations[Name]>[0]): void;
  /** Called for each new entry that is to be sent (not for dead ones, nor repeats). Set once, before the first accept. */
  onCommitted: CommittedHandler;
  /** False while a commit fails (full disk): nothing is acknowledged, the ledger tries again by itself. */
  readonly writable: boolean;
  /** Why it is not writable, and what an operator can do. */
  readonly trouble: string | null;
  /** Bytes handed to accept and not yet on disk: the measure for back-pressure. */
  readonly uncommittedBytes: number;
  close(): Promise<void>;
}
