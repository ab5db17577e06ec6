// Users that are known and nothing else: in phase `legacy`, with nothing on the server and nothing set. Of a million users most are, so they are held small.

/** What is known of one beside its address. */
export interface Rest {
  version: number;
  changedAt: number;
}

const firstRoom = 1024;

export class Resting {
  /** The place of each in the two arrays. */
  readonly #places = new Map<string, number>();
  #versions = new Uint32Array(firstRoom);
  #changedAt = new Float64Array(firstRoom);
  #next = 0;

  get size(): number {
    return this.#places.size;
  }

  add(jid: string, { version, changedAt }: Rest): void {
    if (this.#next === this.#versions.length) this.#grow();
    this.#versions[this.#next] = version;
    this.#changedAt[this.#next] = changedAt;
    this.#places.set(jid, this.#next++);
  }

  /** Gives it away: it is not here any more. */
  take(jid: string): Rest | undefined {
    const place = this.#places.get(jid);
    if (place === undefined) return undefined;
    this.#places.delete(jid);
    return this.#at(place);
  }

  *all(): Generator<[jid: string, rest: Rest]> {
    for (const [jid, place] of this.#places) yield [jid, this.#at(place)];
  }

  #at(place: number): Rest {
    return { version: this.#versions[place]!, changedAt: this.#changedAt[place]! };
  }

  #grow(): void {
    const [versions, changedAt] = [this.#versions, this.#changedAt];
    this.#versions = new Uint32Array(versions.length * 2);
    this.#changedAt = new Float64Array(changedAt.length * 2);
    this.#versions.set(versions);
    this.#changedAt.set(changedAt);
  }
}
