// Finds the end of a stanza that is not wanted and keeps nothing of it, however long its names and however deep its elements.
// That what was begun is ended is left to the server. What no stream may carry is seen here, too (RFC 6120 §11.1).

/** Where in the XML the next character stands. */
export type Place =
  | { in: 'text' | 'less' | 'end tag' }
  /** `last`: the character before. */
  | { in: 'tag'; last: string }
  | { in: 'quoted'; quote: string }
  /** `read`: what has come since `<!`. */
  | { in: 'declaration'; read: string }
  /** `tail`: its last two characters. */
  | { in: 'cdata'; tail: string };

const cdata = '[CDATA[';
const tagMark = /["'>]/g;

export class Skipper {
  #place: Place;
  #depth: number;
  #done = false;
  #restricted = false;

  /** `depth`: open elements, the stanza included. */
  constructor(place: Place, depth: number) {
    this.#place = place;
    this.#depth = depth;
  }

  /** The stanza is at its end. */
  get done(): boolean {
    return this.#done;
  }

  /** A document type, a comment or a processing instruction has come; nothing more is to be read. */
  get restricted(): boolean {
    return this.#restricted;
  }

  /** Reads on from `at`; gives the place behind the stanza's last character, or the end of the chunk. */
  read(chunk: string, at: number): number {
    let next = at;
    while (next < chunk.length && !this.#done && !this.#restricted) next = this.#step(chunk, next);
    return next;
  }

  #step(chunk: string, at: number): number {
    const place = this.#place;
    switch (place.in) {
      case 'text':
        return this.#upTo(chunk.indexOf('<', at), chunk, { in: 'less' });
      case 'less':
        return this.#less(chunk, at);
      case 'quoted':
        return this.#upTo(chunk.indexOf(place.quote, at), chunk, { in: 'tag', last: place.quote });
      case 'tag':
        return this.#tag(chunk, at, place.last);
      case 'end tag': {
        const end = chunk.indexOf('>', at);
        if (end >= 0) this.#closed(this.#depth - 1);
        return end < 0 ? chunk.length : end + 1;
      }
      case 'declaration':
        place.read += chunk[at];
        if (place.read === cdata) this.#place = { in: 'cdata', tail: '' };
        else if (!cdata.startsWith(place.read)) this.#restricted = true;
        return at + 1;
      case 'cdata':
        return this.#cdata(chunk, at, place.tail);
    }
  }

  #upTo(found: number, chunk: string, then: Place): number {
    if (found < 0) return chunk.length;
    this.#place = then;
    return found + 1;
  }

  #less(chunk: string, at: number): number {
    const char = chunk[at]!;
    if (char === '?') this.#restricted = true;
    else if (char === '/') this.#place = { in: 'end tag' };
    else this.#place = char === '!' ? { in: 'declaration', read: '' } : { in: 'tag', last: char };
    return at + 1;
  }

  #tag(chunk: string, at: number, last: string): number {
    tagMark.lastIndex = at;
    const found = tagMark.exec(chunk)?.index ?? -1;
    if (found < 0) {
      this.#place = { in: 'tag', last: chunk.at(-1)! };
      return chunk.length;
    }
    const mark = chunk[found]!;
    if (mark !== '>') this.#place = { in: 'quoted', quote: mark };
    else this.#closed((found > at ? chunk[found - 1] : last) === '/' ? this.#depth : this.#depth + 1);
    return found + 1;
  }

  #cdata(chunk: string, at: number, tail: string): number {
    const joint = (tail + chunk.slice(at, at + 2)).indexOf(']]>');
    const end = joint < 0 ? chunk.indexOf(']]>', at) + 3 : at + joint + 3 - tail.length;
    if (joint < 0 && end === 2) {
      this.#place = { in: 'cdata', tail: (tail + chunk.slice(Math.max(at, chunk.length - 2))).slice(-2) };
      return chunk.length;
    }
    this.#place = { in: 'text' };
    return end;
  }

  /** A tag has ended, and this is the depth behind it. */
  #closed(depth: number): void {
    this.#depth = depth;
    this.#done = depth === 0;
    this.#place = { in: 'text' };
  }
}
