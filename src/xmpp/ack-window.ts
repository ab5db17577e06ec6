// The numbers of one link and epoch: which one comes next, and up to which all are accepted (docs/attach-protocol.md).

export class AckWindow {
  /** Everything up to here is accepted. */
  #h: number;
  /** Accepted out of turn. */
  readonly #ahead = new Set<number>();

  constructor(h: number) {
    this.#h = h;
  }

  get h(): number {
    return this.#h;
  }

  has(n: number): boolean {
    return n <= this.#h || this.#ahead.has(n);
  }

  /** True if `h` has grown. Accepting twice is harmless. */
  accept(n: number): boolean {
    if (n !== this.#h + 1) {
      if (n > this.#h) this.#ahead.add(n);
      return false;
    }
    this.#h = n;
    while (this.#ahead.delete(this.#h + 1)) this.#h += 1;
    return true;
  }

  /** Everything up to `h` counts as accepted. */
  acceptAll(h: number): void {
    if (h <= this.#h) return;
    this.#h = h;
    for (const n of this.#ahead) if (n <= h) this.#ahead.delete(n);
    while (this.#ahead.delete(this.#h + 1)) this.#h += 1;
  }
}
