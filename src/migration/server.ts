// What migration needs done on the legacy server. Declared here, done by an adapter that gateway.ts hands in.

import type { Shown } from './shown.ts';

/** `wait`: not now, try again; `refused`: never. Conditions are those of RFC 6120 §8.3.3. */
export type Failed =
  | { kind: 'lost' }
  | { kind: 'wait'; condition: string; text: string }
  | { kind: 'refused'; condition: string; text: string };

export interface GiveBack {
  user: string;
  key: string;
  /** The message's own time, ms since 1970. */
  at: number;
  /** As it came. */
  stanza: string;
  /** The session is to end behind it; until it does, or is shown again, it must not fetch what offline storage has taken. */
  ends: boolean;
}

/**
 * Copies of a user without a session as they come, else late and for comparing only; refusing legacy clients; handing back while the session
 * is shown, else it is unavailable meanwhile.
 */
export type Ability = 'liveCopies' | 'lock' | 'return';

export interface LegacyServer {
  readonly up: boolean;
  /** Names the server's memory of us: another epoch = it knows none of our sessions any more. */
  readonly epoch: string;
  /** The link's name, as in an entry's position. */
  readonly link: string;
  /** The accounts of this server have an archive with stable ids, which nobody else can put into a stanza (XEP-0313, XEP-0359). */
  readonly hasArchive: boolean;
  /** What this way of attaching cannot do. */
  readonly lacks: ReadonlySet<Ability>;
  /** Whether this session can be spoken through now. */
  stands(jid: string): boolean;
  /** Whether the server may still have a session that was made in this epoch ('': one that was lost). */
  mayHold(epoch: string): boolean;
  /** The session an attach asks for; the server may have given another. */
  jidOf(user: string): string;
  /**
   * Makes the session, and shows it to contacts, or (null) leaves it without presence; or finds it (`resumed`), and leaves its presence as
   * it is. Idempotent.
   */
  attach(user: string, shown: Shown | null): Promise<{ kind: 'attached'; jid: string; resumed?: boolean } | Failed>;
  /** Shows an attached session otherwise. */
  show(jid: string, shown: Shown): Promise<{ kind: 'processed' } | Failed>;
  /** Ends the session; the server took back all its stanzas with n > h. Idempotent within an epoch. */
  detach(jid: string): Promise<{ kind: 'detached'; h: number } | Failed>;
  /** Copies of what the user sends and receives, whether there is a session or not. Idempotent, as the three that follow. */
  observe(user: string): Promise<{ kind: 'processed' } | Failed>;
  unobserve(user: string): Promise<{ kind: 'processed' } | Failed>;
  /** Refuses legacy clients of this user, with this text, and ends those that are there. */
  lock(user: string, text: string): Promise<{ kind: 'processed' } | Failed>;
  unlock(user: string): Promise<{ kind: 'processed' } | Failed>;
  /** Hands an undelivered stanza back to the user's legacy devices or offline storage. A repeated key is ignored. */
  giveBack(stanza: GiveBack): Promise<{ kind: 'processed' } | Failed>;
}
