// What a stanza is made of, without what it says: names, namespaces, names of attributes. Never a text, a value or an address. Pure.

import type { Element } from 'ltx';
import { isNamespaceAttribute, namespaceOf } from '../mapping/xml.ts';

const maxDepth = 6;
const maxChildren = 20;
const maxLength = 1000;
const maxName = 64;
const maxNamespace = 128;

/** `<message from id to type><body>…</body><x xmlns="urn:example" a/></message>`; what is beyond the limits is `…`. */
export function outlineOf(element: Element): string {
  const text = write(element, '', 1);
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
}

/** A name or path as far as a report shows it: others choose them, so they are cut and free of control characters. */
export function shown(text: string, max = maxName): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
  return plain.length > max ? `${plain.slice(0, max)}…` : plain;
}

export const shownNamespace = (namespace: string) => shown(namespace, maxNamespace);

function write(element: Element, around: string, depth: number): string {
  const namespace = namespaceOf(element);
  const name = shown(element.name);
  const own = depth === 1 || namespace === around ? '' : ` xmlns="${shownNamespace(namespace)}"`;
  const names = Object.keys(element.attrs).filter((attribute) => !isNamespaceAttribute(attribute));
  const attributes = [...names.sort().slice(0, maxChildren), ...(names.length > maxChildren ? ['…'] : [])];
  const start = `<${name}${own}${attributes.map((attribute) => ` ${shown(attribute)}`).join('')}`;
  if (depth === maxDepth && element.children.length > 0) return `${start}>…</${name}>`;
  const inner = element.children
    .slice(0, maxChildren)
    .map((child) =>
      typeof child === 'string' ? (child.trim() === '' ? '' : '…') : write(child, namespace, depth + 1),
    );
  if (element.children.length > maxChildren) inner.push('…');
  return inner.join('') === '' ? `${start}/>` : `${start}>${inner.join('')}</${name}>`;
}
