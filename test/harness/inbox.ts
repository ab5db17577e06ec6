// What a test client has received, and a way to wait for what is still to come.

import type { Element } from 'ltx';

const WAIT_MS = 20_000;

export class Inbox {
  readonly all: Element[] = [];
  private readonly waiting = new Set<() => void>();

  add(stanza: Element): void {
    this.all.push(stanza);
    for (const check of [...this.waiting]) check();
  }

  /** Resolves with `look()`'s first answer that is not undefined, now or after a later arrival. */
  until<T>(what: string, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => {
      this.waiting.delete(check);
      reject(new Error(`waited in vain for ${what}; got\n${this.all.slice(-15).join('\n')}`));
    }, WAIT_MS);
    const check = () => {
      const answer = look();
      if (answer === undefined) return;
      clearTimeout(timer);
      this.waiting.delete(check);
      resolve(answer);
    };
    this.waiting.add(check);
    check();
    return promise;
  }

  /** The first stanza that fits. */
  first(what: string, fits: (stanza: Element) => boolean): Promise<Element> {
    return this.until(what, () => this.all.find(fits));
  }
}
