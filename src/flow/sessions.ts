// Which session on the legacy server a user speaks through at this moment, if any.

import type { Element } from 'ltx';
import type { LegacyServer } from '../migration/server.ts';
import type { Users } from '../migration/users.ts';
import type { SendResult, Session } from '../xmpp/session.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

/** The ways to send that the adapters offer. */
export interface SessionKinds {
  /** Sends as an attached session. */
  sendAttached(jid: string, stanza: string, key: string): Promise<SendResult>;
  /** The session of an address on the component's own domain, if the link stands. */
  ownSession(jid: string): Session | undefined;
  /** Sends a finished stanza from an own-domain address of which there is no user: refusals only. */
  sendOwn(stanza: string): void;
}

export interface SessionsParts {
  /** The users' domain. */
  domain: string;
  users: Users;
  server: LegacyServer;
  kinds: SessionKinds;
}

export class Sessions {
  readonly #parts: SessionsParts;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Undefined while the user cannot send: not attached, or the link is down. */
  of(jid: string): Session | undefined {
    const { users, server, kinds } = this.#parts;
    const user = users.get(jid);
    if (user?.own) return kinds.ownSession(jid);
    const attached = user?.attached;
    if (!attached || !server.up || attached.epoch !== server.epoch) return undefined;
    return { jid: attached.jid, send: (stanza, key) => kinds.sendAttached(attached.jid, stanza, key) };
  }

  /** Sends a stanza back in the user's name: an error, or the answer to a request. Nobody waits for it. */
  reply(jid: string, stanza: Element): void {
    const { domain, kinds } = this.#parts;
    const text = writeStanza(stanza);
    if (typeof text !== 'string') return;
    const session = this.of(jid);
    if (session) void session.send(text, `r${crypto.randomUUID()}`);
    else if (!jid.endsWith(`@${domain}`)) kinds.sendOwn(text);
  }
}
