// The gateway as the server of the component's own domain: wires what that server does, and tells it what happens.

import type { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from '../migration/devices.ts';
import { OwnUsers } from '../migration/own-users.ts';
import type { SubscriptionPolicy, SubscriptionType } from '../migration/subscription.ts';
import type { Users } from '../migration/users.ts';
import type { Payload } from '../mqtt/message.ts';
import type { Topics } from '../mqtt/topic.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import { errorReply } from '../xmpp/stanza-error.ts';
import type { Answers } from './answers.ts';
import { OwnAnswers } from './own-answers.ts';
import { OwnCapabilities } from './own-capabilities.ts';
import { OwnOutbox } from './own-outbox.ts';
import { OwnPresence } from './own-presence.ts';
import { OwnRequests } from './own-requests.ts';
import { OwnSubscriptions } from './own-subscriptions.ts';
import type { SessionKinds } from './sessions.ts';

export interface OwnSettings {
  /** The component's own domain. */
  component: string;
  /** What becomes of requests to see one of its users, where nothing else is set. */
  ownSubscriptions: SubscriptionPolicy;
}

export interface OwnServerParts {
  settings: OwnSettings;
  users: Users;
  devices: Devices;
  ledger: Ledger;
  topics: Topics;
  answers: Answers;
  outside: SessionKinds;
  clock: Clock;
  metrics: Metrics;
  fault: (error: unknown) => void;
}

export class OwnServer {
  /** A user is served from now on, or no more. */
  onAdded: (jid: string) => void = () => {};
  onRemoved: (jid: string) => void = () => {};
  readonly own: OwnUsers;
  readonly presence: OwnPresence;
  /** The ways to send, with what this server does before something leaves it. */
  readonly kinds: SessionKinds;
  readonly #outbox: OwnOutbox;
  readonly #subscriptions: OwnSubscriptions;
  readonly #answers: OwnAnswers;
  readonly #requests: OwnRequests;

  constructor(given: OwnServerParts) {
    const { settings, outside, metrics } = given;
    const domain = settings.component;
    const own = new OwnUsers({ ...given, domain, subscriptions: settings.ownSubscriptions });
    const outbox = new OwnOutbox({ session: (jid) => outside.ownSession(jid), metrics });
    const capabilities = new OwnCapabilities(given);
    const parts = { ...given, own, domain, outbox, capabilities };
    const presence = new OwnPresence(parts);
    const subscriptions = new OwnSubscriptions({ ...parts, presence });
    own.onChanged = (jid, isNew) => {
      if (isNew) this.onAdded(jid);
      this.#changed(jid);
    };
    own.onRemoving = (jid) => {
      presence.forget(jid);
      subscriptions.end(jid);
      this.onRemoved(jid);
    };
    const ownSession = (jid: string) => {
      const session = outside.ownSession(jid);
      return session && subscriptions.through(session);
    };
    this.own = own;
    this.presence = presence;
    this.kinds = { sendAttached: outside.sendAttached, ownSession };
    this.#outbox = outbox;
    this.#subscriptions = subscriptions;
    this.#answers = new OwnAnswers(parts);
    this.#requests = new OwnRequests(own);
  }

  /** After a start: what a crash has left half done. */
  start(): void {
    for (const { jid } of this.own.all()) this.#subscriptions.grantWaiting(jid);
  }

  isOwn(jid: string): boolean {
    return this.own.isOwn(jid);
  }

  /** An iq for one of the domain's addresses, or for the domain. */
  asked(iq: Element, to: string): Element | null {
    return this.#answers.answer(iq, to);
  }

  /** Sends an answer back; nobody waits for it, and somebody who asks too much gets none. */
  reply(from: string, answer: Element): void {
    const { to = '', id = '' } = answer.attrs;
    this.#outbox.offer(`${answer.name} ${from} ${to} ${id}`, from, () => answer);
  }

  /** out/request of one of the domain's users. */
  request(user: string, payload: Payload): Promise<Payload | Refusal> {
    return this.#requests.answer(user, payload);
  }

  /** A contact says something about a subscription: see OwnSubscriptions. */
  heard(user: string, contact: string, type: SubscriptionType): { isNews: boolean; isGranted: boolean } | Refusal {
    return this.#subscriptions.heard(user, contact, type);
  }

  grant(user: string, contact: string): void {
    this.#subscriptions.grant(user, contact);
  }

  /** Who may see the user is told how it is; a request that waits for the app is not answered; others are told that they may not. */
  probed(user: string, from: string): void {
    const contact = prepareBare(from);
    if (contact === null) return;
    const { sees } = this.own.standing(user, contact);
    if (sees === 'yes') this.presence.tell(user, contact);
    else if (sees === undefined) this.#subscriptions.deny(user, contact);
  }

  /** Presence for an address that nobody has. Its sender would wait for ever, or believe in somebody who is not there. */
  unknown(to: string, presence: Element): void {
    const { type, from = '' } = presence.attrs;
    const contact = prepareBare(from);
    if (contact === null || (type !== 'subscribe' && type !== 'probe')) return;
    const error = type === 'subscribe' ? errorReply(presence, refuse('item-not-found', `there is no ${to}`)) : null;
    if (error) this.reply(to, error);
    this.#subscriptions.deny(to, contact);
  }

  #changed(jid: string): void {
    this.presence.look(jid);
    this.presence.tellAll(jid);
    this.#subscriptions.grantWaiting(jid);
  }
}
