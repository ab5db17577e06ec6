// The handshake of subscriptions (RFC 6121 §3) for the component's own users, as their server keeps it: recorded, then answered.

import { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Metrics } from '../metrics.ts';
import type { OwnUsers } from '../migration/own-users.ts';
import { heard, isNothing, type SubscriptionType, said } from '../migration/subscription.ts';
import { Turns } from '../migration/turns.ts';
import { formatAt } from '../mqtt/message.ts';
import type { Topics } from '../mqtt/topic.ts';
import { isRefusal, type Refusal } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { SendResult, Session } from '../xmpp/session.ts';
import { parseStanza } from '../xmpp/xml-reader.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';
import type { OwnOutbox } from './own-outbox.ts';
import type { OwnPresence } from './own-presence.ts';
import { isSubscription } from './subscriptions.ts';

export interface OwnSubscriptionsParts {
  own: OwnUsers;
  presence: OwnPresence;
  outbox: OwnOutbox;
  ledger: Ledger;
  topics: Topics;
  clock: Clock;
  metrics: Metrics;
  fault: (error: unknown) => void;
}

const page = 100;

export class OwnSubscriptions {
  readonly #parts: OwnSubscriptionsParts;
  readonly #turns = new Turns<string>();

  constructor(parts: OwnSubscriptionsParts) {
    this.#parts = parts;
  }

  /**
   * What a contact says. `isNews`: the app is to hear of it; `grant` is to follow then where it is answered without the app. A refusal
   * is for the contact.
   */
  heard(user: string, contact: string, type: SubscriptionType): { isNews: boolean; isGranted: boolean } | Refusal {
    const { own, fault } = this.#parts;
    const full = type === 'subscribe' ? own.fullness(user, contact) : null;
    if (full) return full;
    const { next, isNews, answer } = heard(own.standing(user, contact), type, own.policyOf(user));
    const written = own.setStanding(user, contact, next);
    written.then(() => {
      if (answer === 'granted') this.#answer(user, contact, 'subscribed');
      if (answer === 'granted') this.#parts.presence.tell(user, contact);
      if (answer === 'gone') this.#parts.presence.hide(user, contact);
    }, fault);
    return { isNews, isGranted: answer === 'grant' };
  }

  /** Says `subscribed` in the user's name: an entry, as if an app had said it, with the copy that tells the apps. */
  grant(user: string, contact: string): void {
    const { ledger, topics, clock, metrics, fault } = this.#parts;
    const at = clock.now();
    const common = { user, peer: contact, channel: 'presence', custody: 'copy', at } as const;
    const { outcome } = ledger.accept(
      (key) => ({
        ...common,
        lane: 'toXmpp',
        id: key,
        payload: textOf(subscription(user, contact, 'subscribed', key)),
      }),
      (key) => ({
        ...{ ...common, lane: 'toMqtt', id: key, topic: topics.toUser(user, 'presence') },
        payload: JSON.stringify({
          ...{ id: key, type: 'subscribed', from: user, to: contact, key },
          ...{ at: formatAt(at), direction: 'sent', copy: true },
        }),
      }),
    );
    outcome.then(() => metrics.accepted.inc({ lane: 'toXmpp' }), fault);
  }

  /** Whoever has asked before it was said that requests are granted by themselves, or before a crash, and has no answer on its way. */
  grantWaiting(user: string): void {
    const { own, fault } = this.#parts;
    if (own.policyOf(user) !== 'accept') return;
    const grant = async (contact: string) => {
      if ((await this.#isAnswered(user, contact)) || own.standing(user, contact).sees !== 'asks') return;
      this.grant(user, contact);
    };
    for (const [contact, { sees }] of own.contacts(user))
      if (sees === 'asks') this.#turns.take(`${user} ${contact}`, () => grant(contact)).catch(fault);
  }

  /** An answer is in the ledger, and waits to be sent: the contact counts as asking until then. */
  async #isAnswered(user: string, contact: string): Promise<boolean> {
    for (let after = 0; ; ) {
      const query = { lane: 'toXmpp', user, peer: contact, after, limit: page } as const;
      const waiting = await this.#parts.ledger.do('toSend', query);
      if (waiting.some(({ channel, payload }) => channel === 'presence' && isAnswer(payload))) return true;
      if (waiting.length < page) return false;
      after = waiting.at(-1)!.seq;
    }
  }

  /** The user is to be removed: what others hold of it ends. */
  end(user: string): void {
    for (const [contact, { sees, seen }] of this.#parts.own.contacts(user)) {
      if (sees === 'yes' || sees === 'asks') this.#answer(user, contact, 'unsubscribed');
      if (seen) this.#answer(user, contact, 'unsubscribe');
    }
  }

  /** Somebody probes, or asks for, what it may not see (§4.3.2, rule 1): its server learns that it is so. */
  deny(user: string, contact: string): void {
    this.#parts.outbox.offer(`unsubscribed ${user} ${contact}`, user, () =>
      subscription(user, contact, 'unsubscribed'),
    );
  }

  /** Through this session go the entries of the user: what is presence among them counts here, before it leaves. */
  through(session: Session): Session {
    const isPresence = (stanza: string) => stanza.startsWith('<presence');
    const { jid } = session;
    return {
      jid,
      send: (text, key) => (isPresence(text) ? this.#say(session, text, key) : session.send(text, key)),
    };
  }

  async #say(session: Session, text: string, key: string): Promise<SendResult> {
    const { own, presence } = this.#parts;
    const user = session.jid;
    const { to = '', type } = parseStanza(text)?.attrs ?? {};
    const contact = prepareBare(to);
    if (contact === null || type === 'probe') return session.send(text, key);
    if (!isSubscription(type)) {
      presence.directed(user, to, type !== 'unavailable');
      return session.send(text, key);
    }
    const now = own.standing(user, contact);
    const { next, isSent, also } = said(now, type as SubscriptionType);
    const full = isNothing(now) && !isNothing(next) ? own.fullness(user, contact) : null;
    if (full) return { kind: 'refused', condition: full.condition, text: full.text };
    await own.setStanding(user, contact, next);
    if (also === 'hide') presence.hide(user, contact);
    const result: SendResult = isSent ? await session.send(text, key) : { kind: 'processed' };
    if (also === 'show' && result.kind === 'processed') presence.tell(user, contact);
    return result;
  }

  #answer(user: string, contact: string, type: SubscriptionType): void {
    this.#parts.outbox.put(`${type} ${user} ${contact}`, user, () => subscription(user, contact, type));
  }
}

function subscription(from: string, to: string, type: SubscriptionType, id?: string): Element {
  return new Element('presence', { from, to, type, id });
}

function isAnswer(payload: string): boolean {
  const type = parseStanza(payload)?.attrs.type;
  return type === 'subscribed' || type === 'unsubscribed';
}

/** All of it is prepared addresses and our own words. */
function textOf(stanza: Element): string {
  const text = writeStanza(stanza);
  if (isRefusal(text)) throw new Error(text.text);
  return text;
}
