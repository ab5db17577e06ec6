// What one turn of the event loop has to write, as bytes already: a text of thousands of pieces would be copied again by each
// collection of garbage, and walked through piece by piece to be written.

import { Chunks } from '../chunks.ts';

/** A unit of UTF-16 has at most so many in UTF-8. */
const bytesPerUnit = 3;

export class WriteBuffer {
  readonly #chunks = new Chunks();

  get isEmpty(): boolean {
    return this.#chunks.isEmpty;
  }

  add(text: string): void {
    const room = this.#chunks.room(text.length * bytesPerUnit);
    this.#chunks.end += room.write(text, this.#chunks.end);
  }

  /** All that was added, in order; after that it is empty. */
  take(): Buffer[] {
    return this.#chunks.take();
  }
}
