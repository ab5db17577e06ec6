// The tree of the stanza that is being read, in the canonical form of xml-reader: its open elements, and the namespaces around them.

import { Element } from 'ltx';
import { outlineOf } from './stanza-limits.ts';
import {
  insideStream,
  outermost,
  plainTag,
  resolveTag,
  type Scope,
  type StreamCondition,
  type TagNames,
} from './xml-names.ts';

export class StanzaTree {
  readonly #maxName: number;
  /** Outermost first, and the scopes around them. */
  readonly #open: Element[] = [];
  readonly #outer: Scope[] = [];
  #scope = outermost;
  /** The one that is complete. */
  #stanza: Element | null = null;

  constructor(maxName: number) {
    this.#maxName = maxName;
  }

  /** What stands around all stanzas; or why it may not. `fragment`: stanzas are in jabber:client whatever it says. */
  openRoot(tag: TagNames, values: readonly string[], kind: 'stream' | 'fragment'): Element | StreamCondition {
    const found = this.#resolve(tag, values);
    if (typeof found === 'string') return found;
    this.#scope = kind === 'fragment' ? insideStream : { ...found.scope, ns: insideStream.ns };
    return elementOf(found);
  }

  /** False where its names cannot be resolved: then it stands there under what can be said of it. */
  openElement(tag: TagNames, values: readonly string[]): boolean {
    const found = this.#resolve(tag, values);
    const isResolved = typeof found !== 'string';
    const start = isResolved ? found : plainTag(tag.rawName, tag.attributes, values, this.#scope, this.#maxName);
    const element = elementOf(start);
    this.#open.at(-1)?.cnode(element);
    this.#open.push(element);
    this.#outer.push(this.#scope);
    this.#scope = start.scope;
    return isResolved;
  }

  closeElement(): void {
    const closed = this.#open.pop()!;
    this.#scope = this.#outer.pop()!;
    if (this.#open.length === 0) this.#stanza = closed;
  }

  /** False where text may not stand: between stanzas. */
  addText(text: string): boolean {
    const element = this.#open.at(-1);
    if (element === undefined) return !/[^ \t\r\n]/.test(text);
    const { children } = element;
    const last = children.length - 1;
    if (typeof children[last] === 'string') children[last] += text;
    else children.push(text);
    return true;
  }

  /** The stanza that is complete, once. */
  take(): Element | null {
    const stanza = this.#stanza;
    this.#stanza = null;
    return stanza;
  }

  /** The outline of what there is; the tree is let go. `tagName`: of the tag that is being read, where nothing is open yet. */
  outline(tagName: string): Element {
    const half = plainTag(tagName, [], [], this.#scope, this.#maxName);
    const outline = outlineOf(this.#stanza ?? this.#open[0] ?? new Element(half.name), 3);
    this.drop();
    return outline;
  }

  /** Between stanzas again. */
  drop(): void {
    if (this.#outer.length > 0) this.#scope = this.#outer[0]!;
    this.#open.length = this.#outer.length = 0;
    this.#stanza = null;
  }

  #resolve(tag: TagNames, values: readonly string[]) {
    return tag.rawName.length > this.#maxName ? 'policy-violation' : resolveTag(tag, values, this.#scope);
  }
}

function elementOf({ name, attrs }: { name: string; attrs: Record<string, string> }): Element {
  const element = new Element(name);
  element.attrs = attrs;
  return element;
}
