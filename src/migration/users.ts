// The users the gateway knows: all of them in memory, each change on disk before it counts.

import type { AuditRow, Ledger, UserRow } from '../ledger/ledger.ts';
import { isOpenToApps, type Phase } from './phase.ts';
import { type Rest, RestingUsers } from './resting.ts';
import type { Shown } from './shown.ts';
import { Turns } from './turns.ts';
import type { LegacyLogin } from './wanted.ts';

/** The steps of a move, in order: those of a rollback, then the one of every move, bringing the server to what is wanted. */
export type Step = 'drain' | 'stop' | 'return' | 'detach' | 'discard' | 'arrange';

export interface Moving {
  from: Phase;
  step: Step;
  /** A rollback has begun to hand entries back. */
  hasReturned?: true;
  /** The way back after a move that the server refused. */
  hasFailed?: true;
}

/** The attached session as the server knew it last. */
export interface Attached {
  jid: string;
  /** '' once the session is known to be gone. */
  epoch: string;
  /** Null: without presence, for sending only. Absent while it is being changed: after a crash nobody knows. */
  shown?: Shown | null;
  /** Asked for and not answered yet: after a crash it may be there or not. */
  pending?: 'attach' | 'detach';
}

/** Something the server was asked to keep for a user: written before it is asked, cleared after it was taken back. */
export interface Kept {
  epoch: string;
  /** Asked for, or asked to be taken back, and not answered yet: after a crash nobody knows. */
  asked?: true;
}

export interface User {
  readonly jid: string;
  phase: Phase;
  version: number;
  moving?: Moving;
  attached?: Attached;
  /** The server sends copies of what the user sends and receives. */
  observed?: Kept;
  /** The server refuses legacy clients of the user. */
  locked?: Kept;
  /** Set for this user; absent: what the configuration says. */
  legacyLogin?: LegacyLogin;
  /** When a legacy client of the user was told that it has moved (`notify`); once in each stay in `mqtt`. */
  notifiedAt?: number;
  /** Its apps acknowledge with `out/ack`. */
  acks: boolean;
  changedAt: number;
  /** Messages from the legacy server that have come since the start, recorded or on their way to the ledger. */
  arrivals: number;
  /** An address on the component's own domain (own-users.ts): always `mqtt`, no row, not movable. */
  own?: true;
}

export type Change = Partial<
  Pick<User, 'phase' | 'moving' | 'attached' | 'observed' | 'locked' | 'legacyLogin' | 'notifiedAt'>
>;
/** Who did what and why, for the audit. */
export type Note = Pick<AuditRow, 'who' | 'what' | 'reason' | 'detail'>;

/** More would outlive the young generation of both threads' heaps, which then grow by what is garbage a moment later. */
const pageSize = 1_000;

export class Users {
  readonly #ledger: Ledger;
  readonly #byJid = new Map<string, User>();
  /** Those of whom nothing but that they are known matters; who is asked for by name moves to the others. */
  #resting = new RestingUsers();
  readonly #turns = new Turns<User>();
  /** How often the user's session has gone: a change that was asked for before must not bring it back. */
  readonly #losses = new WeakMap<User, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Reads every row, and forgets what was read before; `own`: the component's own domain, and the bare JIDs that the configuration declares on it. */
  async load(own: { domain: string; declared: readonly string[] }): Promise<void> {
    this.#byJid.clear();
    this.#resting = new RestingUsers();
    for (let after = ''; ; ) {
      const rows = await this.#ledger.do('users', { after, limit: pageSize });
      for (const row of rows) if (!isResting(row)) this.#byJid.set(row.jid, fromRow(row));
      this.#resting.add(rows.filter(isResting));
      if (rows.length < pageSize) break;
      after = rows.at(-1)!.jid;
    }
    for (const jid of own.declared) await this.addOwn(jid);
    // The server would end the stream over one of another domain, which this component had before.
    for (const { jid, added } of await this.#ledger.do('ownUsers', {}))
      if (added && jid.endsWith(`@${own.domain}`) && !this.#byJid.has(jid)) await this.addOwn(jid);
  }

  /** An address on the component's own domain is served from now on. */
  async addOwn(jid: string): Promise<void> {
    const acks = await this.#ledger.do('acks', { user: jid });
    this.putBack({ jid, phase: 'mqtt', version: 1, acks, changedAt: 0, arrivals: 0, own: true });
  }

  /** The user is not served any more, until it is put back. */
  takeOut(jid: string): User | undefined {
    const user = this.#byJid.get(jid);
    this.#byJid.delete(jid);
    return user;
  }

  putBack(user: User): void {
    this.#resting.take(user.jid);
    this.#byJid.set(user.jid, user);
  }

  get(jid: string): User | undefined {
    const user = this.#byJid.get(jid);
    if (user) return user;
    const rest = this.#resting.take(jid);
    return rest && this.#add(jid, rest);
  }

  /** To look at: whoever keeps or changes one asks for it by name. */
  *all(): Generator<User> {
    // In this order, as a user may be asked for meanwhile, and moves from the second to the first.
    yield* this.#byJid.values();
    for (const [jid, rest] of this.#resting.all()) yield restingUser(jid, rest);
  }

  get size(): number {
    return this.#byJid.size + this.#resting.size;
  }

  /** A user that `user set` names for the first time; on disk with its first change. */
  add(jid: string, now: number): User {
    return this.#add(jid, { version: 0, changedAt: now });
  }

  #add(jid: string, rest: Rest): User {
    const user = restingUser(jid, rest);
    this.#byJid.set(jid, user);
    return user;
  }

  /**
   * Writes a change, then makes it true in memory: what is seen there survives a crash. `decide` runs when all earlier
   * changes of this user are done, and answers with the change, or with null for none. `undefined` clears a field.
   * The version counts the changes of phase, for those who watch. Resolves to whether anything was changed.
   */
  async change(user: User, decide: (now: User) => Change | null, at: number, audit?: Note): Promise<boolean> {
    const losses = this.#losses.get(user);
    return await this.#turns.take(user, async () => {
      const change = decide(user);
      if (change?.phase !== undefined && user.notifiedAt !== undefined) change.notifiedAt = undefined;
      if (change) await this.#write(user, change, at, audit);
      if (this.#losses.get(user) !== losses) forgetSession(user);
      return change !== null;
    });
  }

  async #write(user: User, change: Change, at: number, audit?: Note): Promise<void> {
    const version = change.phase === undefined ? user.version : user.version + 1;
    const next: User = { ...user, ...change, version, changedAt: at };
    const isOpen = isOpenToApps(next.phase);
    const mark = isOpen === isOpenToApps(user.phase) ? undefined : isOpen ? 'begin' : 'end';
    await this.#ledger.do('putUser', { row: toRow(next), audit: audit && { ...audit, at, user: user.jid }, mark });
    Object.assign(user, change, { version, changedAt: at });
  }

  /** The server told us that this session is gone; a later start finds out by itself, so nothing is written. */
  sessionGone(user: User): void {
    forgetSession(user);
    this.#losses.set(user, (this.#losses.get(user) ?? 0) + 1);
  }

  /** What was copied of the user is copied no more, until it is asked for again. */
  copiesGone(user: User): void {
    if (user.observed) user.observed = { ...user.observed, asked: true };
  }

  /** May the user's apps send? */
  isOpen(jid: string): boolean {
    const user = this.#byJid.get(jid);
    return user !== undefined && isOpenToApps(user.phase);
  }

  /** Are the user's apps published to? Not while a rollback, even one that is superseded, hands entries back. */
  isPublished(jid: string): boolean {
    const user = this.#byJid.get(jid);
    return user !== undefined && isOpenToApps(user.phase) && !isReturning(user);
  }
}

/**
 * A rollback that has begun to hand entries back is carried through before another move begins: what lies in offline
 * storage comes to the apps only with the flush to a new session, and stays in order only if all of it goes that way.
 */
export function isReturning({ moving }: User): boolean {
  return moving?.hasReturned === true;
}

/** How it was shown is remembered: while nobody knows where the app is, the next session is shown in the same way. */
function forgetSession(user: User): void {
  if (user.attached) user.attached = { ...user.attached, epoch: '' };
}

function restingUser(jid: string, { version, changedAt }: Rest): User {
  return { jid, phase: 'legacy', version, acks: false, changedAt, arrivals: 0 };
}

function isResting({ phase, acks, moving, attached, observed, locked, legacyLogin, notifiedAt }: UserRow): boolean {
  const more = moving ?? attached ?? observed ?? locked ?? legacyLogin ?? notifiedAt;
  return phase === 'legacy' && !acks && more === undefined;
}

function fromRow(row: UserRow): User {
  return {
    jid: row.jid,
    phase: row.phase as Phase,
    version: row.version,
    moving: row.moving === undefined ? undefined : JSON.parse(row.moving),
    attached: row.attached === undefined ? undefined : JSON.parse(row.attached),
    observed: row.observed === undefined ? undefined : JSON.parse(row.observed),
    locked: row.locked === undefined ? undefined : JSON.parse(row.locked),
    ...(row.legacyLogin !== undefined && { legacyLogin: row.legacyLogin as LegacyLogin }),
    ...(row.notifiedAt !== undefined && { notifiedAt: row.notifiedAt }),
    acks: row.acks,
    changedAt: row.changedAt,
    arrivals: 0,
  };
}

function toRow(user: User): UserRow {
  return {
    jid: user.jid,
    phase: user.phase,
    version: user.version,
    moving: user.moving && JSON.stringify(user.moving),
    attached: user.attached && JSON.stringify(user.attached),
    observed: user.observed && JSON.stringify(user.observed),
    locked: user.locked && JSON.stringify(user.locked),
    legacyLogin: user.legacyLogin,
    notifiedAt: user.notifiedAt,
    acks: user.acks,
    changedAt: user.changedAt,
  };
}
