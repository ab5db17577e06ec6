// What carries moved users on the legacy server, as the rest of the gateway sees it: the module's link, or one client session each.

import type { MissedHandler, SkippedHandler } from './arrivals.ts';
import type { SendResult, StanzaHandler } from './session.ts';

export interface LinkUp {
  /** Sessions are alive, and what was not acknowledged comes again. Else all sessions have to be asked for again. */
  resumed: boolean;
  /** Of every user messages may have been missed. */
  missed: boolean;
  epoch: string;
  /** How many sessions the server holds for us. */
  sessions: number;
}

export interface AttachRequest {
  /** Local part. */
  user: string;
  resource: string;
  carbons: boolean;
  /** The session's first presence: a finished stanza. */
  presence?: string;
}

type No = { kind: 'refused' | 'wait'; condition: string; text: string };
/** `jid` is what the server gave, which may not be what was asked for; `resumed`: the session was there already, its presence is as it was. */
export type Attached = { kind: 'attached'; jid: string; resumed: boolean } | No | { kind: 'lost' };
/** `returned`: how many stanzas with n > h the server took back. */
export type Detached = { kind: 'detached'; h: number; returned: number } | No | { kind: 'lost' };

export interface GiveBackRequest {
  /** Bare JID. */
  to: string;
  key: string;
  /** Its original time, RFC 3339. */
  stamp: string;
  stanza: string;
  /** The session is to end behind it: where it cannot be shown meanwhile, it is not shown again unless that is asked for. */
  ends: boolean;
}

/**
 * What only the module can do: copies as they come, without a session (else `observe` gives late ones, see Arrival); refusing legacy clients;
 * handing back while the session is shown.
 */
export type Ability = 'liveCopies' | 'lock' | 'return';

export interface Link {
  /** Names the link in the ledger. */
  readonly name: string;
  /** The server is there, and takes requests. */
  readonly up: boolean;
  /** Names the server's memory of us: another epoch = sessions have to be asked for again. '' before the first. */
  readonly epoch: string;
  /** Whether the accounts of this host have an archive with stable ids. */
  readonly hasArchive: boolean;
  readonly lacks: ReadonlySet<Ability>;
  onUp: (up: LinkUp) => void;
  onDown: () => void;
  /** The server does not take the link, and why; it is asked again after a while. */
  onRefused: (reason: string) => void;
  onStanza: StanzaHandler;
  onSkipped: SkippedHandler;
  onMissed: MissedHandler;
  /** The server has ended this session. */
  onDetached: (detached: { jid: string; reason: string; h: number }) => void;
  /** The connection of this session is gone: `attach` finds the session again, or makes another. */
  onLost: (jid: string) => void;
  /** Late copies of this user (a bare JID) have ended: `observe` tries again. */
  onCopiesLost: (user: string) => void;
  /** Whether this session can be spoken through now. */
  stands(jid: string): boolean;
  /** Whether the server may still have a session that was made in this epoch ('': one that was lost). */
  mayHold(epoch: string): boolean;
  /** Makes sessions; one result each, in order. Attaching twice is harmless. */
  attach(requests: AttachRequest[]): Promise<Attached[]>;
  /** Sends one finished stanza as an attached session. A repeat with the same key is processed once. */
  send(from: string, stanza: string, key: string): Promise<SendResult>;
  /** Hands an undelivered stanza back to the user's legacy devices. */
  giveBack(request: GiveBackRequest): Promise<SendResult>;
  detach(jid: string): Promise<Detached>;
  /** These four take a local part. */
  observe(user: string): Promise<SendResult>;
  unobserve(user: string): Promise<SendResult>;
  lock(user: string, text: string): Promise<SendResult>;
  unlock(user: string): Promise<SendResult>;
}
