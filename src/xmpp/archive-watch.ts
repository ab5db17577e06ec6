// What stands for `observe` where the server has no module of ours: the archives of these users, visited in turn, for comparing only.

import type { Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Wish } from './archive-query.ts';
import { ArchiveVisit, type Visited } from './archive-visit.ts';
import type { Failure, Logins } from './client-logins.ts';
import type { ClientStreamOptions } from './client-stream.ts';
import { prepareBare } from './jid.ts';
import { Remembered } from './remembered.ts';
import type { SendResult, StanzaHandler } from './session.ts';

export interface ArchiveWatchOptions extends Omit<ClientStreamOptions, 'login'> {
  /** From one visit to the next. */
  everyMs: number;
  logins: Logins;
  log: Log;
  onStanza: StanzaHandler;
  /** This user's archive can be visited no more: `observe` tries again, and goes on where this has ended. */
  onLost: (user: string) => void;
}

interface Watched {
  next: Wish;
  /** Of the next visit; absent while there is one. */
  timer?: Timer;
  visit?: ArchiveVisit;
}

export class ArchiveWatch {
  readonly #options: ArchiveWatchOptions;
  readonly #watched = new Map<string, Watched>();
  /** Up to where it was read, of users whose archive could not be visited. */
  readonly #places: Remembered<Wish>;

  constructor(options: ArchiveWatchOptions) {
    this.#options = options;
    this.#places = new Remembered(options.clock);
  }

  /** The first visit finds out whether there can be others, and where they begin. `user`: bare JID. */
  async observe(user: string): Promise<SendResult> {
    if (this.#watched.has(user)) return { kind: 'processed' };
    const watched: Watched = { next: this.#places.get(user) ?? 'end' };
    this.#watched.set(user, watched);
    const failure = await this.#visit(user, watched);
    if (!failure) return { kind: 'processed' };
    this.#forget(user, watched);
    return failure;
  }

  unobserve(user: string): SendResult {
    const watched = this.#watched.get(user);
    if (watched) this.#forget(user, watched);
    this.#places.delete(user);
    return { kind: 'processed' };
  }

  stop(): void {
    for (const [user, watched] of this.#watched) this.#forget(user, watched);
  }

  #forget(user: string, watched: Watched): void {
    if (this.#watched.get(user) !== watched) return;
    this.#watched.delete(user);
    if (watched.next !== 'end') this.#places.set(user, watched.next);
    watched.timer?.cancel();
    watched.visit?.cancel();
  }

  /** Null: it was read, and will be again. */
  async #visit(user: string, watched: Watched): Promise<Failure | null> {
    const { logins, log, target, limits, clock } = this.#options;
    const admitted = await logins.admit(user);
    if (admitted.kind !== 'admitted') return admitted;
    if (this.#watched.get(user) !== watched) return { kind: 'lost' };
    watched.visit = new ArchiveVisit({
      ...{ target, limits, clock, user, login: admitted.login, wish: watched.next },
      onMessage: (message) => this.#came(user, message),
      onSkipped: () => log.warn({ event: 'shadow.skipped', user }, 'a message in the archive is over a limit'),
    });
    const visited = await watched.visit.result;
    watched.visit = undefined;
    if (this.#watched.get(user) !== watched) return { kind: 'lost' };
    return this.#visited(user, watched, visited);
  }

  #visited(user: string, watched: Watched, visited: Visited): Failure | null {
    const { logins, log } = this.#options;
    if (visited.kind === 'closed') return logins.failed(user, visited.closed);
    logins.passed(user);
    if (visited.kind === 'no-archive') {
      const { condition, isRefusal } = visited;
      const text = `phase shadow needs the archive of ${user} (XEP-0313), and the server says: ${condition}`;
      return { kind: isRefusal ? 'refused' : 'wait', condition, text };
    }
    if (visited.kind === 'unknown') log.warn({ event: 'shadow.missed', user }, 'the archive has forgotten the place');
    watched.next = visited.kind === 'read' ? visited.next : 'end';
    this.#visitLater(user, watched);
    return null;
  }

  /** Not all at the same time. */
  #visitLater(user: string, watched: Watched): void {
    const { clock, everyMs, onLost } = this.#options;
    watched.timer = clock.after(everyMs * (0.75 + clock.random() / 2), async () => {
      const failure = await this.#visit(user, watched);
      if (!failure || this.#watched.get(user) !== watched) return;
      this.#forget(user, watched);
      onLost(user);
    });
  }

  /** As `observe` tells it: messages between people, and which way each went. */
  #came(user: string, message: Parameters<StanzaHandler>[0]): void {
    const { from = user, type } = message.attrs;
    if (type === 'groupchat') return;
    const dir = prepareBare(from) === user ? 'out' : 'in';
    this.#options.onStanza(message, { user, dir, isLate: true, seen: true }, () => {});
  }
}
