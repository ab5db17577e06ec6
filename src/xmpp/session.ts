// The one shape that the parts above xmpp/ see of a user's place on the legacy server, whichever kind is behind it.

import type { Element } from 'ltx';

/** Where a stanza stands on the link to the legacy server: counted per link and epoch, from 1. */
export interface Position {
  /** The link's name: `component-domain/server-host`. */
  link: string;
  epoch: string;
  n: number;
  /** Of client sessions only, which are known by themselves: this one is only being made. */
  isNew?: boolean;
}

/** How a stanza came to us. */
export interface Arrival {
  /** The user it is for: a prepared bare JID. */
  user: string;
  /** Set on copies from `observe` only: which way the message went. */
  dir?: 'in' | 'out';
  /** Such a copy out of the archive, by a client that nobody sees: good for comparing, and for nothing else. */
  isLate?: boolean;
  /** The server handed it to another resource of the user, too. */
  seen: boolean;
  /** The archive's id, where the stanza does not carry it. */
  sid?: string;
  /** Absent on late copies, and on addresses of the component's own domain: XEP-0114 has no acks. */
  position?: Position;
}

/**
 * Takes one stanza. `accepted` is to be called exactly once, when its entry is on disk, when its refusal is recorded, or
 * at once if it needs neither. Must not throw.
 */
export type StanzaHandler = (stanza: Element, arrival: Arrival, accepted: () => void) => void;

/** What became of something sent to the legacy server. */
export type SendResult =
  /** The server has processed it. */
  | { kind: 'processed' }
  /** The link closed before the answer came: send again with the same key. */
  | { kind: 'lost' }
  /** Not now (error type wait), or the session is gone (`item-not-found`: attach again). */
  | { kind: 'wait'; condition: string; text: string }
  /** Never. */
  | { kind: 'refused'; condition: string; text: string };

export interface Session {
  /** Full JID, or bare JID on the component's own domain. */
  readonly jid: string;
  /** Sends one finished stanza (see xml-writer) as this session; `key` makes a repeat harmless. */
  send(stanza: string, key: string): Promise<SendResult>;
}
