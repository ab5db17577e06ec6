// Bytes that are added piece by piece and taken in large chunks, none of them copied: what a connection has to write in one
// turn of the event loop. Pure.

/** A whole number of these goes to the kernel at once. */
const chunkBytes = 64 * 1024;

export class Chunks {
  #full: Buffer[] = [];
  #open = Buffer.alloc(0);
  #used = 0;

  get isEmpty(): boolean {
    return this.#used === 0 && this.#full.length === 0;
  }

  /** Where the next piece begins in what `room` gave. */
  get end(): number {
    return this.#used;
  }

  set end(end: number) {
    this.#used = end;
  }

  /** The buffer that has at least so many bytes behind `end`; what is written there counts once `end` is set behind it. */
  room(bytes: number): Buffer {
    if (this.#used + bytes > this.#open.length) {
      this.#close();
      this.#open = Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
    }
    return this.#open;
  }

  /** All that was added, in order; after that it is empty. */
  take(): Buffer[] {
    this.#close();
    const taken = this.#full;
    this.#full = [];
    return taken;
  }

  /** What is behind the used part goes on with the next piece. */
  #close(): void {
    if (this.#used > 0) this.#full.push(this.#open.subarray(0, this.#used));
    this.#open = this.#open.subarray(this.#used);
    this.#used = 0;
  }
}
