// What one turn of the event loop has to write, as bytes already: a text of thousands of pieces would be copied again by each
// collection of garbage, and walked through piece by piece to be written.

/** A whole number of these goes to the kernel at once. */
const chunkBytes = 64 * 1024;
/** A unit of UTF-16 has at most so many in UTF-8. */
const bytesPerUnit = 3;

export class WriteBuffer {
  #full: Buffer[] = [];
  #open = Buffer.alloc(0);
  #used = 0;

  get isEmpty(): boolean {
    return this.#used === 0 && this.#full.length === 0;
  }

  add(text: string): void {
    const most = text.length * bytesPerUnit;
    if (this.#used + most > this.#open.length) this.#begin(most);
    this.#used += this.#open.write(text, this.#used);
  }

  /** All that was added, in order; after that it is empty. */
  take(): Buffer[] {
    this.#close();
    const taken = this.#full;
    this.#full = [];
    return taken;
  }

  #begin(bytes: number): void {
    this.#close();
    this.#open = Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
  }

  /** What is behind the used part goes on with the next text. */
  #close(): void {
    if (this.#used > 0) this.#full.push(this.#open.subarray(0, this.#used));
    this.#open = this.#open.subarray(this.#used);
    this.#used = 0;
  }
}
