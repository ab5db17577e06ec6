// A multimap from 32-bit hashes to entry numbers, 12 bytes a place: millions of repeat keys without an object for each.

const emptySeq = -1;
const smallest = 1024;

/**
 * Open addressing with linear probing. Hashes meet by chance, so whoever asks must look at the entry itself. Repeat keys come and
 * go in the order of time, a place that becomes free is filled by those behind it (no tombstones).
 */
export class SeqIndex {
  #hashes = new Uint32Array(smallest);
  #seqs = new Float64Array(smallest).fill(emptySeq);
  #mask = smallest - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(hash: number, seq: number): void {
    if (this.#size * 4 >= this.#seqs.length * 3) this.#grow();
    this.#put(hash, seq);
    this.#size++;
  }

  /** All with this hash; nearly always none, or the one that was meant. */
  find(hash: number): number[] {
    const found: number[] = [];
    for (let at = hash & this.#mask; this.#seqs[at] !== emptySeq; at = (at + 1) & this.#mask) {
      if (this.#hashes[at] === hash) found.push(this.#seqs[at]!);
    }
    return found;
  }

  remove(hash: number, seq: number): void {
    for (let at = hash & this.#mask; this.#seqs[at] !== emptySeq; at = (at + 1) & this.#mask) {
      if (this.#hashes[at] !== hash || this.#seqs[at] !== seq) continue;
      this.#size--;
      return this.#close(at);
    }
  }

  #put(hash: number, seq: number): void {
    let at = hash & this.#mask;
    while (this.#seqs[at] !== emptySeq) at = (at + 1) & this.#mask;
    this.#hashes[at] = hash;
    this.#seqs[at] = seq;
  }

  /** Moves up what would not be found any more behind an empty place. */
  #close(gap: number): void {
    let free = gap;
    for (let at = (gap + 1) & this.#mask; this.#seqs[at] !== emptySeq; at = (at + 1) & this.#mask) {
      const home = this.#hashes[at]! & this.#mask;
      if (((at - home) & this.#mask) < ((at - free) & this.#mask)) continue;
      this.#hashes[free] = this.#hashes[at]!;
      this.#seqs[free] = this.#seqs[at]!;
      free = at;
    }
    this.#seqs[free] = emptySeq;
  }

  #grow(): void {
    const [hashes, seqs] = [this.#hashes, this.#seqs];
    this.#hashes = new Uint32Array(hashes.length * 2);
    this.#seqs = new Float64Array(seqs.length * 2).fill(emptySeq);
    this.#mask = this.#seqs.length - 1;
    for (let at = 0; at < seqs.length; at++) if (seqs[at] !== emptySeq) this.#put(hashes[at]!, seqs[at]!);
  }
}
