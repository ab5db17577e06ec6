// Subscriptions (RFC 6121 §3): what tells a contact's request that the server repeats from a new one. Pure.

import type { Element } from 'ltx';
import { subscriptionKey } from '../ledger/repeat.ts';
import { subscriptionTypes } from '../mapping/language.ts';
import type { User } from '../migration/users.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { Arrival, Position } from '../xmpp/session.ts';

/** Does a presence of this type concern a subscription? */
export function isSubscription(type: unknown): boolean {
  return subscriptionTypes.includes(type as string);
}

/**
 * The server keeps a request until it is answered, and tells it every session anew when that is made (§3.1.3): then, and only then,
 * it is a repeat of the one with the same key. One that comes to a session that stands is new, and so is any that comes
 * after the contact has taken its request back: `renews` is the key that is over by it.
 */
export function repeatOf(user: User, stanza: Element, { position }: Arrival): { archiveKey?: string; renews?: string } {
  const { from = '', type, id } = stanza.attrs;
  const contact = prepareBare(from) ?? from;
  if (type === 'unsubscribe') return { renews: subscriptionKey({ user: user.jid, contact }) };
  if (type !== 'subscribe') return {};
  const archiveKey = subscriptionKey({ user: user.jid, contact, id });
  return isBeingMade(user, position) ? { archiveKey } : { archiveKey, renews: archiveKey };
}

/** Does this come to a session that is only being made? It is written down, with its epoch, before the server is asked for it. */
export function isBeingMade({ attached }: Pick<User, 'attached'>, position: Position | undefined): boolean {
  if (position === undefined) return false;
  return position.isNew ?? (attached?.epoch !== position.epoch || attached.pending === 'attach');
}

/** The key that is over when the user sends this: a contact that asks again after an answer asks anew. */
export function answeredBy(user: string, stanza: Element, contact: string): string | undefined {
  const { type } = stanza.attrs;
  return type === 'subscribed' || type === 'unsubscribed' ? subscriptionKey({ user, contact }) : undefined;
}
