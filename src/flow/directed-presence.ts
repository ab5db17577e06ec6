// out/presence: presence for one address, and what a user says about subscriptions (RFC 6121 §3, §4.6). Pure.

import type { Element } from 'ltx';
import type { PresenceMappings } from '../mapping/compile.ts';
import { isShow, type Payload, shows } from '../mqtt/message.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { fullOf, type Jid, parseJid } from '../xmpp/jid.ts';
import { elementsOf } from '../xmpp/stanza.ts';
import { isSubscription } from './subscriptions.ts';

const ownPlace = 'the own presence for everybody is published retained on presence/{clientId}';
/** XEP-0045: with it presence would enter a room. */
const NS_MUC = 'http://jabber.org/protocol/muc';

/** The `<presence/>` of a payload, without `from`, or why there is none. What concerns a subscription goes to the bare address (§3.1.1). */
export function directedPresence(
  mappings: PresenceMappings,
  user: string,
  payload: Payload,
): { stanza: Element; to: Jid } | Refusal {
  const { to: text, type, show } = payload;
  if (text === undefined) return refuse('bad-request', `to is missing: out/presence is for one address; ${ownPlace}`);
  const address = typeof text === 'string' ? parseJid(text) : null;
  if (!address) return refuse('jid-malformed', 'to must be a JID');
  const to = isSubscription(type) ? { ...address, resource: '' } : address;
  // Servers send that to everybody.
  if (fullOf(to) === user) return refuse('not-acceptable', `to is the own address; ${ownPlace}`);
  if (show !== undefined && (type !== undefined || !isShow(show)))
    return refuse('bad-request', `show must be one of ${shows.join(', ')}, and stands without type`);
  const stanza = mappings.toStanza({ ...payload, to: fullOf(to) });
  if (isRefusal(stanza)) return stanza;
  if (elementsOf(stanza).some(({ attrs }) => attrs.xmlns?.startsWith(NS_MUC)))
    return refuse('bad-request', 'rooms are entered by out/room');
  return { stanza, to };
}
