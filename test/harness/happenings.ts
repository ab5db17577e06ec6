// A list that grows by itself, of which one can wait for something: the events of a client, the lines of a log.

import { Element } from 'ltx';

export class Happenings<Item> {
  readonly items: Item[] = [];
  #closed = false;
  #waiting: (() => void)[] = [];

  add(item: Item): void {
    this.items.push(item);
    this.#wake();
  }

  /** Nothing more will come: whoever waits is told at once. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  reopen(): void {
    this.#closed = false;
  }

  /** The first of `holds` that is not undefined; rejects, with what there was instead, when it does not come in time. */
  async until<Found>(holds: (items: Item[]) => Found | undefined, what: string, timeoutMs = 20_000): Promise<Found> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = holds(this.items);
      if (found !== undefined) return found;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0 || this.#closed) {
        const last = this.items.slice(-8).map((item) => JSON.stringify(item, asText).slice(0, 400));
        throw new Error(
          `${what}: not seen${this.#closed ? ' before the end' : ''}; the last of ${this.items.length}:\n${last.join('\n')}`,
        );
      }
      await this.#change(leftMs);
    }
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** An element names its parent and its children each other: it is shown as XML. */
function asText(_key: string, value: unknown): unknown {
  return value instanceof Element ? value.toString() : value;
}
