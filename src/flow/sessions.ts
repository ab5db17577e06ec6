// Which session on the legacy server a user speaks through at this moment, if any.

import type { Element } from 'ltx';
import type { Metrics } from '../metrics.ts';
import type { LegacyServer } from '../migration/server.ts';
import type { User, Users } from '../migration/users.ts';
import type { SendResult, Session } from '../xmpp/session.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

/** The ways to send that the adapters offer. */
export interface SessionKinds {
  /** Sends as an attached session. */
  sendAttached(jid: string, stanza: string, key: string): Promise<SendResult>;
  /** The session of an address on the component's own domain, if the link stands. */
  ownSession(jid: string): Session | undefined;
}

export interface SessionsParts {
  users: Users;
  server: LegacyServer;
  metrics: Metrics;
  kinds: SessionKinds;
}

/** Chat states and replies that may be unanswered at once, over all and per user: whoever sends more is not heard. */
const maxUnanswered = 500;
const maxUnansweredPerUser = 20;

export class Sessions {
  readonly #parts: SessionsParts;
  readonly #unanswered = new Map<string, number>();
  #allUnanswered = 0;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Undefined while the user cannot send: not attached, or the link is down. */
  of(jid: string): Session | undefined {
    const { users, server, kinds } = this.#parts;
    const user = users.get(jid);
    if (user?.own) return kinds.ownSession(jid);
    const attached = user?.attached;
    if (!attached || attached.pending || attached.epoch !== server.epoch || !server.stands(attached.jid))
      return undefined;
    return { jid: attached.jid, send: (stanza, key) => kinds.sendAttached(attached.jid, stanza, key) };
  }

  /** The full JID that a user's apps send from; where the server has given another one, they are known by the one it was asked for. */
  jidOf({ jid, own }: User): string {
    return own ? jid : this.#parts.server.jidOf(jid);
  }

  /** Whether the link that the user's session stands on, or would stand on, is up. */
  isUp(jid: string): boolean {
    const { users, server } = this.#parts;
    return users.get(jid)?.own ? this.of(jid) !== undefined : server.up;
  }

  /** Sends a stanza back in the user's name: an error, or the answer to a request. Nobody waits for it. */
  reply(jid: string, stanza: Element): void {
    const text = writeStanza(stanza);
    if (typeof text === 'string' && this.of(jid)) this.whisper(jid, text);
  }

  /** Sends what is no entry and nobody waits for. False where it was dropped: no session, or too much is under way. */
  whisper(jid: string, text: string): boolean {
    const session = this.of(jid);
    const ofUser = this.#unanswered.get(jid) ?? 0;
    const isSent = session !== undefined && ofUser < maxUnansweredPerUser && this.#allUnanswered < maxUnanswered;
    this.#parts.metrics.ephemeral.inc({ lane: 'toXmpp', result: isSent ? 'passed' : 'dropped' });
    if (!isSent) return false;
    this.#unanswered.set(jid, ofUser + 1);
    this.#allUnanswered++;
    void session.send(text, `e${crypto.randomUUID()}`).then(() => {
      this.#allUnanswered--;
      const left = (this.#unanswered.get(jid) ?? 1) - 1;
      if (left > 0) this.#unanswered.set(jid, left);
      else this.#unanswered.delete(jid);
    });
    return true;
  }
}
