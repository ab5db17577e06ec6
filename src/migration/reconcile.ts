// The one loop that brings the legacy server to what is wanted: for moves, restarts, lost sessions and apps that come and go.

import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Devices } from './devices.ts';
import { rollBack } from './rollback.ts';
import type { Failed, LegacyServer } from './server.ts';
import { isSameShown, type Shown, shownAway } from './shown.ts';
import { isReturning, type User, type Users } from './users.ts';
import { wanted } from './wanted.ts';

/** So many users at once: more would make legacy clients wait (FACTS: the presence storm of a mass attach). */
const concurrent = 8;
const firstRetryMs = 1_000;
const lastRetryMs = 30_000;

/** What reconcile needs to know of the deliveries under way. */
export interface Deliveries {
  /** Resolves once nothing of the user's is between us and the broker. */
  published(user: string): Promise<void>;
  /** The user's session can take stanzas now. */
  sessionUp(user: string): void;
  /** The user's apps are published to again: what was returned or discarded meanwhile is not to be sent. */
  reopened(user: string): void;
  /** The user's waiting entries toXmpp can never be sent: ends them, and tells the apps. */
  hopeless(user: string, condition: string, text: string): Promise<void>;
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
  clock: Clock;
  log: Log;
}

export class Reconcile {
  readonly #parts: Parts;
  readonly #waiting = new Set<User>();
  readonly #busy = new Set<User>();
  readonly #setbacks = new Map<User, Setback>();
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Something about this user may have changed; null: about all. */
  poke(user: User | null): void {
    if (user) this.#waiting.add(user);
    else for (const each of this.#parts.users.all()) if (mayDiffer(each)) this.#waiting.add(each);
    this.#run();
  }

  workOn(user: User): Work {
    const setback = this.#setbacks.get(user);
    if (this.#busy.has(user)) return { kind: 'running', setback };
    if (this.#waiting.has(user)) return { kind: this.#parts.server.up ? 'in-line' : 'link-down' };
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
  }

  #run(): void {
    for (const user of this.#waiting) {
      if (this.#stopped || !this.#parts.server.up || this.#busy.size >= concurrent) return;
      if (this.#busy.has(user)) continue;
      this.#waiting.delete(user);
      this.#busy.add(user);
      void this.#turn(user);
    }
  }

  async #turn(user: User): Promise<void> {
    let failed: Failed | null;
    try {
      failed = await this.#bring(user);
    } catch (error) {
      failed = { kind: 'wait', condition: 'internal-server-error', text: String(error) };
    }
    this.#busy.delete(user);
    if (this.#stopped) return;
    if (failed) this.#again(user, failed);
    else this.#setbacks.delete(user);
    this.#run();
  }

  /** Brings one user one difference further; answers with what failed, or null. */
  async #bring(user: User): Promise<Failed | null> {
    const { devices, server } = this.#parts;
    if (user.own) return null;
    if (user.phase === 'legacy' || isReturning(user)) {
      const failed = user.moving ? await rollBack(user, this.#parts, (shown) => this.#attach(user, shown)) : null;
      if (failed || user.phase === 'legacy') return failed;
      this.#parts.deliveries.reopened(user.jid);
    }
    const app = devices.statusOf(user.jid);
    const target = wanted({ phase: user.phase, app, hasToSend: false, legacyLogin: 'allow' }).session;
    if (target === 'none' || target === 'silent') return null;
    let shown = target === 'here' ? devices.shown(user.jid) : shownAway;
    if (target === 'unchanged' && !user.moving && user.attached) shown = user.attached.shown ?? shownAway;
    if (user.attached?.epoch !== server.epoch) return this.#attach(user, shown);
    if (!isSameShown(user.attached.shown, shown)) return this.#show(user, user.attached.jid, shown);
    return this.#finish(user);
  }

  async #attach(user: User, shown: Shown | null): Promise<Failed | null> {
    const { server, users, clock, deliveries, log } = this.#parts;
    const epoch = server.epoch;
    // The row may still name the session that went in this epoch: after a crash it would be taken for the new one.
    if (user.attached?.epoch === '') await users.change(user, ({ attached }) => ({ attached }), clock.now());
    const answer = await server.attach(user.jid, shown);
    if (answer.kind === 'refused' && user.moving && user.phase !== 'legacy')
      return this.#fail(user, answer.text || answer.condition);
    if (answer.kind !== 'attached') return answer;
    await users.change(user, () => ({ attached: { jid: answer.jid, epoch, shown } }), clock.now());
    log.info({ event: 'user.attached', user: user.jid, jid: answer.jid, shown });
    deliveries.sessionUp(user.jid);
    return this.#finish(user);
  }

  async #show(user: User, jid: string, shown: Shown): Promise<Failed | null> {
    const { server, users, clock } = this.#parts;
    const write = (shown?: Shown) =>
      users.change(user, (now) => (now.attached ? { attached: { ...now.attached, shown } } : null), clock.now());
    await write(undefined);
    const answer = await server.show(jid, shown);
    if (answer.kind !== 'processed') {
      if (answer.kind !== 'lost' && answer.condition === 'item-not-found') users.sessionGone(user);
      return answer;
    }
    await write(shown);
    return this.#finish(user);
  }

  /** A move towards the apps is done once the session stands. */
  async #finish(user: User): Promise<null> {
    const { users, clock, log } = this.#parts;
    if (!user.moving || user.phase === 'legacy') return null;
    const from = user.moving.from;
    const done = await users.change(
      user,
      (now) => (now.phase === 'legacy' ? null : { moving: undefined }),
      clock.now(),
      {
        who: 'crossfade',
        what: 'move.done',
        detail: `${from} → ${user.phase}`,
      },
    );
    if (done) log.info({ event: 'user.moved', user: user.jid, from, phase: user.phase });
    return null;
  }

  /** The server will never give this user a session: the phase is as before the move. */
  async #fail(user: User, reason: string): Promise<null> {
    const { users, clock, log, deliveries } = this.#parts;
    const moving = user.moving;
    if (!moving) return null;
    const back = (now: User) =>
      now.moving === moving ? { phase: moving.from, moving: undefined, attached: undefined } : null;
    if (!(await users.change(user, back, clock.now(), { who: 'crossfade', what: 'move.failed', reason }))) return null;
    log.warn({ event: 'move.failed', user: user.jid, reason });
    await deliveries.hopeless(user.jid, 'item-not-found', reason);
    return null;
  }

  #again(user: User, failed: Failed): void {
    const { clock, log, server } = this.#parts;
    if (failed.kind === 'lost' && !server.up) {
      this.#waiting.add(user);
      return;
    }
    const attempt = this.#setbacks.get(user)?.attempt ?? 0;
    const delayMs = Math.min(lastRetryMs, firstRetryMs * 2 ** attempt) * (0.5 + clock.random() / 2);
    const { condition, text } = failed.kind === 'lost' ? { condition: 'lost', text: 'the link broke' } : failed;
    const failedAt = clock.now();
    this.#setbacks.set(user, { attempt: attempt + 1, condition, text, failedAt, retryAt: failedAt + delayMs });
    log.warn({ event: 'reconcile.retry', user: user.jid, delayMs: Math.round(delayMs), ...failed });
    clock.after(delayMs, () => this.poke(user));
  }
}

/** Only users that are moved or moving can differ from what is wanted. */
function mayDiffer(user: User): boolean {
  return !user.own && (user.phase !== 'legacy' || user.moving !== undefined);
}
