// What the component's domain and its users are asked for (XEP-0030, 0054, 0084, 0115, and what any client answers): always exactly one answer.

import { Element } from 'ltx';
import type { OwnUser, OwnUsers } from '../migration/own-users.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { NS_DISCO_INFO, NS_DISCO_ITEMS, NS_PUBSUB, NS_VCARD } from '../xmpp/namespaces.ts';
import { errorReply } from '../xmpp/stanza-error.ts';
import type { Answers } from './answers.ts';
import { type OwnCapabilities, ownFeatures } from './own-capabilities.ts';
import { avatarItems, vCardOf } from './own-vcard.ts';

/** Addresses in disco#items. */
const maxListed = 1_000;

export interface OwnAnswersParts {
  own: OwnUsers;
  /** The component's own domain. */
  domain: string;
  answers: Answers;
  capabilities: OwnCapabilities;
}

export class OwnAnswers {
  readonly #parts: OwnAnswersParts;

  constructor(parts: OwnAnswersParts) {
    this.#parts = parts;
  }

  /** `to`: the bare JID it is for. Null: results and errors are never answered. */
  answer(iq: Element, to: string): Element | null {
    const { type, from, id } = iq.attrs;
    if (type !== 'get' && type !== 'set') return null;
    const { own, domain, answers } = this.#parts;
    const user = own.get(to);
    const request = iq.getChildElements()[0];
    if (!user && to !== domain) return errorReply(iq, refuse('item-not-found', `there is no ${to}`));
    const content = request && (user ? this.#ofUser(user, request, type) : this.#ofDomain(request, type));
    if (!content) return answers.answer(iq, to);
    if (isRefusal(content)) return errorReply(iq, content);
    const reply = new Element('iq', { type: 'result', id, to: from, from: iq.attrs.to });
    reply.cnode(content);
    return reply;
  }

  /** Undefined: as any client answers it. */
  #ofUser(user: OwnUser, request: Element, type: string): Element | Refusal | undefined {
    const { own, answers, capabilities } = this.#parts;
    if (request.is('vCard', NS_VCARD)) {
      if (type === 'set') return refuse('forbidden', 'only the user itself changes its vCard');
      return vCardOf(user.profile, own.nameOf(user));
    }
    if (request.is('pubsub', NS_PUBSUB) && type === 'get')
      return avatarItems(user.profile, request) ?? refuse('item-not-found', 'there is no such node or item');
    if (type === 'get' && request.is('query', NS_DISCO_INFO) && !request.attrs.node)
      return answers.info({ category: 'client', type: 'phone', name: own.nameOf(user) }, ownFeatures);
    return type === 'get' ? capabilities.answer(request) : undefined;
  }

  #ofDomain(request: Element, type: string): Element | undefined {
    if (type !== 'get' || request.attrs.node) return undefined;
    if (request.is('query', NS_DISCO_INFO))
      return this.#parts.answers.info({ category: 'component', type: 'generic', name: 'Crossfade' }, [NS_DISCO_ITEMS]);
    if (!request.is('query', NS_DISCO_ITEMS)) return undefined;
    const query = new Element('query', { xmlns: NS_DISCO_ITEMS });
    for (const user of this.#listed()) query.c('item', { jid: user.jid, name: this.#parts.own.nameOf(user) });
    return query;
  }

  #listed(): OwnUser[] {
    const listed = [...this.#parts.own.all()].filter((user) => user.listed).slice(0, maxListed);
    return listed.sort((one, other) => (one.jid < other.jid ? -1 : 1));
  }
}
