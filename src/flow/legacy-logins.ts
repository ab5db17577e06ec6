// Legacy clients of users who have moved: with `notify` each user is told once, by a message from the gateway's domain to the client that came.

import { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { User, Users } from '../migration/users.ts';
import type { LegacyLogin } from '../migration/wanted.ts';
import { prepareBare } from '../xmpp/jid.ts';
import { NS_CARBONS, NS_HINTS } from '../xmpp/namespaces.ts';
import type { Session } from '../xmpp/session.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

export interface LegacyLoginsParts {
  users: Users;
  /** Of users for whom nothing else is set. */
  legacyLogin: LegacyLogin;
  text: string;
  /** The session of the gateway's own domain, if the link stands. */
  ownSession(): Session | undefined;
  clock: Clock;
  log: Log;
  fault: (error: unknown) => void;
}

export class LegacyLogins {
  readonly #parts: LegacyLoginsParts;
  /** Users who are being told. */
  readonly #telling = new Set<User>();

  constructor(parts: LegacyLoginsParts) {
    this.#parts = parts;
  }

  /** Presence that the user's session was sent: another resource of the same account is a legacy client. */
  heard(user: User, presence: Element): void {
    const { from, to, type } = presence.attrs;
    const { legacyLogin = this.#parts.legacyLogin } = user;
    if (legacyLogin !== 'notify' || user.phase !== 'mqtt' || user.notifiedAt !== undefined || user.own) return;
    // Without an addressee, or with the sender's: the session's own, reflected.
    if (type !== undefined || !from?.includes('/') || !to || from === to || prepareBare(from) !== user.jid) return;
    if (this.#telling.has(user)) return;
    this.#telling.add(user);
    this.#tell(user, from)
      .catch(this.#parts.fault)
      .finally(() => this.#telling.delete(user));
  }

  /** What the server has not processed is said again at the client's next presence; a crash in between says it twice. */
  async #tell(user: User, client: string): Promise<void> {
    const { ownSession, users, clock, log } = this.#parts;
    const session = ownSession();
    const notice = session && writeStanza(this.#notice(session.jid, client));
    if (typeof notice !== 'string') return;
    if ((await session?.send(notice, crypto.randomUUID()))?.kind !== 'processed') return;
    const at = clock.now();
    const note = { who: 'crossfade', what: 'user.notified', detail: client };
    const isTold = (now: User) => (now.phase === 'mqtt' ? { notifiedAt: at } : null);
    if (await users.change(user, isTold, at, note)) log.info({ event: 'user.notified', user: user.jid, client });
  }

  /** For this client alone: no copy to the app (XEP-0280 §6.1, XEP-0334), none in offline storage or archive. */
  #notice(from: string, to: string): Element {
    const message = new Element('message', { from, to, type: 'chat', id: crypto.randomUUID() });
    message.c('body').t(this.#parts.text);
    message.c('private', { xmlns: NS_CARBONS });
    for (const hint of ['no-copy', 'no-store']) message.c(hint, { xmlns: NS_HINTS });
    return message;
  }
}
