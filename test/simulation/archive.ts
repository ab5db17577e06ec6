// A user's archive on the modelled server (XEP-0313): what was said, in order, under ids that stay; answers queries page by page (XEP-0059).

import type { Chat } from './chat.ts';

export interface Archived {
  id: string;
  at: number;
  chat: Chat;
}

/** What a session asks: what comes behind an id, or from a time on, oldest first; or the last `max`. */
export interface ArchiveQuery {
  iqId: string;
  queryId: string;
  after?: string;
  start?: number;
  max: number;
}

export type ArchivePage = { items: Archived[]; isComplete: boolean } | 'item-not-found';

export class Archive {
  #items: Archived[] = [];
  readonly #user: string;
  readonly #pageMax: number;
  #ids = 0;

  /** `pageMax`: the server gives no more at once, whatever is asked. */
  constructor(user: string, pageMax: number) {
    this.#user = user;
    this.#pageMax = pageMax;
  }

  get size(): number {
    return this.#items.length;
  }

  /** As it came, without the id it is given. */
  add(chat: Chat, at: number): string {
    const id = `${this.#user.slice(0, this.#user.indexOf('@'))}-${++this.#ids}`;
    this.#items.push({ id, at, chat });
    return id;
  }

  has(name: string): boolean {
    return this.#items.some(({ chat }) => chat.message.name === name);
  }

  /** The oldest expire. */
  trim(count: number): void {
    this.#items = this.#items.slice(count);
  }

  page({ after, start, max }: ArchiveQuery): ArchivePage {
    const before = after === undefined ? -1 : this.#items.findIndex(({ id }) => id === after);
    if (after !== undefined && before < 0) return 'item-not-found';
    const behind = this.#items.slice(before + 1).filter(({ at }) => at >= (start ?? 0));
    const count = Math.min(max, this.#pageMax);
    const items = after === undefined && start === undefined ? behind.slice(-count) : behind.slice(0, count);
    return { items, isComplete: items.length === behind.length };
  }
}
