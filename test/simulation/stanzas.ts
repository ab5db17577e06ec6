// Chat messages as canonical stanzas (see xml-reader) and back, between the models and the parts under test.

import { Element } from 'ltx';
import { NS_CARBONS, NS_CLIENT, NS_DELAY, NS_PING } from '../../src/xmpp/namespaces.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import type { Chat } from './chat.ts';
import type { Witness } from './witness.ts';

export const domain = 'example.com';

export function chatStanza({ message, from = message.from, to, stamp }: Chat): Element {
  const { id, name } = message;
  const stanza = new Element('message', { from, to, id, type: 'chat' });
  stanza.c('body').t(name);
  if (stamp !== undefined) {
    stanza.c('delay', { xmlns: NS_DELAY, from: domain, stamp: new Date(stamp).toISOString().replace('.000', '') });
  }
  return stanza;
}

/** XEP-0280 §7, §8: from the own bare JID. */
export function carbonStanza(chat: Chat, kind: 'sent' | 'received', user: string, jid: string): Element {
  const carbon = new Element('message', { from: user, to: jid, type: 'chat' });
  const inner = chatStanza(chat);
  inner.attrs.xmlns = NS_CLIENT;
  carbon.c(kind, { xmlns: NS_CARBONS }).c('forwarded', { xmlns: 'urn:xmpp:forward:0' }).cnode(inner);
  return carbon;
}

export function noiseStanza(noise: 'presence' | 'ping', jid: string, n: number): Element {
  if (noise === 'presence') return new Element('presence', { from: `alice@${domain}/desk`, to: jid });
  const iq = new Element('iq', { from: domain, to: jid, id: `ping${n}`, type: 'get' });
  iq.c('ping', { xmlns: NS_PING });
  return iq;
}

/** The chat message in a stanza's text; null for anything else. Throws on what is no stanza. */
export function readChat(text: string, witness: Witness): Chat | null {
  const stanza = parseStanza(text);
  if (!stanza) throw new Error(`this is no stanza: ${text}`);
  const message = witness.messages.get(stanza.getChildText('body') ?? '');
  if (stanza.name !== 'message' || stanza.attrs.type === 'error' || !message) return null;
  const stamp = stanza.getChild('delay', NS_DELAY)?.attrs.stamp;
  return {
    message,
    from: stanza.attrs.from,
    to: stanza.attrs.to!,
    stamp: stamp === undefined ? undefined : Date.parse(stamp),
  };
}
