// Fragments of XML for the field `xml` and for `as: xml`: written so that they stand by themselves, read with all limits on.

import { Element } from 'ltx';
import { isRefusal } from '../refusal.ts';
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

/** One element with its namespace. Throws on one that the reader cannot have made. */
export function writeXml(element: Element): string {
  const copy = new Element(element.name);
  copy.attrs = { ...element.attrs, xmlns: namespaceOf(element) };
  copy.children = element.children;
  const text = writeElement(copy);
  if (isRefusal(text)) throw new Error(text.text);
  return text;
}
