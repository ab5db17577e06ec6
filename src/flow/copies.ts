// Messages as they come: themselves, or forwarded inside a carbon (XEP-0280) or a result of the archive (XEP-0313). Pure.

import type { Element } from 'ltx';
import { type Refusal, refuse } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import { NS_CARBONS, NS_CLIENT, NS_DELAY, NS_FORWARD, NS_HINTS, NS_MAM, NS_SID } from '../xmpp/namespaces.ts';
import type { Arrival } from '../xmpp/session.ts';
import { childOf, elementsOf, stampOf } from '../xmpp/stanza.ts';
import type { Way } from './route.ts';

/** A message, taken out of what it came in. */
export interface Brought {
  way: Way;
  direction: 'received' | 'sent';
  /** Alone, with its own from, to, id and type. */
  message: Element;
  /** Of a result of the archive: its id there, and when it was written there (ms). */
  archived?: { id: string; at: number };
}

/** The carbon or the result that a message holds, real or forged. Most messages pay no more for the question than a look at each child. */
export function wrapperOf(stanza: Element): Element | undefined {
  for (const child of stanza.children) {
    if (typeof child === 'string') continue;
    const { xmlns } = child.attrs;
    if (xmlns === NS_CARBONS && (child.name === 'received' || child.name === 'sent')) return child;
    if (xmlns === NS_MAM && child.name === 'result') return child;
  }
  return undefined;
}

/**
 * Only the user's own account says what another resource sent or got, or what is in the archive (XEP-0280 §11, XEP-0313 §4.1). A
 * server states the sender of all that comes from somebody; what has none is the account's (RFC 6120 §8.1.2.1; Prosody's archive).
 */
export function wayOf(stanza: Element, wrapper: Element | undefined, { dir, isLate, user }: Arrival): Way {
  if (dir) return isLate ? 'late' : 'observed';
  if (!wrapper || !isOwnBare(stanza.attrs.from ?? user, user)) return 'direct';
  return wrapper.attrs.xmlns === NS_CARBONS ? 'carbon' : 'archive';
}

/** What came as itself. */
export function bring(message: Element, way: Way, { dir }: Arrival): Brought {
  return { way, direction: dir === 'out' ? 'sent' : 'received', message };
}

/**
 * Takes the message out of a carbon or a result that the own account has sent. Refused: anything that does not hold exactly one
 * message of this user, or one that holds such a thing itself. A delay stamp inside `forwarded` is the archive's word, never the message's.
 */
export function unwrap(wrapper: Element, way: Way, user: string): Brought | Refusal {
  if (way === 'direct' || way === 'observed' || way === 'late')
    return refuse('policy-violation', 'only the own account can send a carbon, or a result of the archive');
  const forwarded = childOf(wrapper, 'forwarded', NS_FORWARD);
  const stanzas = forwarded ? elementsOf(forwarded).filter(({ attrs }) => attrs.xmlns === NS_CLIENT) : [];
  const [message] = stanzas;
  if (!forwarded || message?.name !== 'message' || stanzas.length > 1) return odd(way, 'not one message');
  if (wrapperOf(message)) return odd(way, 'a copy of a copy');
  delete message.attrs.xmlns;
  message.parent = null;
  const isSent = way === 'carbon' ? wrapper.name === 'sent' : prepareBare(message.attrs.from ?? user) === user;
  // The account itself need not be named (RFC 6120 §8.1.1.1, §8.1.2.1).
  const own = isSent ? 'from' : 'to';
  message.attrs[own] ??= user;
  if (prepareBare(message.attrs[own]) !== user) return odd(way, 'a message of somebody else');
  const brought: Brought = { way, direction: isSent ? 'sent' : 'received', message };
  if (way !== 'archive') return brought;
  const at = stampOf(childOf(forwarded, 'delay', NS_DELAY)?.attrs.stamp);
  const { id } = wrapper.attrs;
  if (!id || at === null) return odd(way, 'no id or no time');
  // As the live copy bears it (XEP-0359): should this one be handed back, its next copy is known by it.
  if (archiveIdOf(message, user, undefined) !== id) message.c('stanza-id', { xmlns: NS_SID, by: user, id });
  return { ...brought, archived: { id, at } };
}

/**
 * Whether another resource of the user would have been sent a carbon of this observed message, or the message itself: an app that
 * was there all the time has seen the same (XEP-0280 §6.1, as Prosody and ejabberd do it).
 */
export function isShared(stanza: Element, { dir, user, sid }: Arrival): boolean {
  const { type = 'normal', from, to } = stanza.attrs;
  if (dir === 'in' && (to === undefined || isOwnBare(to, user))) return true;
  if (childOf(stanza, 'private', NS_CARBONS) || childOf(stanza, 'no-copy', NS_HINTS)) return false;
  if (type === 'error') return dir === 'in' && from !== undefined && !from.includes('/');
  if (type === 'chat' || archiveIdOf(stanza, user, sid) !== undefined) return true;
  return (
    type === 'normal' && elementsOf(stanza).some(({ name, attrs }) => name === 'body' && attrs.xmlns === undefined)
  );
}

/** The id that the user's own archive has given a message. A forged one may stand before it (Prosody 0.12.3): the last counts. See hasArchive. */
export function archiveIdOf(message: Element, user: string, sid: string | undefined): string | undefined {
  let id = sid;
  for (const child of message.children) {
    if (typeof child === 'string' || child.attrs.xmlns !== NS_SID || child.name !== 'stanza-id') continue;
    if (child.attrs.id && isOwnBare(child.attrs.by, user)) id = child.attrs.id;
  }
  return id;
}

function isOwnBare(jid: string | undefined, user: string): boolean {
  return jid === user || (jid !== undefined && !jid.includes('/') && prepareBare(jid) === user);
}

function odd(way: Way, what: string): Refusal {
  return refuse('policy-violation', `this ${way === 'carbon' ? 'carbon' : 'result of the archive'} holds ${what}`);
}
