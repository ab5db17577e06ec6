// Chat messages as canonical stanzas (see xml-reader) and back, between the models and the parts under test.

import { Element } from 'ltx';
import {
  NS_CARBONS,
  NS_CLIENT,
  NS_DATA_FORMS,
  NS_DELAY,
  NS_FORWARD,
  NS_MAM,
  NS_PING,
  NS_RSM,
  NS_SID,
} from '../../src/xmpp/namespaces.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import type { ArchiveQuery } from './archive.ts';
import { type Chat, toSeconds } from './chat.ts';
import type { Fin, Noise, Result } from './frame.ts';
import type { Witness } from './witness.ts';

export const domain = 'example.com';

/** The server adds its stamp behind the archive's id. */
export function chatStanza({ message, from = message.from, to, archived, stamp }: Chat): Element {
  const { id, name } = message;
  const stanza = new Element('message', { from, to, id, type: 'chat' });
  stanza.c('body').t(name);
  if (archived) stanza.c('stanza-id', { xmlns: NS_SID, ...archived });
  if (stamp !== undefined) stanza.c('delay', { xmlns: NS_DELAY, from: domain, stamp: written(stamp) });
  return stanza;
}

function written(stamp: number): string {
  return new Date(stamp).toISOString().replace('.000', '');
}

/** XEP-0280 §7, §8: from the own bare JID. */
export function carbonStanza(chat: Chat, kind: 'sent' | 'received', user: string, jid: string): Element {
  const carbon = new Element('message', { from: user, to: jid, type: 'chat' });
  carbon.c(kind, { xmlns: NS_CARBONS }).c('forwarded', { xmlns: NS_FORWARD }).cnode(inner(chat));
  return carbon;
}

function inner(chat: Chat): Element {
  const stanza = chatStanza(chat);
  stanza.attrs.xmlns = NS_CLIENT;
  return stanza;
}

/** XEP-0313 §4.2, as Prosody sends it: the own account needs no `from`, and times are whole seconds. */
export function resultStanza(chat: Chat, { queryId, id, at }: Result, jid: string): Element {
  const stanza = new Element('message', { to: jid });
  const forwarded = stanza.c('result', { xmlns: NS_MAM, queryid: queryId, id }).c('forwarded', { xmlns: NS_FORWARD });
  forwarded.c('delay', { xmlns: NS_DELAY, stamp: written(toSeconds(at)) });
  forwarded.cnode(inner(chat));
  return stanza;
}

export function finStanza({ iqId, answer }: Fin, user: string, jid: string): Element {
  const isPage = answer !== 'item-not-found';
  const iq = new Element('iq', { from: user, to: jid, id: iqId, type: isPage ? 'result' : 'error' });
  if (isPage) {
    const fin = iq.c('fin', { xmlns: NS_MAM, ...(answer.isComplete && { complete: 'true' }) });
    const set = fin.c('set', { xmlns: NS_RSM });
    if (answer.last !== undefined) set.c('last').t(answer.last);
  } else iq.c('error', { type: 'cancel' }).c(answer, { xmlns: 'urn:ietf:params:xml:ns:xmpp-stanzas' });
  return iq;
}

/** The question to the archive in a stanza's text; null for anything else. */
export function readArchiveQuery(text: string): ArchiveQuery | null {
  const iq = parseStanza(text);
  const query = iq?.getChild('query', NS_MAM);
  if (!iq || !query) return null;
  const fields = query.getChild('x', NS_DATA_FORMS)?.getChildElements() ?? [];
  const start = fields.find(({ attrs }) => attrs.var === 'start')?.getChildText('value');
  const set = query.getChild('set', NS_RSM);
  return {
    iqId: iq.attrs.id!,
    queryId: query.attrs.queryid!,
    after: set?.getChildText('after') ?? undefined,
    start: start ? Date.parse(start) : undefined,
    max: Number(set?.getChildText('max')),
  };
}

export function noiseStanza(noise: Noise, jid: string, n: number): Element {
  if (noise === 'presence') return new Element('presence', { from: `alice@${domain}/desk`, to: jid });
  if (noise === 'forged') return forgedStanza(jid, n);
  const iq = new Element('iq', { from: domain, to: jid, id: `ping${n}`, type: 'get' });
  iq.c('ping', { xmlns: NS_PING });
  return iq;
}

/** A carbon is the own account's to send (XEP-0280 §11). */
function forgedStanza(jid: string, n: number): Element {
  const forged = new Element('message', { from: `alice@${domain}/desk`, to: jid, id: `forged${n}`, type: 'chat' });
  const forwarded = forged.c('received', { xmlns: NS_CARBONS }).c('forwarded', { xmlns: NS_FORWARD });
  forwarded
    .c('message', { xmlns: NS_CLIENT, from: `dave@${domain}/desk`, to: jid, type: 'chat' })
    .c('body')
    .t('forged');
  return forged;
}

/** The chat message in a stanza's text; null for anything else. Throws on what is no stanza. */
export function readChat(text: string, witness: Witness): Chat | null {
  const stanza = parseStanza(text);
  if (!stanza) throw new Error(`this is no stanza: ${text}`);
  const message = witness.messages.get(stanza.getChildText('body') ?? '');
  if (stanza.name !== 'message' || stanza.attrs.type === 'error' || !message) return null;
  const stamp = stanza.getChild('delay', NS_DELAY)?.attrs.stamp;
  const { by, id } = stanza.getChild('stanza-id', NS_SID)?.attrs ?? {};
  return {
    message,
    from: stanza.attrs.from,
    to: stanza.attrs.to!,
    ...(by && id && { archived: { by, id } }),
    stamp: stamp === undefined ? undefined : Date.parse(stamp),
  };
}
