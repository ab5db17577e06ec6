// Fragments of XML for the field `xml` and for `as: xml`: written so that they stand by themselves, read with all limits on.

import { Element } from 'ltx';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { isAsciiName } from '../xmpp/name-chars.ts';
import { parseStanza } from '../xmpp/xml-reader.ts';
import { writeElement } from '../xmpp/xml-writer.ts';
import { clientNamespace } from './language.ts';

/** The namespace in force; that of a component's stream, or none around it all, is jabber:client (XEP-0114 §3). */
export function namespaceOf(element: Element): string {
  const namespace = element.attrs.xmlns ?? (element.parent ? namespaceOf(element.parent) : clientNamespace);
  return namespace === 'jabber:component:accept' ? clientNamespace : namespace;
}

export function isNamespaceAttribute(name: string): boolean {
  return name === 'xmlns' || name.startsWith('xmlns:');
}

/** The elements of a fragment; null for whatever xml-reader refuses, and for text between them. */
export function parseXml(text: string): Element[] | null {
  // The reader takes exactly one element, so text that closes this one cannot add another.
  const children = parseStanza(`<message xmlns='${clientNamespace}'>${text}</message>`)?.children;
  if (!children || children.some((child) => typeof child === 'string' && child.trim() !== '')) return null;
  return children.filter((child) => typeof child !== 'string');
}

/** Bytes of UTF-8 that an app may say in XML. */
const maxXmlBytes = 65_536;

/**
 * The elements that an app says in the field `field`. Refused with the reason: more than 64 KiB, what {@link parseXml} refuses
 * (a namespace that is no URI with it), and names beyond ASCII: not every parser on the way takes the same ones.
 */
export function parseAppXml(field: string, text: string): Element[] | Refusal {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxXmlBytes) {
    return refuse('policy-violation', `'${field}' has ${bytes} bytes, and ${maxXmlBytes} are allowed`);
  }
  const elements = parseXml(text);
  if (!elements) {
    return refuse('bad-request', `'${field}' must be well-formed elements, without comments, instructions or DTD`);
  }
  const foreign = elements.map(foreignName).find((name) => name !== undefined);
  if (foreign === undefined) return elements;
  return refuse('not-acceptable', `'${field}' has the name '${foreign.slice(0, 64)}': names must be ASCII`);
}

/** The first name of an element or attribute that has more than ASCII. */
function foreignName(element: Element): string | undefined {
  for (const name of [element.name, ...Object.keys(element.attrs)]) {
    if (!name.split(':').every(isAsciiName)) return name;
  }
  for (const child of element.children) {
    const found = typeof child === 'string' ? undefined : foreignName(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** One element with its namespace. Throws on one that the reader cannot have made. */
export function writeXml(element: Element): string {
  const copy = new Element(element.name);
  copy.attrs = { ...element.attrs, xmlns: namespaceOf(element) };
  copy.children = element.children;
  const text = writeElement(copy);
  if (isRefusal(text)) throw new Error(text.text);
  return text;
}
