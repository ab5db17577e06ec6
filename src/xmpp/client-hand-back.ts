// Handing back through client sessions: each is unavailable meanwhile, so that what it sends to the own account goes to the user's
// other resources, or to offline storage; after that it is as it was.

import type { Clock, Timer } from '../clock.ts';
import { isRefusal } from '../refusal.ts';
import type { Failure } from './client-logins.ts';
import type { ClientSession } from './client-session.ts';
import type { GiveBackRequest } from './link.ts';
import { cover } from './returned.ts';
import type { SendResult } from './session.ts';

/** A session, and how it was shown last, to be shown so again; null: it has no presence. */
export interface Shown {
  session: ClientSession;
  presence: string | null;
}

export interface HandBackParts {
  clock: Clock;
  /** The user's session that stands. */
  held: (user: string) => Shown | undefined;
  /** One just for handing back. */
  open: (user: string) => Promise<Shown | Failure | { kind: 'gone' }>;
  /** Runs when the user has nothing else to do. */
  inTurn: (user: string, act: () => Promise<void>) => Promise<void>;
}

/** After the last stanza that was handed back. */
const hidingMs = 2_000;
/** At a stop, for what was written to reach the server: its answer may not come, for reading has ended. */
const stopMs = 200;
const unavailable = '<presence type="unavailable"/>';
/** By its app, whose word changes how it is shown, in the moment in which it went. */
const shownMeanwhile: SendResult = {
  kind: 'wait',
  condition: 'resource-constraint',
  text: 'the session of the user was just being shown; try again',
};

export class HandBack {
  readonly #parts: HandBackParts;
  /** Until it appears again. */
  readonly #timers = new Map<string, Timer>();
  /** Made for handing back only. */
  readonly #passing = new Set<ClientSession>();
  /** To end: once shown, they would fetch from offline storage what has just found room there. */
  readonly #ending = new Set<ClientSession>();
  #isStopped = false;

  constructor(parts: HandBackParts) {
    this.#parts = parts;
  }

  async giveBack(request: GiveBackRequest): Promise<SendResult> {
    const covered = cover(request);
    if (isRefusal(covered)) return { kind: 'refused', condition: covered.condition, text: covered.text };
    const { to: user, key } = request;
    const { held, open, clock, inTurn } = this.#parts;
    let shown = held(user);
    if (!shown) {
      const opened = await open(user);
      if ('kind' in opened) return opened.kind === 'gone' ? { kind: 'lost' } : opened;
      this.#passing.add(opened.session);
      shown = opened;
    }
    const { session } = shown;
    const mustHide = session.isAvailable || session.mayBeSeen;
    if (mustHide && !this.#isStopped && !(await session.show(unavailable))) return { kind: 'lost' };
    // It shows itself, or has: it would take what is handed back.
    if (this.#isStopped) return { kind: 'lost' };
    if (session.isAvailable) return shownMeanwhile;
    this.#wait(user);
    if (request.ends) this.#ending.add(session);
    const result = await session.send(covered, key, true);
    this.#wait(
      user,
      clock.after(hidingMs, () => void inTurn(user, () => this.#appear(user, session))),
    );
    return result;
  }

  /** The session is wanted for more than handing back, and is shown, or ended, by whoever wants it; or its connection has ended. */
  taken(user: string, session: ClientSession): void {
    this.#wait(user);
    this.#passing.delete(session);
    this.#ending.delete(session);
  }

  /**
   * Who is hidden for a while shows itself before the gateway goes, and not in its turn: a hand-back under way may get no answer any
   * more. The next process knows who is hidden from what is on disk.
   */
  async stop(all: Iterable<Shown>): Promise<void> {
    const { clock } = this.#parts;
    this.#isStopped = true;
    for (const user of this.#timers.keys()) this.#wait(user);
    const appearing = [...all].flatMap(({ session, presence }) =>
      session.stands && !session.isAvailable && presence !== null && !this.#ending.has(session)
        ? [session.show(presence)]
        : [],
    );
    if (appearing.length === 0) return;
    await Promise.race([Promise.all(appearing), new Promise<void>((resolve) => clock.after(stopMs, resolve))]);
  }

  /** Nothing more has been handed back: as it was. */
  async #appear(user: string, session: ClientSession): Promise<void> {
    const shown = this.#parts.held(user);
    if (shown?.session !== session || session.isAvailable) return;
    this.#timers.delete(user);
    if (this.#passing.has(session)) await session.leave();
    else if (shown.presence !== null && !this.#ending.has(session)) await session.show(shown.presence);
  }

  #wait(user: string, timer?: Timer): void {
    this.#timers.get(user)?.cancel();
    if (timer) this.#timers.set(user, timer);
    else this.#timers.delete(user);
  }
}
