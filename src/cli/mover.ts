// Moves from the command line: one user asked for, waited for, and told how it ended; a gateway that restarts meanwhile is waited for.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, Refused, Unreachable } from './client.ts';
import { type UserSummary, userPath } from './user-view.ts';

/** Most moves take milliseconds; one that does not is asked about less and less often. */
const firstPollMs = 20;
const pollMs = 200;
const restartMs = 30_000;

export interface Move {
  phase: string;
  reason: string;
  /** Not at all: 0. */
  waitMs: number;
}

/** `moving`: not waited for any longer, and it goes on. */
export type Ending =
  | { kind: 'moved' | 'already' | 'moving'; user: UserSummary }
  | { kind: 'failed'; user: UserSummary; text: string };

export class Mover {
  readonly #client: Client;
  readonly #move: Move;
  #hasAnswered = false;

  constructor(client: Client, move: Move) {
    this.#client = client;
    this.#move = move;
  }

  /** The user as it stands. Throws a CliFault where the move would be refused. */
  try(jid: string): Promise<UserSummary> {
    const { phase, reason } = this.#move;
    return this.#patiently(
      async () => (await this.#client.put<UserSummary>(at(jid), { phase, reason, dryRun: true })).body,
    );
  }

  /** Throws a CliFault where the move is refused. */
  async move(jid: string, onStep: (user: UserSummary) => void): Promise<Ending> {
    const { phase, reason, waitMs } = this.#move;
    const before = await this.#find(jid);
    let user = await this.#patiently(
      async () => (await this.#client.put<UserSummary>(at(jid), { phase, reason })).body,
    );
    if (!user.moving && before?.version === user.version) return { kind: 'already', user };
    // One that the server refuses goes the way back first.
    const isUnderWay = () => user.moving && (user.phase === phase || user.moving.from === phase);
    const until = Date.now() + waitMs;
    for (let delayMs = firstPollMs; isUnderWay() && Date.now() < until; delayMs *= 2) {
      onStep(user);
      await sleep(Math.min(pollMs, delayMs));
      user = (await this.#find(jid)) ?? user;
    }
    if (user.phase !== phase) return { kind: 'failed', user, text: await this.#whyNot(user) };
    return { kind: user.moving ? 'moving' : 'moved', user };
  }

  /** Null where it is not known, or no JID: the PUT says so. */
  #find(jid: string): Promise<UserSummary | null> {
    return this.#patiently(async () => {
      try {
        return await this.#client.get<UserSummary>(at(jid));
      } catch (error) {
        if (error instanceof Refused) return null;
        throw error;
      }
    });
  }

  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (let since = 0; ; ) {
      try {
        const answer = await ask();
        this.#hasAnswered = true;
        return answer;
      } catch (error) {
        if (!(error instanceof Unreachable)) this.#hasAnswered = true;
        else if (this.#hasAnswered) {
          since ||= Date.now();
          if (Date.now() - since < restartMs) {
            await sleep(pollMs);
            continue;
          }
        }
        throw error;
      }
    }
  }

  /** The move is gone and the phase is not the one asked for. */
  async #whyNot({ jid, phase, moving }: UserSummary): Promise<string> {
    if (moving) return `another move has taken over: ${jid} moves to ${phase}`;
    const path = `/api/v1/audit?${new URLSearchParams({ user: jid, limit: '10' })}`;
    const { items } = await this.#patiently(() => this.#client.get<{ items: AuditItem[] }>(path));
    const last = items.find(({ what }) => what === 'move.failed' || what === 'move.done');
    if (last?.what !== 'move.failed') return `another move has taken over: ${jid} is in phase ${phase}`;
    const reason = last.reason ?? 'the audit has no reason';
    return `${jid} could not be moved to ${this.#move.phase}: ${reason}. The phase is ${phase}, as before.`;
  }
}

interface AuditItem {
  what: string;
  reason?: string;
}

const at = (jid: string) => `${userPath(jid)}/phase`;
