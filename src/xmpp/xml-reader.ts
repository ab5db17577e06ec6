// Reads an XMPP stream (RFC 6120 §4, §11) into canonical ltx elements, on sax; usable as `Parser` of @xmpp/component.
//
// sax is driven in slices that end with a tag, so that each stanza's bytes are counted exactly and what sax does not check is
// seen in the raw text: `<` in an attribute, comments and the like. Nothing is thrown or emitted inside its handlers; a throw
// there would leave it corrupt. U+FFFD may stand for bytes that were no UTF-8: the socket's decoder does not tell.
//
// A stream that ends over one stanza comes back with the same stanza. So nothing that a server's own parser has let in may be
// an error here: what goes over a limit, or cannot be resolved or written again, is skipped.

import { EventEmitter } from 'node:events';
import { Element } from 'ltx';
import { NS_STREAMS } from './namespaces.ts';
import {
  afterLess,
  afterStanza,
  lastOfText,
  lastUnusual,
  newParser,
  type Parser,
  placeOf,
  STATE,
  TEXT,
} from './sax-parser.ts';
import { insideStream, outermost, plainTag, resolveTag, type Scope, type StreamCondition } from './xml-names.ts';
import { Skipper } from './xml-skipper.ts';

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

/** What ends a stream. `condition` is the stream error's name (RFC 6120 §4.9.3). */
export class XmlFault extends Error {
  readonly condition: StreamCondition;
  constructor(condition: StreamCondition, text: string) {
    super(`${condition}: ${text}`);
    this.condition = condition;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const illegal = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
/** Kept even of a tag that has too many: by these it is known whom to answer, and whether. */
const addressing: ReadonlySet<string> = new Set(['from', 'to', 'id', 'type']);

/**
 * Events: `start` (root), `element` (one stanza, without parent), `skipped` ({@link Skipped}, in the stanza's place), `end`
 * (the root is closed), `error` ({@link XmlFault}; the reader is dead afterwards and ignores what it is given).
 * Canonical: names have no prefix; `xmlns` stands only where an element's namespace is not its parent's (jabber:client and
 * jabber:component:accept count as one, and are the stream's); a prefixed attribute's prefix is declared beside it.
 * Line ends are kept as they came, because servers write what they parsed without escaping it.
 */
export class XmlReader extends EventEmitter {
  readonly #limits: ReaderLimits;
  readonly #kind: 'stream' | 'fragment';
  readonly #sax: Parser;
  #fault: XmlFault | null = null;
  #dead = false;
  #charsRead = 0;
  #declaring = false;
  /** Open elements, the root included. */
  #depth = 0;
  /** The stanza's open elements, outermost first, and the scopes around them. */
  readonly #open: Element[] = [];
  readonly #outer: Scope[] = [];
  #scope = outermost;
  /** Attributes of the start tag being read; null outside of one, and while skipping. */
  #names: string[] | null = null;
  #values: string[] = [];
  /** What is wrong with them: a reason to skip the stanza. */
  #over: 'attributes' | 'names' | null = null;
  /** Of the stanza being read. */
  #bytes = 0;
  #skip: Omit<Skipped, 'bytes'> | null = null;
  /** Reads in sax's place until the skipped stanza ends. */
  #skipper: Skipper | null = null;
  /** What the last slice completed. */
  #root: Element | null = null;
  #stanza: Element | null = null;
  #complete: 'start' | 'stanza' | 'end' | null = null;

  /** `fragment`: no stream around, the root is any element of jabber:client. */
  constructor(limits: Partial<ReaderLimits> = {}, kind: 'stream' | 'fragment' = 'stream') {
    super();
    this.#limits = { ...defaultLimits, ...limits };
    this.#kind = kind;
    this.#sax = newParser();
    this.#listen();
  }

  /** True between stanzas: nothing is half read. */
  get idle(): boolean {
    return !this.#dead && this.#depth === 1 && this.#skipper === null && this.#sax.state === TEXT;
  }

  /** Takes the next characters. A chunk must not end inside a surrogate pair (that of a socket with an encoding never does). */
  write(chunk: string): void {
    if (this.#dead) return;
    if (illegal.test(chunk) || !chunk.isWellFormed()) this.#fail('not-well-formed', 'a character XML does not allow');
    const ascii = Buffer.byteLength(chunk) === chunk.length;
    const size = (from: number, to: number) => (ascii ? to - from : Buffer.byteLength(chunk.slice(from, to)));
    let less = chunk.indexOf('<');
    for (let at = 0; at < chunk.length && this.#fault === null && !this.#dead; ) {
      if (this.#skipper !== null) {
        const end = this.#skipper.read(chunk, at);
        this.#bytes += size(at, end);
        this.#afterSkipping(this.#skipper);
        at = end;
        continue;
      }
      if (less >= 0 && less < at) less = chunk.indexOf('<', at);
      const end = this.#sliceEnd(chunk, at, less);
      let begin = at;
      if (this.#depth === 1 && this.#sax.state <= lastOfText) {
        // Between stanzas: counting begins at the `<`.
        this.#bytes = 0;
        begin = less >= at && less < end ? less : end;
      }
      this.#bytes += size(begin, end);
      this.#feed(chunk.slice(at, end));
      at = end;
    }
    if (this.idle && this.#sax.textNode !== '') {
      this.#text(this.#sax.textNode);
      this.#sax.textNode = '';
    }
    this.#reportFault();
  }

  /** No more input: an error, unless the root is closed. */
  end(): void {
    this.#fail('not-well-formed', 'it ends too early');
    this.#reportFault();
  }

  /** Up to and including the next tag's `>`; or its `<`, where something other than a tag may begin, and from there one by one. */
  #sliceEnd(chunk: string, at: number, less: number): number {
    const { state } = this.#sax;
    if (state >= afterLess && state <= lastUnusual) return at + 1;
    let tag = at;
    if (state <= lastOfText) {
      if (less < 0) return chunk.length;
      tag = less + 1;
      const next = chunk[tag];
      if (next === '!' || next === '?' || next === undefined) return tag;
    }
    const end = chunk.indexOf('>', tag) + 1 || chunk.length;
    const another = tag > at ? chunk.indexOf('<', tag) : less;
    if (another >= 0 && another < end) this.#fail('not-well-formed', '< inside a tag');
    return end;
  }

  #feed(slice: string): void {
    if (this.#fault !== null) return;
    this.#charsRead += slice.length;
    try {
      this.#sax.write(slice);
    } catch (fault) {
      this.#fail('not-well-formed', String(fault));
    }
    const { state } = this.#sax;
    if (state > afterLess && state <= lastUnusual) this.#watch(state);
    if (this.#bytes > this.#limits.maxBytes && this.#skip === null) this.#startSkip('bytes');
    if (this.#fault !== null) return;
    if (this.#complete !== null) this.#report(this.#complete);
    else if (this.#skip !== null) this.#skipper = new Skipper(placeOf(this.#sax), this.#depth - 1);
  }

  #afterSkipping({ done, restricted }: Skipper): void {
    if (restricted) this.#fail('restricted-xml', 'a document type, a comment or a processing instruction');
    if (!done) return;
    this.#skipper = null;
    this.#depth = 1;
    afterStanza(this.#sax);
    this.#report('stanza');
  }

  /** RFC 6120 §11.1: of all that begins with `<!` or `<?` only CDATA may come, and the XML declaration as the very first. */
  #watch(state: number): void {
    if (state >= STATE.PROC_INST!) {
      if (this.#charsRead === 2) this.#declaring = true;
      if (!this.#declaring) this.#fail('restricted-xml', 'a processing instruction');
    } else if (state < STATE.CDATA! && !(state === STATE.SGML_DECL && '[CDATA['.startsWith(this.#sax.sgmlDecl))) {
      this.#fail('restricted-xml', 'a document type or a comment');
    }
  }

  #report(complete: 'start' | 'stanza' | 'end'): void {
    const { bytes, root, stanza, skip } = {
      bytes: this.#bytes,
      root: this.#root,
      stanza: this.#stanza,
      skip: this.#skip,
    };
    this.#complete = this.#root = this.#stanza = this.#skip = null;
    this.#bytes = 0;
    if (complete === 'start') this.emit('start', root);
    else if (complete === 'end') {
      this.#dead = true;
      this.emit('end');
    } else if (skip !== null) this.emit('skipped', { ...skip, bytes });
    else this.emit('element', stanza);
  }

  #fail(condition: StreamCondition, text: string): void {
    this.#fault ??= new XmlFault(condition, text);
  }

  #reportFault(): void {
    if (this.#fault === null || this.#dead) return;
    this.#dead = true;
    this.#open.length = 0;
    this.emit('error', this.#fault);
  }

  #listen(): void {
    const parser = this.#sax;
    // sax drops a repeated attribute without a word, and an attribute called hasOwnProperty breaks it. It asks this list first
    // whether it has seen a name: we take name and value there and say yes, so that sax keeps none (and is faster).
    parser.attribList = { length: 0, indexOf: (name) => this.#attribute(name, parser.attribValue) };
    parser.onopentagstart = () => {
      if (this.#skip !== null) return;
      this.#names = [];
      this.#values = [];
      this.#over = null;
    };
    parser.onopentag = (tag) => this.#openTag(tag.name);
    parser.onclosetag = () => this.#closeTag();
    parser.ontext = parser.oncdata = (text) => this.#text(text);
    parser.onprocessinginstruction = ({ name }) => {
      this.#declaring = false;
      if (name !== 'xml') this.#fail('restricted-xml', 'a processing instruction');
    };
    parser.onerror = (fault) => this.#fail('not-well-formed', fault.message);
  }

  /** 0: sax shall think it has it already. */
  #attribute(name: string, value: string): 0 {
    const names = this.#names;
    if (names === null) return 0;
    if (names.includes(name)) this.#fail('not-well-formed', 'an attribute twice');
    else if (name.length > this.#limits.maxName) this.#over = 'names';
    else if (names.length >= this.#limits.maxAttributes && !addressing.has(name)) this.#over ??= 'attributes';
    else {
      names.push(name);
      this.#values.push(value);
    }
    return 0;
  }

  #openTag(rawName: string): void {
    if (this.#fault !== null) return;
    this.#depth += 1;
    const [names, values] = [this.#names, this.#values];
    if (names === null) return;
    this.#names = null;
    const { maxName, maxDepth } = this.#limits;
    const found = rawName.length > maxName ? 'policy-violation' : resolveTag(rawName, names, values, this.#scope);
    if (this.#depth === 1 && typeof found === 'string') {
      this.#fail(found, 'the name of the stream');
      return;
    }
    const tag = typeof found === 'string' ? plainTag(rawName, names, values, this.#scope, maxName) : found;
    const element = new Element(tag.name);
    element.attrs = tag.attrs;
    if (this.#depth === 1) {
      this.#openRoot(element, tag.scope);
      return;
    }
    this.#open.at(-1)?.cnode(element);
    this.#open.push(element);
    this.#outer.push(this.#scope);
    this.#scope = tag.scope;
    if (this.#depth > maxDepth + 1) this.#startSkip('depth');
    else if (this.#over !== null) this.#startSkip(this.#over);
    else if (tag !== found) this.#startSkip('names');
  }

  #openRoot(root: Element, scope: Scope): void {
    if (this.#over !== null) {
      this.#fail('policy-violation', 'the stream header is too large');
      return;
    }
    if (this.#kind === 'stream' && !root.is('stream', NS_STREAMS)) this.#fail('invalid-namespace', 'this is no stream');
    this.#scope = this.#kind === 'fragment' ? insideStream : { ...scope, ns: insideStream.ns };
    this.#root = root;
    this.#complete = 'start';
  }

  #closeTag(): void {
    if (this.#fault !== null) return;
    this.#depth -= 1;
    if (this.#depth === 0) this.#complete = 'end';
    if (this.#depth === 1) this.#complete = 'stanza';
    if (this.#skip !== null || this.#depth === 0) return;
    const closed = this.#open.pop()!;
    this.#scope = this.#outer.pop()!;
    if (this.#depth === 1) this.#stanza = closed;
  }

  #text(text: string): void {
    if (this.#fault !== null || this.#skip !== null) return;
    const element = this.#open.at(-1);
    if (element === undefined) {
      if (/[^ \t\r\n]/.test(text)) this.#fail('bad-format', 'text between stanzas');
      return;
    }
    const { children } = element;
    const last = children.length - 1;
    if (typeof children[last] === 'string') children[last] += text;
    else children.push(text);
  }

  /** Keeps the outline, lets go of the tree. */
  #startSkip(reason: Skipped['reason']): void {
    if (this.#fault !== null) return;
    if (this.#depth === 0 || this.#complete === 'start') {
      this.#fail('policy-violation', 'the stream header is too large');
      return;
    }
    const top = this.#stanza ?? this.#open[0];
    const half = plainTag(this.#sax.tagName, [], [], this.#scope, this.#limits.maxName);
    this.#skip = { outline: outline(top ?? new Element(half.name), 3), reason };
    if (this.#outer.length > 0) this.#scope = this.#outer[0]!;
    this.#open.length = this.#outer.length = 0;
    this.#stanza = this.#names = null;
  }
}

function outline(element: Element, levels: number): Element {
  const copy = new Element(element.name);
  copy.attrs = { ...element.attrs };
  const first = element.children.find((child) => child instanceof Element);
  if (first instanceof Element && levels > 1) copy.cnode(outline(first, levels - 1));
  return copy;
}

/** Reads exactly one element, in the canonical form and by the rules of {@link XmlReader}; null if it is anything else. */
export function parseStanza(xml: string, limits: Partial<ReaderLimits> = {}): Element | null {
  const reader = new XmlReader(limits, 'fragment');
  const found: Element[] = [];
  let whole = true;
  reader.on('element', (element: Element) => found.push(element));
  for (const event of ['skipped', 'error', 'end']) reader.on(event, () => (whole = false));
  reader.write('<x>');
  reader.write(xml);
  return whole && reader.idle && found.length === 1 ? found[0]! : null;
}
