// Who waits for a turn: each once, first come, first served; whose turn it is costs the same however many wait.

export class Line<T> {
  readonly #waiting = new Set<T>();
  /** Goes on where it was: a new one would pass by all that were taken before (V8 keeps their places; a million cost minutes). */
  #next = this.#waiting.values();

  add(one: T): void {
    this.#waiting.add(one);
  }

  has(one: T): boolean {
    return this.#waiting.has(one);
  }

  /** Undefined where nobody waits. */
  take(): T | undefined {
    let { done, value } = this.#next.next();
    if (done && this.#waiting.size > 0) {
      // One that has come to the end stays there, whoever came afterwards.
      this.#next = this.#waiting.values();
      ({ done, value } = this.#next.next());
    }
    if (done || value === undefined) return undefined;
    this.#waiting.delete(value);
    return value;
  }
}
