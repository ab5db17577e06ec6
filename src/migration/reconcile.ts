// The one loop that brings the legacy server to what is wanted: for moves, restarts, lost sessions and apps that come and go.

import type { Clock, Timer } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from './devices.ts';
import { leave, type Pending } from './hand-back.ts';
import { Line } from './line.ts';
import { isOpenToApps } from './phase.ts';
import { Place } from './place.ts';
import { isRollingBack, rollBack } from './rollback.ts';
import type { Failed, LegacyServer } from './server.ts';
import { type Shown, shownAway } from './shown.ts';
import type { User, Users } from './users.ts';
import { type LegacyLogin, wanted } from './wanted.ts';

const firstRetryMs = 1_000;
const lastRetryMs = 30_000;
/** What has not failed and only takes its time is looked at again sooner, and told of when it has been looked at so often. */
const firstLookMs = 50;
const usualLooks = 5;
/** With a million users most turns find nothing to do, and end at once: after so many, others in this process have theirs. */
const turnsInARow = 200;

/** What reconcile needs to know of the deliveries under way. */
export interface Deliveries {
  /** Something of the user's is between us and the broker. */
  isPublishing(user: string): boolean;
  /** Entries of the user wait for a session. */
  hasToSend(user: string): boolean;
  /** The user's session can take stanzas now. */
  sessionUp(user: string): void;
  /** The user's session has its first presence: offline messages and contacts' presence are here, or on their way. */
  available(user: string): void;
  /** The user's apps are published to again: what was returned or discarded meanwhile is not to be sent. */
  reopened(user: string): void;
  /** The user's waiting entries toXmpp can never be sent: ends them, and tells the apps. */
  hopeless(user: string, condition: string, text: string): Promise<void>;
  /** The user has no session any more. */
  left(user: string): void;
  /** The user's rollback is done. */
  ended(user: string): void;
}

/** What reconcile tried last for a user and could not do; times in ms since 1970. */
export interface Setback {
  attempt: number;
  condition: string;
  text: string;
  failedAt: number;
  retryAt: number;
}

/** Whether reconcile works on a user, for people. */
export type Work =
  | { kind: 'idle' }
  | { kind: 'running'; setback?: Setback }
  | { kind: 'in-line' }
  | { kind: 'link-down' }
  | { kind: 'retrying'; setback: Setback };

export interface Parts {
  users: Users;
  devices: Devices;
  server: LegacyServer;
  ledger: Ledger;
  deliveries: Deliveries;
  /** Of users for whom nothing else is set. */
  legacyLogin: LegacyLogin;
  /** What a legacy client is told that may not log in. */
  lockText: string;
  /** So many users at once: more would make legacy clients wait (docs/benchmarks.md, the storm of a mass attach). */
  attachWindow: number;
  clock: Clock;
  metrics: Pick<Metrics, 'handedBack'>;
  log: Log;
}

export class Reconcile {
  readonly #parts: Parts;
  readonly #line = new Line<User>();
  /** Users that have their turn, and whether another one is due after it. */
  readonly #busy = new Map<User, boolean>();
  readonly #setbacks = new Map<User, Setback>();
  readonly #retries = new Map<User, Timer>();
  readonly #place: Place;
  #inARow = 0;
  #pause?: Timer;
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { users, server, clock, log, lockText, deliveries } = parts;
    this.#place = new Place({ users, server, clock, log, lockText, deliveries });
  }

  /** Something about this user may have changed; null: about all. */
  poke(user: User | null): void {
    if (user) this.#lineUp(user);
    else for (const each of this.#parts.users.all()) if (mayDiffer(each)) this.#lineUp(each);
    this.#run();
  }

  workOn(user: User): Work {
    const setback = this.#setbacks.get(user);
    if (this.#busy.has(user)) return { kind: 'running', setback };
    if (this.#line.has(user)) return { kind: this.#parts.server.up ? 'in-line' : 'link-down' };
    return setback ? { kind: 'retrying', setback } : { kind: 'idle' };
  }

  /** The server knows none of our sessions any more: every one is made again. */
  epochChanged(): void {
    const { users, server } = this.#parts;
    for (const user of users.all()) if (user.attached && user.attached.epoch !== server.epoch) users.sessionGone(user);
    this.poke(null);
  }

  stop(): void {
    this.#stopped = true;
    this.#pause?.cancel();
    for (const timer of this.#retries.values()) timer.cancel();
  }

  #lineUp(user: User): void {
    if (this.#busy.has(user)) this.#busy.set(user, true);
    else this.#line.add(user);
  }

  #run(): void {
    while (this.#mayBegin()) {
      const user = this.#line.take();
      if (!user) return;
      this.#busy.set(user, false);
      void this.#turn(user);
    }
  }

  #mayBegin(): boolean {
    const { server, attachWindow, clock } = this.#parts;
    if (this.#stopped || this.#pause || !server.up || this.#busy.size >= attachWindow) return false;
    if (this.#inARow++ < turnsInARow) return true;
    this.#pause = clock.after(0, () => {
      this.#pause = undefined;
      this.#inARow = 0;
      this.#run();
    });
    return false;
  }

  async #turn(user: User): Promise<void> {
    this.#retries.get(user)?.cancel();
    this.#retries.delete(user);
    let left: Failed | Pending | null;
    try {
      left = await this.#bring(user);
    } catch (error) {
      left = { kind: 'wait', condition: 'internal-server-error', text: String(error) };
    }
    const isDue = this.#busy.get(user);
    this.#busy.delete(user);
    if (this.#stopped) return;
    if (isDue) this.#line.add(user);
    if (left && !hasGotOn(left)) this.#again(user, left);
    else this.#setbacks.delete(user);
    // Behind the others.
    if (left && hasGotOn(left)) this.#line.add(user);
    this.#run();
  }

  /** Brings one user to what is wanted; answers with what failed, or is not done yet, or null. */
  async #bring(user: User): Promise<Failed | Pending | null> {
    const parts = { ...this.#parts, place: this.#place };
    if (user.own) return null;
    if (isRollingBack(user)) {
      const failed = await rollBack(user, parts);
      // Superseded: the move that came is waiting for its turn.
      if (failed || isRollingBack(user)) return failed;
      this.#parts.deliveries.reopened(user.jid);
    }
    const { version } = user;
    const { epoch } = this.#parts.server;
    for (const step of this.#differences(user)) {
      const failed = await step();
      // Another move, or a server that has forgotten everything: the rest is for another state of things, and the next turn is due.
      if (user.version !== version || this.#parts.server.epoch !== epoch) return null;
      if (failed?.kind === 'refused' && user.moving) return this.#fail(user, failed.text || failed.condition);
      if (failed) return failed;
    }
    return this.#finish(user, version);
  }

  /** What is to be done, in order: copies begin before a session ends, and end after one has begun. */
  #differences(user: User): (() => Promise<Failed | null>)[] {
    const place = this.#place;
    const { session, shown, observe, lock } = this.#target(user);
    const steps = [];
    if (!lock) steps.push(() => place.unlock(user));
    if (observe) steps.push(() => place.observe(user));
    const isOver = session === 'none' || user.attached?.pending === 'detach';
    // An attach without an answer: the name of the session has to be learned before it can be ended.
    if (isOver && user.attached?.pending === 'attach') steps.push(() => place.show(user, null));
    if (user.attached && (isOver || (session === 'silent' && user.attached.shown !== null)))
      steps.push(() => this.#leave(user));
    if (session !== 'none') steps.push(() => place.show(user, shown));
    if (!observe) steps.push(() => place.unobserve(user));
    if (lock) steps.push(() => place.lock(user));
    return steps;
  }

  /** The table, with `unchanged` as what is there. */
  #target(user: User): { session: 'none' | 'silent' | 'shown'; shown: Shown | null; observe: boolean; lock: boolean } {
    const { devices, deliveries } = this.#parts;
    const { phase, attached, observed, legacyLogin = this.#parts.legacyLogin } = user;
    const situation = { phase, hasToSend: deliveries.hasToSend(user.jid), legacyLogin };
    let target = wanted({ ...situation, app: devices.statusOf(user.jid) });
    const isNothing = !attached || (attached.shown === null && (phase === 'mqtt' || !observed));
    // Nothing is there that could be left as it is.
    if (target.session === 'unchanged' && isNothing) target = wanted({ ...situation, app: 'away' });
    const { session, lock } = target;
    const observe = target.observe === 'unchanged' ? observed !== undefined : target.observe;
    if (session === 'none' || session === 'silent') return { session, shown: null, observe, lock };
    if (session === 'here') return { session: 'shown', shown: devices.shown(user.jid), observe, lock };
    if (session === 'away') return { session: 'shown', shown: shownAway, observe, lock };
    const shown = attached?.shown === undefined ? shownAway : attached.shown;
    return { session: shown ? 'shown' : 'silent', shown, observe, lock };
  }

  /**
   * The session ends: in `dual`, because the app has gone; what it has not acknowledged the legacy side has to have, too. A move
   * from `mqtt` returns nothing.
   */
  async #leave(user: User): Promise<Failed | null> {
    const { devices, deliveries } = this.#parts;
    const isHere = devices.statusOf(user.jid) === 'here';
    const keeps = user.phase !== 'dual' || isHere || user.moving?.from === 'mqtt';
    const failed = await leave(user, keeps ? null : 'copied', this.#parts);
    if (!failed) deliveries.left(user.jid);
    return failed;
  }

  /** The server is as the phase wants it: the move is done. */
  async #finish(user: User, version: number): Promise<null> {
    const { users, clock, log } = this.#parts;
    if (!user.moving) return null;
    const { from, hasFailed } = user.moving;
    const { phase } = user;
    const note = hasFailed ? undefined : { who: 'crossfade', what: 'move.done', detail: `${from} → ${phase}` };
    const isDone = (now: User) => (now.version === version ? { moving: undefined } : null);
    if ((await users.change(user, isDone, clock.now(), note)) && !hasFailed)
      log.info({ event: 'user.moved', user: user.jid, from, phase });
    return null;
  }

  /**
   * The server will never do it: the phase is as before the move. What the apps were promised meanwhile ends on the way back, which
   * leads to `legacy` where not even copies can be had.
   */
  async #fail(user: User, reason: string): Promise<null> {
    const { users, clock, log } = this.#parts;
    const { moving, version } = user;
    if (!moving) return null;
    const phase = isOpenToApps(user.phase) ? moving.from : 'legacy';
    const next: User['moving'] = isOpenToApps(phase) ? undefined : { from: user.phase, step: 'drain', hasFailed: true };
    const back = (now: User) => (now.version === version ? { phase, moving: next } : null);
    const note = { who: 'crossfade', what: 'move.failed', reason };
    if (!(await users.change(user, back, clock.now(), note))) return null;
    log.warn({ event: 'move.failed', user: user.jid, reason });
    if (next) this.poke(user);
    return null;
  }

  #again(user: User, left: Failed | Pending): void {
    const { clock, log, server } = this.#parts;
    if (left.kind === 'lost' && !server.up) {
      this.#line.add(user);
      return;
    }
    const isPending = left.kind === 'pending';
    const attempt = this.#setbacks.get(user)?.attempt ?? 0;
    const firstMs = isPending ? firstLookMs : firstRetryMs;
    const delayMs = Math.min(lastRetryMs, firstMs * 2 ** attempt) * (0.5 + clock.random() / 2);
    const { condition, text } = reasonOf(left);
    const failedAt = clock.now();
    this.#setbacks.set(user, { attempt: attempt + 1, condition, text, failedAt, retryAt: failedAt + delayMs });
    if (!isPending || attempt >= usualLooks)
      log.warn({ event: 'reconcile.retry', user: user.jid, delayMs: Math.round(delayMs), condition, text });
    // One for each user: whatever asks for a turn sooner, and in vain, adds none.
    this.#retries.set(
      user,
      clock.after(delayMs, () => this.poke(user)),
    );
  }
}

function hasGotOn(left: Failed | Pending): boolean {
  return left.kind === 'pending' && left.gotOn;
}

function reasonOf(left: Failed | Pending): { condition: string; text: string } {
  if (left.kind === 'lost') return { condition: 'lost', text: 'the link broke' };
  return left.kind === 'pending' ? { condition: 'resource-constraint', text: left.text } : left;
}

/** Of users that were never moved the server keeps nothing. */
function mayDiffer({ own, phase, moving, attached, observed, locked }: User): boolean {
  return !own && (phase !== 'legacy' || [moving, attached, observed, locked].some((had) => had !== undefined));
}
