// What a client must answer for itself, answered for our sessions: ping, disco#info, version, time; all else is unavailable.

import { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import { refuse } from '../refusal.ts';
import { NS_DISCO_INFO, NS_DISCO_ITEMS, NS_PING, NS_ROSTER, NS_TIME, NS_VERSION } from '../xmpp/namespaces.ts';
import { errorReply } from '../xmpp/stanza-error.ts';

export interface Identity {
  category: string;
  type: string;
  name: string;
}

/** That of an ordinary client: contacts shall not notice. */
export const client: Identity = { category: 'client', type: 'phone', name: 'Crossfade' };

export class Answers {
  readonly #version: string;
  readonly #clock: Clock;
  readonly #features: readonly string[];

  /** `features`: the namespaces the mappings understand, for disco#info. */
  constructor(parts: { version: string; clock: Clock; features: readonly string[] }) {
    this.#version = parts.version;
    this.#clock = parts.clock;
    this.#features = [NS_DISCO_INFO, NS_PING, NS_VERSION, NS_TIME, ...parts.features];
  }

  /** `user`: whose session it came to. The reply to an iq get or set (RFC 6120 §8.2.3: always exactly one); null for results and errors, never answered. */
  answer(iq: Element, user: string): Element | null {
    const { type, from } = iq.attrs;
    if (type !== 'get' && type !== 'set') return null;
    const request = iq.getChildElements()[0];
    // A roster push (RFC 6121 §2.1.6); from anybody else it is forged.
    const isPush = type === 'set' && request?.is('query', NS_ROSTER) && (from === undefined || from === user);
    const content = type === 'get' && request ? this.#content(request) : isPush ? undefined : null;
    if (content === null) return errorReply(iq, refuse('service-unavailable'));
    const reply = new Element('iq', { type: 'result', id: iq.attrs.id, to: iq.attrs.from, from: iq.attrs.to });
    if (content) reply.cnode(content);
    return reply;
  }

  /** undefined: an empty result; null: not for us. */
  #content(request: Element): Element | undefined | null {
    if (request.is('ping', NS_PING)) return undefined; // XEP-0199 §4.2
    if (request.is('query', NS_DISCO_INFO)) return request.attrs.node ? null : this.info(client);
    if (request.is('query', NS_DISCO_ITEMS)) return new Element('query', { xmlns: NS_DISCO_ITEMS });
    if (request.is('query', NS_VERSION)) {
      const query = new Element('query', { xmlns: NS_VERSION });
      query.c('name').t('Crossfade');
      query.c('version').t(this.#version);
      return query;
    }
    if (request.is('time', NS_TIME)) {
      const time = new Element('time', { xmlns: NS_TIME });
      time.c('tzo').t('+00:00');
      time.c('utc').t(new Date(this.#clock.now()).toISOString());
      return time;
    }
    return null;
  }

  /** XEP-0030 §3.1; `more`: features beside those that all of ours have. */
  info(identity: Identity, more: readonly string[] = []): Element {
    const query = new Element('query', { xmlns: NS_DISCO_INFO });
    query.c('identity', { ...identity });
    for (const feature of [...this.#features, ...more]) query.c('feature', { var: feature });
    return query;
  }
}
