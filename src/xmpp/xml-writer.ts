// Every byte to the legacy server is made here, from the canonical tree of xml-reader: XML 1.0 and its namespaces, RFC 6120 §11.

import type { Element } from 'ltx';
import { type Refusal, refuse } from '../refusal.ts';
import { isNcName } from './name-chars.ts';
import { NS_CLIENT, NS_COMPONENT } from './namespaces.ts';
import { isNamespaceName, mayBind } from './xml-names.ts';
import { isXmlText } from './xml-text.ts';

/** Deeper than the reader takes; it keeps a tree that was built here from filling the stack. */
const maxDepth = 200;

/**
 * The text of one stanza. Its root must be a message, presence or iq of the stream (jabber:client, or no namespace at all); its
 * namespace is written only if asked for with `ns`, as for a stanza inside an envelope. Refused, instead of sent: a character
 * XML does not allow, a name or a namespace that expat does not take, an unbound prefix, an attribute twice, another root.
 */
export function writeStanza(stanza: Element, options: { ns?: string } = {}): string | Refusal {
  return isWritable(stanza) ? written(stanza, options.ns ?? '') : refuse('bad-request', 'this is no stanza');
}

/** As {@link writeStanza}, and besides the text of those of its child elements that are its content. */
export function writeWithContent(
  stanza: Element,
  isContent: (child: Element) => boolean,
): { text: string; content: string } | Refusal {
  let content = '';
  const text = isWritable(stanza)
    ? written(stanza, '', (child, childText) => {
        if (isContent(child)) content += childText;
      })
    : refuse('bad-request', 'this is no stanza');
  return typeof text === 'string' ? { text, content } : text;
}

function isWritable({ name, attrs }: Element): boolean {
  return (name === 'message' || name === 'presence' || name === 'iq') && isStanzaNs(attrs.xmlns ?? NS_CLIENT);
}

/** The text of any one element, with its `xmlns` where it has one: for what goes into a stanza, or on disk. */
export function writeElement(element: Element): string | Refusal {
  return written(element, element.attrs.xmlns ?? '');
}

/**
 * One start tag around finished text: the envelopes of our own protocols. Attributes that are undefined are left out.
 * Throws on a character XML does not allow: these values are ours, so that is a fault.
 */
export function tag(name: string, attrs: Record<string, string | number | undefined>, inner = ''): string {
  let out = `<${name}`;
  for (const key in attrs) {
    const value = attrs[key];
    if (value === undefined) continue;
    const escaped = escapeAttribute(String(value));
    if (escaped === null) throw new Error(`${name}/@${key} has a character that XML does not allow`);
    out += ` ${key}="${escaped}"`;
  }
  return inner === '' ? `${out}/>` : `${out}>${inner}</${name}>`;
}

const inClient = ` xmlns="${NS_CLIENT}"`;
const rootName = /^<[a-z]+/;

/** A stanza that {@link writeStanza} wrote, for inside an envelope: its root states jabber:client. */
export function forEnvelope(stanza: string): string {
  const end = rootName.exec(stanza)?.[0].length ?? 0;
  return stanza.startsWith(' xmlns=', end) ? stanza : stanza.slice(0, end) + inClient + stanza.slice(end);
}

/** A stanza that {@link writeStanza} wrote, for the stream itself: its root states no namespace. */
export function forStream(stanza: string): string {
  const end = rootName.exec(stanza)?.[0].length ?? 0;
  return stanza.startsWith(inClient, end) ? stanza.slice(0, end) + stanza.slice(end + inClient.length) : stanza;
}

function isStanzaNs(ns: string): boolean {
  return ns === NS_CLIENT || ns === NS_COMPONENT;
}

/** Hears of each child element of the root, and its text. */
type ChildWritten = (child: Element, text: string) => void;

function written(root: Element, ns: string, onChild?: ChildWritten): string | Refusal {
  const problem: Problem = { text: 'a name' };
  const text = writeNode(root, ns === '' ? NS_CLIENT : ns, ns, 1, problem, onChild);
  return text === null ? refuse('not-acceptable', `this cannot be written as XML: ${problem.text}`) : inOnePiece(text);
}

/**
 * The same element. V8 leaves a text in the hundred pieces it was made of until somebody looks into it; those of thousands of stanzas that
 * wait for a commit would be copied one by one by the garbage collector.
 */
function inOnePiece(text: string): string {
  return text.slice(text.indexOf('<'));
}

interface Problem {
  text: string;
}

/** `inherited`: the namespace around; `ns`: what to declare, '' for nothing, undefined for what the element says. */
function writeNode(
  element: Element,
  inherited: string,
  ns: string | undefined,
  depth: number,
  problem: Problem,
  onChild?: ChildWritten,
): string | null {
  const { name, attrs, children } = element;
  if (!isNcName(name)) return bad(problem, 'a name');
  if (depth > maxDepth) return bad(problem, 'too many levels');
  let inside = inherited;
  let out = `<${name}`;
  let declared = ns;
  if (ns === undefined && attrs.xmlns !== undefined) {
    inside = isStanzaNs(attrs.xmlns) ? NS_CLIENT : attrs.xmlns;
    if (inside !== inherited) declared = inside;
  }
  if (declared !== undefined && (ns === undefined || ns !== '')) {
    const escaped = isNamespaceName(declared) ? escapeAttribute(declared) : null;
    if (escaped === null) return bad(problem, 'a namespace');
    out += ` xmlns="${escaped}"`;
  }
  for (const key in attrs) {
    const value: unknown = attrs[key];
    if (key === 'xmlns' || value === undefined || value === null) continue;
    if (!isNcName(key) && !isBound(key, attrs)) return bad(problem, 'a prefix or an attribute');
    const escaped = escapeAttribute(String(value));
    if (escaped === null) return bad(problem, 'a character');
    out += ` ${key}="${escaped}"`;
  }
  if (children.length === 0) return `${out}/>`;
  out += '>';
  for (const child of children) {
    const isText = typeof child === 'string';
    const inner = isText ? escapeText(child) : writeNode(child, inside, undefined, depth + 1, problem);
    if (inner === null) return isText ? bad(problem, 'a character') : null;
    if (!isText) onChild?.(child, inner);
    out += inner;
  }
  return `${out}</${name}>`;
}

function bad(problem: Problem, text: string): null {
  problem.text = text;
  return null;
}

/** A prefixed attribute: `xml:` always; a declaration that may be made; else declared on this element, and only once by namespace. */
function isBound(key: string, attrs: Record<string, string>): boolean {
  const colon = key.indexOf(':');
  const prefix = key.slice(0, colon);
  const local = key.slice(colon + 1);
  if (colon < 1 || !isNcName(prefix) || !isNcName(local)) return false;
  if (prefix === 'xml') return true;
  if (prefix === 'xmlns') return mayBind(local, String(attrs[key]));
  const uri = attrs[`xmlns:${prefix}`];
  if (uri === undefined) return false;
  for (const other in attrs) {
    const mark = other.indexOf(':');
    if (other === key || mark < 0 || other.slice(mark + 1) !== local) continue;
    if (attrs[`xmlns:${other.slice(0, mark)}`] === uri) return false;
  }
  return true;
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are what they look for
const notPlainText = /[&<>\u0000-\u0008\u000b-\u001f\ufffe\uffff]/;
const notPlainAttribute = /[&<>"\u0000-\u001f\ufffe\uffff]/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: until here
const references: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
const reference = (char: string): string => references[char] ?? char;

/** Null if it has a character XML 1.0 does not allow (§2.2). A bare CR would be read as LF (§2.11). */
function escapeText(text: string): string | null {
  if (!notPlainText.test(text)) return text.isWellFormed() ? text : null;
  return !isXmlText(text) ? null : text.replace(/[&<>\r]/g, reference);
}

/** As for text; white space other than blanks would be read as blanks (§3.3.3). */
function escapeAttribute(value: string): string | null {
  if (!notPlainAttribute.test(value)) return value.isWellFormed() ? value : null;
  return !isXmlText(value) ? null : value.replace(/[&<>"\t\n\r]/g, reference);
}
