// The ledger's contract: what is written down of each message, and how it is handed in. What may be asked: operations.ts. No SQL and no thread here.

import type { Operations } from './operations.ts';

export type Lane = 'toMqtt' | 'toXmpp';

/**
 * `sent` is written for what stays unanswered for a second, and beforehand for what may expire on its way to the legacy server; the rest
 * goes from accepted to acked in one step.
 */
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
  /** The sender's id; of a long one the entry keeps the beginning. */
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
  /** Not to be sent from then on (ms), unless `isSent`. */
  expiresAt?: number;
  /** toXmpp: it was handed over, and nobody knows whether the server has it. */
  isSent?: boolean;
}

/** An entry that waits beyond its time. */
export interface Expired extends Conversation, Pick<Entry, 'seq' | 'channel' | 'id'> {
  /** An app has it, but the broker would have to be given it once more. */
  appHas: boolean;
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

/** Why an entry is dead. */
export interface Fault {
  condition: string;
  text: string;
}

/** What came of an operator's `retry`; `repeated`: the app has sent the same id again, and that entry stands for it. */
export type Retried = 'done' | 'absent' | 'not-so' | 'no-body' | 'repeated' | 'returning';

/** An entry that `takeOut` has taken out of delivery, or why it has not. */
export type TakenOut =
  /** `key`: for the `<return>`, as `toReturn` gives it. `fault`: what it was dead with. */
  | { kind: 'taken'; user: string; key: string; at: number; original: string; fault?: Fault }
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
  /** What is handed in while `act` runs goes into one commit: after a crash all of it is there, or nothing. */
  together(act: () => void): void;
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
