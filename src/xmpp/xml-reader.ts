// Reads an XMPP stream (RFC 6120 §4, §11) into canonical ltx elements, on sax; usable as `Parser` of @xmpp/component.
//
// sax is driven in slices, each one tag or the text up to one, so that each stanza's bytes are counted exactly and what sax does
// not check is seen in the raw text: `<` in an attribute, comments and the like. A tag of a form that it has read before is taken
// from tag-forms. Nothing is thrown or emitted inside its handlers; a throw there would leave it corrupt. U+FFFD may stand for
// bytes that were no UTF-8: the socket's decoder does not tell.
//
// A stream that ends over one stanza comes back with the same stanza. So nothing that a server's own parser has let in may be
// an error here: what goes over a limit, or cannot be resolved or written again, is skipped.

import { EventEmitter } from 'node:events';
import type { Element } from 'ltx';
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
import { ByteCount, defaultLimits, type ReaderLimits, type Skipped } from './stanza-limits.ts';
import { StanzaTree } from './stanza-tree.ts';
import { type Form, TagForms } from './tag-forms.ts';
import { type StreamCondition, type TagNames, tagNames } from './xml-names.ts';
import { Skipper } from './xml-skipper.ts';

/** What ends a stream. `condition` is the stream error's name (RFC 6120 §4.9.3). */
export class XmlFault extends Error {
  readonly condition: StreamCondition;
  constructor(condition: StreamCondition, text: string) {
    super(`${condition}: ${text}`);
    this.condition = condition;
  }
}

/** As one range this is looked for a third faster than as what it leaves out. */
const illegal = /[^\t\n\r\u0020-\ufffd]/;
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
  readonly #forms: TagForms;
  /** What the last slice was, if it was a tag that can be resolved. */
  #form: Form | null = null;
  /** The chunk's next `<` and the next `&`, as far as they were looked for. */
  #less = -1;
  #and = -1;
  /** Open elements, the root included. */
  #depth = 0;
  readonly #tree: StanzaTree;
  /** Attributes of the start tag being read; null outside of one, and while skipping. */
  #names: string[] | null = null;
  #values: string[] = [];
  /** What is wrong with them: a reason to skip the stanza. */
  #over: 'attributes' | 'names' | null = null;
  readonly #count: ByteCount;
  #skip: Omit<Skipped, 'bytes'> | null = null;
  /** Reads in sax's place until the skipped stanza ends. */
  #skipper: Skipper | null = null;
  /** What the last slice completed. */
  #root: Element | null = null;
  #complete: 'start' | 'stanza' | 'end' | null = null;

  /**
   * `fragment`: no stream around, the root is any element of jabber:client. `forms`: may be shared by readers with the same limits
   * of names and attributes.
   */
  constructor(limits: Partial<ReaderLimits> = {}, kind: 'stream' | 'fragment' = 'stream', forms = new TagForms()) {
    super();
    this.#forms = forms;
    this.#limits = { ...defaultLimits, ...limits };
    this.#kind = kind;
    this.#tree = new StanzaTree(this.#limits.maxName);
    this.#count = new ByteCount(this.#limits.maxBytes);
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
    this.#less = this.#and = -1;
    this.#count.chunk(chunk);
    for (let at = 0; at < chunk.length && this.#fault === null && !this.#dead; ) {
      at = this.#skipper === null ? this.#read(chunk, at) : this.#skipOn(this.#skipper, chunk, at);
    }
    this.#count.upTo(chunk.length);
    if (this.idle) this.#takeText();
    this.#reportFault();
  }

  /** No more input: an error, unless the root is closed. */
  end(): void {
    this.#fail('not-well-formed', 'it ends too early');
    this.#reportFault();
  }

  /** Reads one slice; gives the place behind it. */
  #read(chunk: string, at: number): number {
    const { state } = this.#sax;
    const isText = state <= lastOfText;
    if (this.#less < at) this.#less = indexOf(chunk, '<', at);
    const isTag = isText && this.#less === at;
    // Between stanzas: counting begins at the `<`.
    if (isText && this.#depth === 1) this.#count.beginAt(this.#less);
    if (isTag) {
      this.#less = indexOf(chunk, '<', at + 1);
      const known = state === TEXT && this.#depth > 0 ? this.#known(chunk, at) : null;
      if (known !== null) return this.#take(known);
    }
    const end = isText && !isTag ? this.#less : this.#tagEnd(chunk, at, isTag);
    if (isText && !isTag && state === TEXT && this.#depth > 0 && this.#nextAnd(chunk, at) >= end) {
      // In sax's place, which takes it character by character.
      this.#sax.textNode += chunk.slice(at, end);
      this.#afterSlice(end);
      return end;
    }
    this.#feed(chunk, at, end);
    const form = this.#form;
    if (isTag && form !== null) this.#forms.learn(chunk.slice(at, end), form, form.kind === 'end' ? [] : this.#values);
    return end;
  }

  /** Up to and including the tag's `>`; or its `<`, where something other than a tag may begin, and from there one by one. */
  #tagEnd(chunk: string, at: number, isBegin: boolean): number {
    const { state } = this.#sax;
    if (!isBegin && state >= afterLess && state <= lastUnusual) return at + 1;
    const next = chunk[at + 1];
    if (isBegin && (next === '!' || next === '?' || next === undefined)) return at + 1;
    const end = chunk.indexOf('>', at) + 1 || chunk.length;
    if (this.#less < end) this.#fail('not-well-formed', '< inside a tag');
    return end;
  }

  #nextAnd(chunk: string, at: number): number {
    if (this.#and < at) this.#and = indexOf(chunk, '&', at);
    return this.#and;
  }

  #known(chunk: string, at: number): Form | null {
    const form = this.#forms.find(chunk, at, Math.min(this.#less, this.#nextAnd(chunk, at)));
    if (form?.kind !== 'end') return form;
    const open = this.#sax.tags;
    // Wrong end tags and the root's are for sax.
    return open.length > 1 && open.at(-1)!.name === form.tag.rawName ? form : null;
  }

  /** In sax's place: it has the same elements open afterwards. */
  #take({ kind, tag }: Form): number {
    const { end, values } = this.#forms;
    this.#over = null;
    this.#takeText();
    if (kind !== 'end') this.#start(tag, values);
    if (kind === 'start') this.#sax.tags.push({ name: tag.rawName });
    if (kind === 'end') this.#sax.tags.pop();
    if (kind !== 'start') this.#closeTag();
    this.#afterSlice(end);
    return end;
  }

  #feed(chunk: string, at: number, end: number): void {
    if (this.#fault !== null) return;
    this.#form = null;
    this.#charsRead += end - at;
    try {
      this.#sax.write(chunk.slice(at, end));
    } catch (fault) {
      this.#fail('not-well-formed', String(fault));
    }
    const { state } = this.#sax;
    if (state > afterLess && state <= lastUnusual) this.#watch(state);
    this.#afterSlice(end);
  }

  #afterSlice(end: number): void {
    if (this.#skip === null && this.#count.isOver(end)) this.#startSkip('bytes');
    if (this.#fault !== null) return;
    if (this.#complete !== null) this.#report(this.#complete, end);
    else if (this.#skip !== null) this.#skipper = new Skipper(placeOf(this.#sax), this.#depth - 1);
  }

  #skipOn(skipper: Skipper, chunk: string, at: number): number {
    const end = skipper.read(chunk, at);
    if (skipper.restricted) this.#fail('restricted-xml', 'a document type, a comment or a processing instruction');
    if (!skipper.done) return end;
    this.#skipper = null;
    this.#depth = 1;
    afterStanza(this.#sax);
    this.#report('stanza', end);
    return end;
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

  #report(complete: 'start' | 'stanza' | 'end', end: number): void {
    const [root, stanza, skip] = [this.#root, this.#tree.take(), this.#skip];
    this.#complete = this.#root = this.#skip = null;
    const bytes = skip === null ? 0 : this.#count.upTo(end);
    this.#count.beginAt(end);
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
    this.#tree.drop();
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
    parser.onopentag = (tag) => this.#openTag(tag.name, tag.isSelfClosing);
    parser.onclosetag = (name) => {
      this.#form ??= { kind: 'end', tag: tagNames(name, []) };
      this.#closeTag();
    };
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

  #openTag(rawName: string, isEmpty: boolean): void {
    if (this.#fault !== null) return;
    const names = this.#names;
    this.#names = null;
    if (names === null) {
      this.#depth += 1;
      return;
    }
    const tag = tagNames(rawName, names);
    if (this.#over === null) this.#form = { kind: isEmpty ? 'empty' : 'start', tag };
    this.#start(tag, this.#values);
  }

  #start(tag: TagNames, values: readonly string[]): void {
    this.#depth += 1;
    if (this.#depth === 1) {
      this.#openRoot(tag, values);
      return;
    }
    const isResolved = this.#tree.openElement(tag, values);
    if (this.#depth > this.#limits.maxDepth + 1) this.#startSkip('depth');
    else if (this.#over !== null) this.#startSkip(this.#over);
    else if (!isResolved) this.#startSkip('names');
  }

  #openRoot(tag: TagNames, values: readonly string[]): void {
    const root = this.#tree.openRoot(tag, values, this.#kind);
    if (typeof root === 'string') this.#fail(root, 'the name of the stream');
    else if (this.#over !== null) this.#fail('policy-violation', 'the stream header is too large');
    else {
      if (this.#kind === 'stream' && !root.is('stream', NS_STREAMS))
        this.#fail('invalid-namespace', 'this is no stream');
      this.#root = root;
      this.#complete = 'start';
    }
  }

  #closeTag(): void {
    if (this.#fault !== null) return;
    this.#depth -= 1;
    if (this.#depth === 0) this.#complete = 'end';
    if (this.#depth === 1) this.#complete = 'stanza';
    if (this.#skip === null && this.#depth > 0) this.#tree.closeElement();
  }

  /** What sax has gathered and would tell at the next tag. */
  #takeText(): void {
    const { textNode } = this.#sax;
    if (textNode === '') return;
    this.#sax.textNode = '';
    this.#text(textNode);
  }

  #text(text: string): void {
    if (this.#fault !== null || this.#skip !== null) return;
    if (!this.#tree.addText(text)) this.#fail('bad-format', 'text between stanzas');
  }

  /** Keeps the outline, lets go of the tree. */
  #startSkip(reason: Skipped['reason']): void {
    if (this.#fault !== null) return;
    if (this.#depth === 0 || this.#complete === 'start') {
      this.#fail('policy-violation', 'the stream header is too large');
      return;
    }
    this.#skip = { outline: this.#tree.outline(this.#sax.tagName), reason };
    this.#names = null;
  }
}

/** Where `char` is next; the end of the text if it does not come. */
function indexOf(text: string, char: string, from: number): number {
  const at = text.indexOf(char, from);
  return at < 0 ? text.length : at;
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
