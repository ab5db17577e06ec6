// A user's other resources, as their presence tells, and which messages they were given, too.

import type { Element } from 'ltx';
import { prepareBare } from './jid.ts';
import { elementsOf } from './stanza.ts';

export class OtherResources {
  readonly #user: string;
  /** Priorities of those that are available. */
  readonly #priorities = new Map<string, number>();

  /** `user`: bare JID. */
  constructor(user: string) {
    this.#user = user;
  }

  /** We are told nothing of them from now on, and of who is there once we are available again. */
  forget(): void {
    this.#priorities.clear();
  }

  /** `own`: the session's full JID. */
  heard(presence: Element, own: string): void {
    const { from = '', type } = presence.attrs;
    if (from === own || !from.includes('/') || prepareBare(from) !== this.#user) return;
    if (type === 'unavailable') this.#priorities.delete(from);
    else if (type === undefined) {
      const priority = elementsOf(presence).find(({ name, attrs }) => name === 'priority' && attrs.xmlns === undefined);
      this.#priorities.set(from, Number(priority?.getText() ?? 0) || 0);
    }
  }

  /**
   * A message to the bare JID goes to all resources with the highest priority (RFC 6121 §8.5.2.1.1). Ours is 0, and we were given it: so were
   * the others with 0.
   */
  haveSeen({ attrs: { to } }: Element): boolean {
    return !to?.includes('/') && [...this.#priorities.values()].includes(0);
  }
}
