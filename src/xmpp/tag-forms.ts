// Remembers what sax has made of each form of tag, so that it reads each form only once.
//
// A form is a tag's text without the values of its attributes. Inside quotes sax does nothing but collect characters, up to the
// closing quote or to a reference; so tags of one form differ in these values alone, as long as no `&` is in them. What a form
// means, and whether it is allowed, sax and the reader have said; here it is only found again.

import type { TagNames } from './xml-names.ts';

export interface Form {
  /** `empty`: start and end in one. */
  readonly kind: 'start' | 'empty' | 'end';
  readonly tag: TagNames;
}

/** By a piece of the text outside the quotes, up to the quote that opens a value or to the tag's end: what may follow. */
type Pieces = Map<string, Pieces | Form>;

/** With more, all are forgotten: a refill is cheap, and names made up by somebody do not push out the common ones for good. */
const maxPieces = 4096;
/** Characters of one tag. */
const maxLength = 1024;
const [doubleQuote, singleQuote, greater] = [0x22, 0x27, 0x3e];

export class TagForms {
  #first: Pieces = new Map();
  #count = 0;
  /** Of the tag that was found last: the place behind its `>`, and its values. */
  end = 0;
  values: string[] = [];

  /** The form of the tag that begins at `at` and ends before `stop`; null if it is new. */
  find(chunk: string, at: number, stop: number): Form | null {
    let pieces = this.#first;
    this.values = [];
    for (let from = at; ; ) {
      const piece = this.#piece(chunk, from, stop);
      const found = pieces.get(piece);
      if (found === undefined) return null;
      if (!(found instanceof Map)) return found;
      from = this.#value(chunk, stop);
      if (from < 0) return null;
      pieces = found;
    }
  }

  /** `text` is a whole tag, in which sax has read `values`; where they are not what stands there, it holds a reference. */
  learn(text: string, form: Form, values: readonly string[]): void {
    if (text.length > maxLength) return;
    if (this.#count >= maxPieces) this.#first = new Map();
    if (this.#first.size === 0) this.#count = 0;
    let pieces = this.#first;
    this.values = [];
    for (let from = 0; ; ) {
      // A copy: a slice would keep the whole chunk in memory.
      const piece = Buffer.from(this.#piece(text, from, text.length)).toString();
      this.#count += 1;
      if (piece.endsWith('>')) {
        const isAlike = values.length === this.values.length && values.every((value, at) => value === this.values[at]);
        if (isAlike) pieces.set(piece, form);
        return;
      }
      from = this.#value(text, text.length);
      if (from < 0) return;
      const next = pieces.get(piece) ?? new Map();
      if (!(next instanceof Map)) return;
      pieces.set(piece, next);
      pieces = next;
    }
  }

  /** Up to and including the next quote or `>`, whichever comes first; `end` is the place behind it. */
  #piece(chunk: string, from: number, stop: number): string {
    let at = from;
    for (; at < stop; at += 1) {
      const code = chunk.charCodeAt(at);
      if (code === greater || code === doubleQuote || code === singleQuote) break;
    }
    this.end = Math.min(at + 1, stop);
    return chunk.slice(from, this.end);
  }

  /** Takes the value that begins at `end`; gives the place of its closing quote, or -1. */
  #value(chunk: string, stop: number): number {
    const begin = this.end;
    const close = chunk.indexOf(chunk[begin - 1]!, begin);
    if (close < 0 || close >= stop) return -1;
    this.values.push(chunk.slice(begin, close));
    return close + 1;
  }
}
