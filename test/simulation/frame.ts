// What goes over the modelled link to the gateway (`<d>` and `<detached>`).

import type { Chat } from './chat.ts';

/**
 * What `<d>` carries: a chat message, as itself or in a carbon; something small that needs no record; or nothing (taken back).
 */
export type Load = { chat: Chat; carbon?: 'sent' | 'received' } | { noise: 'presence' | 'ping' } | { taken: true };

export interface Frame {
  epoch: string;
  n: number;
  user: string;
  jid: string;
  seen: boolean;
  /** A copy that `observe` gives. */
  dir?: 'in' | 'out';
  load: Load;
}

/** The gateway's end of the connection. */
export interface LinkEnd {
  hear(frame: Frame): void;
  hearDetached(jid: string, h: number, reason: string): void;
}

export function nameOf(load: Load): string {
  if ('chat' in load) return `${load.carbon ? `a carbon (${load.carbon}) of ` : ''}${load.chat.message.name}`;
  return 'noise' in load ? load.noise : 'nothing';
}
