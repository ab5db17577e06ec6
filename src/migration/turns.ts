// Work on one and the same thing, one after the other in the order it was asked for; on different things side by side.

export class Turns<Thing> {
  /** The last work under way of each thing that has any. */
  readonly #last = new Map<Thing, Promise<unknown>>();

  /** Begins when all that was asked for before on this thing has ended, well or not. */
  async take<T>(thing: Thing, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing);
    const mine = before ? before.then(work, work) : work();
    this.#last.set(thing, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(thing) === mine) this.#last.delete(thing);
    }
  }
}
