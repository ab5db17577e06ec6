// Moves: an operator's word that a user shall stand elsewhere. Checks it, writes it down, and leaves the doing to reconcile.

import type { Clock } from '../clock.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { available, isPhase, type Phase } from './phase.ts';
import type { Change, User, Users } from './users.ts';

export interface MoveRequest {
  /** Prepared bare JID. */
  jid: string;
  phase: string;
  reason?: string;
  /** The name behind the admin token. */
  who: string;
}

export class Moves {
  readonly #users: Users;
  readonly #clock: Clock;
  readonly #domain: string;
  readonly #poke: (user: User) => void;

  /** `domain`: the users' domain; `poke`: tells reconcile that there is work. */
  constructor(parts: { users: Users; clock: Clock; domain: string; poke: (user: User) => void }) {
    this.#users = parts.users;
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

  #refusal(jid: string, phase: string): Refusal | null {
    if (!isPhase(phase))
      return refuse('bad-request', `there is no phase "${phase}"; choose one of ${available.join(', ')}`);
    if (!available.includes(phase))
      return refuse('not-available', `phase "${phase}" is not available yet; choose one of ${available.join(', ')}`);
    const user = this.#users.get(jid);
    if (!jid.endsWith(`@${this.#domain}`) && !user?.own)
      return refuse('item-not-found', `${jid} is not on ${this.#domain}`);
    if (user?.own)
      return refuse('not-acceptable', `${jid} lives on the gateway's own domain and is always in phase mqtt`);
    return null;
  }
}

/** The change that starts a move, or null where the user stands there already or is on the way. */
function begin(user: User, phase: Phase): Change | null {
  if (user.version > 0 && user.phase === phase) return null;
  if (user.phase === phase) return { phase };
  const from = user.phase;
  const hasReturned = user.moving?.hasReturned;
  if (phase === 'legacy') return { phase, moving: { from, step: 'drain', hasReturned } };
  return { phase, moving: { from, step: hasReturned && user.moving ? user.moving.step : 'arrange', hasReturned } };
}
