// What one user's session has heard of who is there: the last presence of each resource, as it will be published. Bounded, pure.

import { alone } from '../xmpp/stanza.ts';

/** More, or larger, than what people have; beyond it presences are passed on as they come, but not kept. */
const maxPresences = 1_000;
const maxBytes = 256 * 1024;
/** About what a map needs for an entry besides its texts. */
const entryBytes = 100;

export class ContactView {
  readonly #presences = new Map<string, string>();
  #bytes = 0;
  /** All that the server tells a session at its beginning is in here, or was asked for. */
  isKnown = false;
  /** The epoch in which the session is being made whose first presences these are. */
  making?: string;
  /** Something of somebody has been heard. */
  hasHeard = false;
  /** Not everything found a place. */
  isCut = false;

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#presences.size;
  }

  /** Keeps what a resource says of itself (JSON). False if there is no place for it. */
  keep(from: string, presence: string): boolean {
    this.hasHeard = true;
    this.#remove(from);
    const bytes = from.length + presence.length + entryBytes;
    if (this.#presences.size >= maxPresences || this.#bytes + bytes > maxBytes) {
      this.isCut = true;
      return false;
    }
    this.#presences.set(alone(from), presence);
    this.#bytes += bytes;
    return true;
  }

  /** A resource has gone, or, without one in the address, all of that contact. */
  drop(from: string): void {
    this.hasHeard = true;
    this.#remove(from);
    if (from.includes('/')) return;
    for (const each of this.#presences.keys()) if (each.startsWith(`${from}/`)) this.#remove(each);
  }

  /** Nothing was ever heard. */
  clear(): void {
    this.#presences.clear();
    this.#bytes = 0;
    this.isKnown = false;
    this.making = undefined;
    this.hasHeard = false;
    this.isCut = false;
  }

  /** The presences, each as JSON. */
  all(): IterableIterator<string> {
    return this.#presences.values();
  }

  #remove(from: string): void {
    const presence = this.#presences.get(from);
    if (presence === undefined) return;
    this.#presences.delete(from);
    this.#bytes -= from.length + presence.length + entryBytes;
  }
}
