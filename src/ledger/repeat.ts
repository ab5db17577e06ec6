// Repeat keys (DESIGN §8 "Repeat or new?"): what makes two messages the same one. Pure; the decision itself is in store-accept.ts.

import { hash } from 'node:crypto';

/** Two copies whose times lie further apart are two messages. */
export const repeatWindowMs = 15 * 60_000;

/** 132 bits of SHA-256, base64url. Each part stands behind its length, which keeps it apart from the next, whatever is in them. */
function digest(parts: readonly string[]): string {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return hash('sha256', text, 'base64url').slice(0, 22);
}

/**
 * The archive's id for it. `by`: who gave it, the user's bare JID or the room; the caller has checked that this entity
 * may be trusted (XEP-0359 §5). `from`: the sender's JID.
 */
export function archiveKey(parts: { user: string; by: string; stanzaId: string; from: string }): string {
  return digest(['toMqtt', 'archive', parts.user, parts.by, parts.stanzaId, parts.from]);
}

/**
 * The same words from the same sender. `from`: the sender's full JID; `children`: the text of the children that servers have
 * not added. Undefined without an id: two such messages may well be alike, and must both come.
 */
export function contentKey(parts: {
  user: string;
  from: string;
  channel: string;
  type: string;
  id?: string;
  children: string;
}): string | undefined {
  if (!parts.id) return undefined;
  return digest(['toMqtt', 'content', parts.user, parts.from, parts.channel, parts.type, parts.id, parts.children]);
}

/**
 * A contact's request to see the user's presence, which the server tells every new session until it is answered. Stands as an
 * archive's key does: however much later, it is the same request. `id`: of its stanza, where the contact's client gave one.
 */
export function subscriptionKey(parts: { user: string; contact: string; id?: string }): string {
  return digest(['toMqtt', 'subscribe', parts.user, parts.contact, parts.id ?? '']);
}

/** One id space per user, for all channels and devices. */
export function requestKey(parts: { user: string; id: string }): string {
  return digest(['toXmpp', 'request', parts.user, parts.id]);
}

/** Of the whole payload, as JSON with its keys in a fixed order: tells a repeated id from one used twice. */
export function digestOf(canonicalJson: string): string {
  return digest([canonicalJson]);
}
