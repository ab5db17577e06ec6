// Everything back to the legacy side, of every user: what there is to do, the moves to `legacy`, and what is left at the end.

import type { Clock } from '../clock.ts';
import type { Ledger, Remainder } from '../ledger/ledger.ts';
import { isRefusal } from '../refusal.ts';
import type { Moves } from './moves.ts';
import type { Phase } from './phase.ts';
import type { Work } from './reconcile.ts';
import type { User, Users } from './users.ts';

/** One user: where it stands, and what is in the ledger for it. */
export interface Stand extends Remainder {
  phase: Phase;
  isMoving: boolean;
  /** On the component's own domain: nobody to hand anything back to. */
  isOwn: boolean;
}

export interface Progress {
  /** Users whose way back is not done. */
  users: number;
  returned: number;
  sent: number;
}

/** A user that could not be brought back, or has something left, and why. */
export interface Left extends Remainder {
  phase: Phase;
  why?: string;
}

export interface ReturnAllParts {
  users: Users;
  moves: Moves;
  ledger: Ledger;
  clock: Clock;
  workOn: (user: User) => Work;
}

const pageSize = 100_000;
const pollMs = 100;
const movesAtOnce = 500;
const none = { toReturn: 0, toDiscard: 0, toSend: 0, dead: 0 };

/** Every user that is not wholly in `legacy`, or has anything open in the ledger; by JID. */
export async function standOfAll({ users, ledger }: Pick<ReturnAllParts, 'users' | 'ledger'>): Promise<Stand[]> {
  const found = new Map<string, Remainder>();
  for (let after = ''; ; ) {
    const page = await ledger.do('remainders', { after, limit: pageSize });
    for (const row of page) found.set(row.user, row);
    if (page.length < pageSize) break;
    after = page.at(-1)!.user;
  }
  for (const { jid, phase, moving, own } of users.all())
    if (!own && (phase !== 'legacy' || moving) && !found.has(jid)) found.set(jid, { user: jid, ...none });
  return [...found.values()]
    .sort((one, other) => (one.user < other.user ? -1 : 1))
    .map((row) => {
      const user = users.get(row.user);
      const { phase = 'legacy', moving, own } = user ?? {};
      return { ...row, phase, isMoving: moving !== undefined, isOwn: own === true };
    });
}

export class ReturnAll {
  readonly #parts: ReturnAllParts;
  readonly #refused = new Map<string, string>();
  #before = { returned: 0, sent: 0 };

  constructor(parts: ReturnAllParts) {
    this.#parts = parts;
  }

  /** Asks for every move; one that runs already goes on. */
  async begin({ who, reason }: { who: string; reason: string }): Promise<void> {
    const { users, moves } = this.#parts;
    this.#before = await this.#counted();
    const move = async ({ jid }: User) => {
      const answer = await moves.request({ jid, phase: 'legacy', reason, who });
      if (isRefusal(answer)) this.#refused.set(jid, answer.text);
    };
    const moved = [...users.all()].filter(({ own, phase, moving }) => !own && (phase !== 'legacy' || moving));
    // Together: one after the other each would wait for a commit of its own.
    for (let at = 0; at < moved.length; at += movesAtOnce)
      await Promise.all(moved.slice(at, at + movesAtOnce).map(move));
  }

  /**
   * Resolves when all is done that can be: nothing is under way, or nothing has got on for `patienceMs`. `onProgress` is told
   * now and then; `isOver` ends it sooner.
   */
  async finish(patienceMs: number, onProgress: (progress: Progress) => void, isOver: () => boolean): Promise<void> {
    const { clock } = this.#parts;
    let last = '';
    for (let gotOnAt = clock.now(); !isOver(); ) {
      const progress = await this.progress();
      onProgress(progress);
      if (progress.users === 0) return;
      const text = JSON.stringify([progress, this.#steps()]);
      if (text !== last) gotOnAt = clock.now();
      else if (clock.now() - gotOnAt >= patienceMs) return;
      last = text;
      await new Promise<void>((resolve) => clock.after(pollMs, resolve));
    }
  }

  async progress(): Promise<Progress> {
    const { users, ledger } = this.#parts;
    const { returned, sent } = await this.#counted();
    let unfinished = [...this.#unfinished()].length;
    for (const { jid, own } of users.all())
      if (own && (await ledger.do('toXmppWaiting', { user: jid })) > 0) unfinished++;
    return { users: unfinished, returned: returned - this.#before.returned, sent: sent - this.#before.sent };
  }

  /** What is still there, with the reason where there is one. */
  async left(): Promise<Left[]> {
    const { users } = this.#parts;
    const rows: Left[] = [];
    for (const { isMoving, isOwn, phase, ...row } of await standOfAll(this.#parts)) {
      const user = users.get(row.user);
      const refused = this.#refused.get(row.user);
      const why = refused ?? (user && isMoving ? this.#whyNot(user) : isOwn ? 'has no legacy account' : undefined);
      rows.push({ ...row, phase, ...(why !== undefined && { why }) });
    }
    return rows;
  }

  *#unfinished(): Iterable<User> {
    for (const user of this.#parts.users.all()) if (user.moving && !this.#refused.has(user.jid)) yield user;
  }

  /** How many users stand at each step. */
  #steps(): Record<string, number> {
    const steps: Record<string, number> = {};
    for (const { moving } of this.#unfinished()) steps[moving!.step] = (steps[moving!.step] ?? 0) + 1;
    return steps;
  }

  #whyNot(user: User): string {
    const work = this.#parts.workOn(user);
    const setback = 'setback' in work ? work.setback : undefined;
    const reason = setback ? `: ${setback.text || setback.condition}` : work.kind === 'link-down' ? ': no link' : '';
    return `stopped at the step ${user.moving?.step}${reason}`;
  }

  async #counted(): Promise<{ returned: number; sent: number }> {
    const { toMqtt, toXmpp } = await this.#parts.ledger.do('counts', {});
    return { returned: toMqtt.returned, sent: toXmpp.settled };
  }
}
