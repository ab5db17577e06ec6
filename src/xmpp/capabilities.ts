// An answer to disco#info as a hash (XEP-0115 §5.1), so that a contact asks one of many and knows them all. Pure.

import { createHash } from 'node:crypto';
import type { Element } from 'ltx';
import { elementsOf } from './stanza.ts';

/** `info`: the query element, without forms (XEP-0128): we answer with none. */
export function verificationString(info: Element): string {
  const children = elementsOf(info);
  const identities = children
    .filter(({ name }) => name === 'identity')
    .map(({ attrs }) => `${attrs.category}/${attrs.type}/${attrs['xml:lang'] ?? ''}/${attrs.name ?? ''}`);
  const features = children.filter(({ name }) => name === 'feature').map(({ attrs }) => attrs.var ?? '');
  return [...identities.sort(byOctets), ...features.sort(byOctets)].map((part) => `${part}<`).join('');
}

export function capabilitiesHash(info: Element): string {
  return createHash('sha1').update(verificationString(info)).digest('base64');
}

/** RFC 4790 i;octet. */
function byOctets(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
