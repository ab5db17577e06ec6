// What is asked of a stanza on its way (RFC 6120 §8, XEP-0203, XEP-0359). Stanzas are canonical: see xml-reader.

import { Element } from 'ltx';
import { prepareDomain } from './jid.ts';
import { NS_ARCHIVED, NS_DELAY, NS_SID } from './namespaces.ts';

export function isStanza(element: Element): boolean {
  const { name, attrs } = element;
  return attrs.xmlns === undefined && (name === 'message' || name === 'presence' || name === 'iq');
}

/** The first child of that name and namespace that states it itself, as every extension does. */
export function childOf(stanza: Element, name: string, xmlns: string): Element | undefined {
  return elementsOf(stanza).find((child) => child.name === name && child.attrs.xmlns === xmlns);
}

/** The child elements, in order. */
export function elementsOf(element: Element): Element[] {
  return element.children.filter((child): child is Element => child instanceof Element);
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

const clockSkewMs = 60_000;

/**
 * When the user's own server says the stanza was first sent: ms since 1970. Null without such a stamp; others' stamps are hearsay.
 * The last valid one counts, because a server adds its own behind what a sender has forged; one from before 1970, or more than
 * a minute after `now` (ms since 1970), is none. `archive`: the bare JID whose archive gives ids; a stamp that stands before such an
 * id was there when the server first saw the stanza, so it is not the server's.
 */
export function delayOf(stanza: Element, serverDomain: string, now: number, archive?: string): number | null {
  let last: number | null = null;
  for (const child of elementsOf(stanza)) {
    const { xmlns, from, stamp } = child.attrs;
    if (archive && xmlns === NS_SID && child.name === 'stanza-id' && child.attrs.by === archive) last = null;
    if (child.name !== 'delay' || xmlns !== NS_DELAY || !from || !stamp) continue;
    if (prepareDomain(from) !== serverDomain) continue;
    const at = stampOf(stamp);
    if (at !== null && at <= now + clockSkewMs) last = at;
  }
  return last;
}

/** A time of XEP-0082 as ms since 1970; null for what is none, or from before. */
export function stampOf(stamp: string | undefined): number | null {
  const at = stamp !== undefined && dateTime.test(stamp) ? Date.parse(stamp) : -1;
  return at >= 0 ? at : null;
}

/** Children that servers add or change on the way; they do not make two copies two messages. */
const addedByServers = new Set([`${NS_DELAY} delay`, `${NS_SID} stanza-id`, `${NS_ARCHIVED} archived`]);

/**
 * Is this child of a stanza the sender's? What is made of these alone is the same for every copy of the stanza, wherever it was
 * delayed or archived.
 */
export function isContent({ name, attrs }: Element): boolean {
  return !addedByServers.has(`${attrs.xmlns} ${name}`);
}

/**
 * The same text by itself: what the reader gives of a stanza is cut out of the piece of the stream it came in, and keeps all of
 * that (64 KiB) in memory for as long as it is kept.
 */
export function alone(text: string): string {
  return ` ${text}`.slice(1);
}
