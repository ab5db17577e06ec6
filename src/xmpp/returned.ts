// Handing back without the server module: the original in a message from the user to itself, readable for any client. Pure.

import { Element } from 'ltx';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { prepareBare } from './jid.ts';
import type { GiveBackRequest } from './link.ts';
import { NS_ATTACH, NS_CARBONS, NS_CLIENT, NS_DELAY, NS_FORWARD, NS_HINTS } from './namespaces.ts';
import { childOf, elementsOf, isStanza } from './stanza.ts';
import { parseStanza } from './xml-reader.ts';
import { writeStanza } from './xml-writer.ts';

/**
 * For legacy clients the sender's name and the text, with the original time (XEP-0203); the original whole (XEP-0297) for the gateway. Not
 * copied to the session that sends it (XEP-0280), nor archived a second time (XEP-0334).
 */
export function cover({ to, key, stamp, stanza }: Omit<GiveBackRequest, 'ends'>): string | Refusal {
  const original = parseStanza(stanza);
  if (original === null) return refuse('bad-request', 'it cannot be read');
  const { from = '', type = 'normal' } = original.attrs;
  const sender = prepareBare(from) ?? from;
  const body = elementsOf(original).find(({ name, attrs }) => name === 'body' && attrs.xmlns === undefined);
  const message = new Element('message', { to, type: type === 'chat' ? 'chat' : 'normal', id: key });
  message.c('body').t(`${sender}: ${body?.getText() ?? '(a message that this client cannot show)'}`);
  message.c('delay', { xmlns: NS_DELAY, from: sender, stamp });
  message.c('returned', { xmlns: NS_ATTACH });
  const forwarded = message.c('forwarded', { xmlns: NS_FORWARD });
  forwarded.c('delay', { xmlns: NS_DELAY, stamp });
  original.attrs.xmlns = NS_CLIENT;
  forwarded.cnode(original);
  message.c('private', { xmlns: NS_CARBONS });
  message.c('no-copy', { xmlns: NS_HINTS });
  message.c('no-permanent-store', { xmlns: NS_HINTS });
  return writeStanza(message);
}

/** The original, delayed by `domain`, if the user itself has sent it so covered; only the own account is believed. */
export function uncover(message: Element, user: string, domain: string): Element | null {
  if (!childOf(message, 'returned', NS_ATTACH) || prepareBare(message.attrs.from ?? '') !== user) return null;
  const forwarded = childOf(message, 'forwarded', NS_FORWARD);
  const original = forwarded && elementsOf(forwarded).find(({ attrs }) => attrs.xmlns === NS_CLIENT);
  const stamp = forwarded && childOf(forwarded, 'delay', NS_DELAY)?.attrs.stamp;
  if (!original || !stamp) return null;
  delete original.attrs.xmlns;
  original.parent = null;
  if (!isStanza(original) || original.name !== 'message') return null;
  original.c('delay', { xmlns: NS_DELAY, from: domain, stamp });
  return isRefusal(writeStanza(original)) ? null : original;
}
