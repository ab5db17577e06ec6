// Moves: an operator's word that a user shall stand elsewhere. Checks it, writes it down, and leaves the doing to reconcile.

import type { Clock } from '../clock.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { isOpenToApps, isPhase, type Phase, phases } from './phase.ts';
import type { LegacyServer } from './server.ts';
import type { Change, User, Users } from './users.ts';
import { type LegacyLogin, legacyLogins } from './wanted.ts';

export interface MoveRequest {
  /** Prepared bare JID. */
  jid: string;
  phase: string;
  reason?: string;
  /** The name behind the admin token. */
  who: string;
}

export interface SteerRequest extends Pick<MoveRequest, 'jid' | 'reason' | 'who'> {
  /** For this user; null: what the configuration says. */
  legacyLogin: string | null;
}

export class Moves {
  readonly #users: Users;
  readonly #lacks: LegacyServer['lacks'];
  readonly #clock: Clock;
  readonly #domain: string;
  readonly #poke: (user: User) => void;

  /** `domain`: the users' domain; `poke`: tells reconcile that there is work. */
  constructor(parts: {
    users: Users;
    server: Pick<LegacyServer, 'lacks'>;
    clock: Clock;
    domain: string;
    poke: (user: User) => void;
  }) {
    this.#users = parts.users;
    this.#lacks = parts.server.lacks;
    this.#clock = parts.clock;
    this.#domain = parts.domain;
    this.#poke = parts.poke;
  }

  /** The user as it stands, were this move asked for; or why it would be refused. Changes nothing and makes nobody known. */
  preview({ jid, phase }: MoveRequest): User | Refusal {
    const refusal = this.#refusal(jid, phase);
    return (
      refusal ?? this.#users.get(jid) ?? { jid, phase: 'legacy', version: 0, acks: false, changedAt: 0, arrivals: 0 }
    );
  }

  /**
   * From the commit of this row the phase is the target, and what is accepted and published follows it; `moving` stands
   * beside it until the hand-over is done. The same target again changes nothing and answers with the move that runs.
   */
  async request({ jid, phase, reason, who }: MoveRequest): Promise<User | Refusal> {
    const refusal = this.#refusal(jid, phase);
    if (refusal) return refusal;
    const user = this.#users.get(jid) ?? this.#users.add(jid, this.#clock.now());
    const note = { who, what: 'user.move', reason, detail: phase };
    const changed = await this.#users.change(user, (now) => begin(now, phase as Phase), this.#clock.now(), note);
    if (changed) this.#poke(user);
    return user;
  }

  /** What becomes of this user's legacy clients in phase `mqtt`; counts at once, and a notice that was given may be given again. */
  async steer({ jid, legacyLogin, reason, who }: SteerRequest): Promise<User | Refusal> {
    const isKnown = legacyLogin === null || (legacyLogins as readonly string[]).includes(legacyLogin);
    const refusal = isKnown
      ? this.#refusal(jid, 'mqtt')
      : refuse('bad-request', `there is no legacy login "${legacyLogin}"; choose one of ${legacyLogins.join(', ')}`);
    if (refusal) return refusal;
    if (legacyLogin === 'deny' && this.#lacks.has('lock'))
      return refuse('feature-not-implemented', 'only the server module can refuse logins; use allow or notify');
    const user = this.#users.get(jid) ?? this.#users.add(jid, this.#clock.now());
    const next = (legacyLogin ?? undefined) as LegacyLogin | undefined;
    const decide = (now: User) => (now.legacyLogin === next ? null : { legacyLogin: next, notifiedAt: undefined });
    const note = { who, what: 'user.legacy-login', reason, detail: legacyLogin ?? 'default' };
    if (await this.#users.change(user, decide, this.#clock.now(), note)) this.#poke(user);
    return user;
  }

  /** The server says so: the user goes back to `legacy`, where what nobody can have any more is ended and counted. */
  async accountDeleted(user: User): Promise<void> {
    const note = { who: 'crossfade', what: 'user.move', reason: 'the account was deleted', detail: 'legacy' };
    const changed = await this.#users.change(user, (now) => begin(now, 'legacy'), this.#clock.now(), note);
    if (changed) this.#poke(user);
  }

  #refusal(jid: string, phase: string): Refusal | null {
    if (!isPhase(phase))
      return refuse('bad-request', `there is no phase "${phase}"; choose one of ${phases.join(', ')}`);
    const user = this.#users.get(jid);
    if (!jid.endsWith(`@${this.#domain}`) && !user?.own)
      return refuse('item-not-found', `${jid} is not on ${this.#domain}`);
    if (user?.own)
      return refuse('not-acceptable', `${jid} lives on the gateway's own domain and is always in phase mqtt`);
    return null;
  }
}

/** The change that starts a move, or null where the user stands there already or is on the way. */
function begin({ version, phase: from, moving }: User, phase: Phase): Change | null {
  if (from === phase) return version > 0 ? null : { phase };
  // It is carried through before this move begins.
  if (moving?.hasReturned) return { phase, moving: { from, step: moving.step, hasReturned: true } };
  if (isOpenToApps(phase)) {
    // One that never got there: should this one fail, too, the user is where it was before both.
    return { phase, moving: { from: moving?.step === 'arrange' ? moving.from : from, step: 'arrange' } };
  }
  const hasNothing = !isOpenToApps(from) && moving === undefined;
  return { phase, moving: { from, step: hasNothing ? 'arrange' : 'drain' } };
}
