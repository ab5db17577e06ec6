// What one stanza may have, its bytes counted, and what is left of one that has more.

import { Element } from 'ltx';

/** Per stanza. One that goes over is skipped while it is read, and the stream lives on. */
export interface ReaderLimits {
  /** Bytes of UTF-8, from its `<` to its last `>`. */
  maxBytes: number;
  /** Elements inside each other, itself included. */
  maxDepth: number;
  /** Attributes of one element, namespace declarations included. */
  maxAttributes: number;
  /** Characters of an element's or an attribute's name, its prefix included. */
  maxName: number;
}

export const defaultLimits: ReaderLimits = { maxBytes: 1024 * 1024, maxDepth: 64, maxAttributes: 64, maxName: 1024 };

/** A stanza that was over a limit. */
export interface Skipped {
  /**
   * Its first three levels as far as they were read: at each the first element, without text. One whose start tag was not read
   * to its end has no attributes; of one with too many, `from`, `to`, `id` and `type` are among those that are kept.
   */
  outline: Element;
  bytes: number;
  /** `names`: one is too long, its prefix is unbound, or its namespace is none that could be written again. */
  reason: 'bytes' | 'depth' | 'attributes' | 'names';
}

/** The stanza with its first elements only, so many levels deep; no text. */
export function outlineOf(element: Element, levels: number): Element {
  const copy = new Element(element.name);
  copy.attrs = { ...element.attrs };
  const first = element.children.find((child) => child instanceof Element);
  if (first instanceof Element && levels > 1) copy.cnode(outlineOf(first, levels - 1));
  return copy;
}

/** Bytes of UTF-8 in the stanza that is being read, chunk by chunk. */
export class ByteCount {
  readonly #max: number;
  #chunk = '';
  /** Of the stanza, before `#from` in the chunk. */
  #bytes = 0;
  #from = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The chunk before was counted to its end. */
  chunk(chunk: string): void {
    this.#chunk = chunk;
    this.#from = 0;
  }

  /** A stanza begins here. */
  beginAt(at: number): void {
    this.#bytes = 0;
    this.#from = at;
  }

  upTo(end: number): number {
    if (end > this.#from) this.#bytes += Buffer.byteLength(this.#chunk.slice(this.#from, end));
    this.#from = end;
    return this.#bytes;
  }

  /** Has it more than it may? Most are far from that, so that they need not be counted: a character has three bytes at most. */
  isOver(end: number): boolean {
    return this.#bytes + 3 * (end - this.#from) > this.#max && this.upTo(end) > this.#max;
  }
}
