// A chat message on its way through the modelled server.

import type { Message } from './witness.ts';

export interface Chat {
  message: Message;
  /** Full JID of the session it was sent by, where that is not the sender's own word. */
  from?: string;
  /** As addressed: bare or full JID. */
  to: string;
  /** The id that this user's archive has given it (XEP-0359); no other user sees it. */
  archived?: { by: string; id: string };
  /** Set once it was stored: its original time, whole seconds (XEP-0203). */
  stamp?: number;
}

export function bare(jid: string): string {
  const slash = jid.indexOf('/');
  return slash < 0 ? jid : jid.slice(0, slash);
}

export function toSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
