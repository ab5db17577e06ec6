// What the legacy server keeps for one user (a session, copies, a lock): asked for, and written down as it then is.

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Deliveries } from './reconcile.ts';
import type { Failed, LegacyServer } from './server.ts';
import { isSameShown, nameOfShown, type Shown } from './shown.ts';
import type { User, Users } from './users.ts';

export interface PlaceParts {
  users: Users;
  server: LegacyServer;
  clock: Clock;
  log: Log;
  /** What a legacy client is told that may not log in. */
  lockText: string;
  deliveries: Pick<Deliveries, 'sessionUp' | 'available'>;
}

const cannotLock = {
  condition: 'feature-not-implemented',
  text: 'legacy logins cannot be refused without the server module; use allow or notify',
};

/** All answer with what failed, or null; what is so already costs nothing. */
export class Place {
  readonly #parts: PlaceParts;

  constructor(parts: PlaceParts) {
    this.#parts = parts;
  }

  hasSession({ attached }: User): boolean {
    return attached !== undefined && attached.epoch === this.#parts.server.epoch && !attached.pending;
  }

  /** A session that shows itself so; `null`: one without presence, for sending only. */
  async show(user: User, shown: Shown | null): Promise<Failed | null> {
    const { server, users, deliveries } = this.#parts;
    if (!this.hasSession(user)) return this.#attach(user, shown);
    const { jid, shown: before } = user.attached!;
    if (shown === null || isSameShown(before, shown)) return null;
    const write = (shown?: Shown) =>
      this.#write(user, ({ attached }) => (attached ? { attached: { ...attached, shown } } : null));
    await write(undefined);
    const answer = await server.show(jid, shown);
    if (answer.kind === 'processed') {
      await write(shown);
      if (!before) deliveries.available(user.jid);
    } else if (answer.kind !== 'lost' && answer.condition === 'item-not-found') users.sessionGone(user);
    return answer.kind === 'processed' ? null : answer;
  }

  async #attach(user: User, shown: Shown | null): Promise<Failed | null> {
    const { server, log, deliveries } = this.#parts;
    const { epoch } = server;
    // Before it is asked for: after a crash we must know that it may be there. And the row may still name one that has gone.
    const jid = server.jidOf(user.jid);
    const wasShown = user.attached?.pending ? undefined : user.attached?.shown;
    await this.#write(user, () => ({ attached: { jid, epoch, shown, pending: 'attach' } }));
    if (server.epoch !== epoch) return { kind: 'lost' };
    const answer = await server.attach(user.jid, shown);
    if (answer.kind === 'refused') await this.#write(user, () => ({ attached: undefined }));
    if (answer.kind !== 'attached') return answer;
    // One that we had lost sight of may be shown in any way.
    const isKnown = !answer.resumed || isSameShown(wasShown, shown);
    await this.#write(user, () => ({ attached: { jid: answer.jid, epoch, shown: isKnown ? shown : undefined } }));
    log.info({ event: 'user.attached', user: user.jid, jid: answer.jid, shown: nameOfShown(shown) });
    deliveries.sessionUp(user.jid);
    if (!isKnown && shown) return this.show(user, shown);
    if (shown) deliveries.available(user.jid);
    return null;
  }

  /** Late copies are for comparing only: in `dual` the archive is asked once there is a session again. */
  async observe(user: User): Promise<Failed | null> {
    if (user.phase !== 'shadow' && this.#parts.server.lacks.has('liveCopies')) return this.unobserve(user);
    return this.#keep(user, 'observed', () => this.#parts.server.observe(user.jid));
  }

  unobserve(user: User): Promise<Failed | null> {
    return this.#release(user, 'observed', () => this.#parts.server.unobserve(user.jid));
  }

  async lock(user: User): Promise<Failed | null> {
    if (this.#parts.server.lacks.has('lock')) return { ...cannotLock, kind: 'refused' };
    return this.#keep(user, 'locked', () => this.#parts.server.lock(user.jid, this.#parts.lockText));
  }

  unlock(user: User): Promise<Failed | null> {
    return this.#release(user, 'locked', () => this.#parts.server.unlock(user.jid));
  }

  /** Written down before the server is asked: after a crash we must know that it may be there, and take it back when it is not wanted. */
  async #keep(user: User, what: 'observed' | 'locked', ask: () => Answer): Promise<Failed | null> {
    const { epoch } = this.#parts.server;
    const now = user[what];
    if (now?.epoch === epoch && !now.asked) return null;
    if (now?.epoch !== epoch) await this.#write(user, () => ({ [what]: { epoch, asked: true } }));
    // While the disk kept us waiting the server may have begun anew: what is asked of it now belongs to another epoch.
    if (this.#parts.server.epoch !== epoch) return { kind: 'lost' };
    const answer = await ask();
    if (answer.kind === 'lost' || answer.kind === 'wait') return answer;
    const isKept = answer.kind === 'processed';
    await this.#write(user, () => ({ [what]: isKept ? { epoch } : undefined }));
    return isKept ? null : answer;
  }

  /** The same the other way: that it may be gone is written down first, or after a crash we would count on it. */
  async #release(user: User, what: 'observed' | 'locked', ask: () => Answer): Promise<Failed | null> {
    const { epoch } = this.#parts.server;
    const now = user[what];
    if (!now) return null;
    // With another epoch the server has forgotten it by itself.
    if (now.epoch === epoch && !now.asked) await this.#write(user, () => ({ [what]: { epoch, asked: true } }));
    if (now.epoch === this.#parts.server.epoch) {
      const answer = await ask();
      const isGone = answer.kind === 'refused' && answer.condition === 'item-not-found';
      if (answer.kind !== 'processed' && !isGone) return answer;
    }
    await this.#write(user, () => ({ [what]: undefined }));
    return null;
  }

  #write(user: User, decide: Parameters<Users['change']>[1]): Promise<boolean> {
    const { users, clock } = this.#parts;
    return users.change(user, decide, clock.now());
  }
}

type Answer = Promise<{ kind: 'processed' } | Failed>;
