// What goes over the modelled link to the gateway (`<d>` and `<detached>`).

import type { Chat } from './chat.ts';

/**
 * What `<d>` carries: a chat message, as itself, in a carbon or in a result of the archive; the answer to an archive query; something
 * small that is no chat message; or nothing (taken back, or copies that did not fit).
 */
export type Load =
  | { chat: Chat; carbon?: 'sent' | 'received'; result?: Result }
  | { fin: Fin }
  | { noise: Noise }
  | { taken: true }
  | { missed: true };

/** `forged`: a carbon that a contact has made, which can become no entry. */
export type Noise = 'presence' | 'ping' | 'forged';

export interface Result {
  queryId: string;
  id: string;
  at: number;
}

/** `last`: of the page, if it has any. */
export interface Fin {
  iqId: string;
  answer: { isComplete: boolean; last?: string } | 'item-not-found';
}

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
  if ('chat' in load) {
    const way = load.carbon ? `a carbon (${load.carbon}) of ` : load.result ? `the archive's ${load.result.id}: ` : '';
    return way + load.chat.message.name;
  }
  if ('fin' in load) return `the end of the page: ${JSON.stringify(load.fin.answer)}`;
  if ('missed' in load) return 'nothing, but copies were left out';
  return 'noise' in load ? load.noise : 'nothing';
}
