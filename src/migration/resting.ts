// Users that are known and nothing else: in phase `legacy`, with nothing on the server and nothing set. Of a million users most are, so they are held small.

/** What is known of one beside its address. */
export interface Rest {
  version: number;
  changedAt: number;
}

/** A user that rests, as it is added. */
export interface Resting extends Rest {
  jid: string;
}

/** Outside the heap: strings and entries of a map would take twice the memory, and work at each collection of garbage. */
interface Page {
  /** One after the other, in the order of their bytes, by which they are found again. */
  addresses: Buffer;
  /** Where in `addresses` each one ends. */
  ends: Uint32Array;
  versions: Uint32Array;
  changedAt: Float64Array;
  isTaken: Uint8Array;
}

export class RestingUsers {
  readonly #pages: Page[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** In the order of the bytes of UTF-8, which is the ledger's; each page's come after those of the one before. */
  add(users: readonly Resting[]): void {
    if (users.length === 0) return;
    let end = 0;
    // Not from Buffer's pool, which would be kept with all that was in it.
    const { buffer } = new TextEncoder().encode(users.map(({ jid }) => jid).join(''));
    this.#pages.push({
      addresses: Buffer.from(buffer),
      ends: Uint32Array.from(users, ({ jid }) => (end += Buffer.byteLength(jid))),
      versions: Uint32Array.from(users, ({ version }) => version),
      changedAt: Float64Array.from(users, ({ changedAt }) => changedAt),
      isTaken: new Uint8Array(users.length),
    });
    this.#size += users.length;
  }

  /** Gives it away: it is not here any more. */
  take(jid: string): Rest | undefined {
    const address = Buffer.from(jid);
    const page = this.#pages[lastUpTo(this.#pages.length, (at) => compare(this.#pages[at]!, 0, address))];
    if (!page) return undefined;
    const at = lastUpTo(page.ends.length, (at) => compare(page, at, address));
    if (page.isTaken[at] === 1 || compare(page, at, address) !== 0) return undefined;
    page.isTaken[at] = 1;
    this.#size -= 1;
    return restOf(page, at);
  }

  *all(): Generator<[jid: string, rest: Rest]> {
    for (const page of this.#pages)
      for (const [at, end] of page.ends.entries())
        if (page.isTaken[at] === 0) yield [page.addresses.toString('utf8', startOf(page, at), end), restOf(page, at)];
  }
}

/** The last of `count` places that does not come after what is looked for, by halves; -1 if all do. */
function lastUpTo(count: number, order: (at: number) => number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(middle) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function compare(page: Page, at: number, address: Buffer): number {
  return page.addresses.compare(address, 0, address.length, startOf(page, at), page.ends[at]);
}

function startOf({ ends }: Page, at: number): number {
  return at === 0 ? 0 : ends[at - 1]!;
}

function restOf({ versions, changedAt }: Page, at: number): Rest {
  return { version: versions[at]!, changedAt: changedAt[at]! };
}
