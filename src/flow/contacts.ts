// Who of a user's contacts is there, for the apps: each presence as it comes, and all of them when a device comes.

import { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import type { PresenceMappings } from '../mapping/compile.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from '../migration/devices.ts';
import { Line } from '../migration/line.ts';
import type { User, Users } from '../migration/users.ts';
import type { Broker } from '../mqtt/broker.ts';
import { formatAt } from '../mqtt/message.ts';
import type { Topics } from '../mqtt/topic.ts';
import { prepareBare } from '../xmpp/jid.ts';
import { NS_ROSTER } from '../xmpp/namespaces.ts';
import type { Arrival } from '../xmpp/session.ts';
import { delayOf, elementsOf } from '../xmpp/stanza.ts';
import type { Asks } from './asks.ts';
import { ContactView } from './contact-view.ts';
import type { Sessions } from './sessions.ts';
import { isBeingMade } from './subscriptions.ts';

/** Of all users together; above it those are forgotten of whom no device is online, and asked for again when one comes. */
const maxBytes = 64 * 1024 * 1024;
/** A device that flaps gets a set at most so often. */
const betweenSetsMs = 5_000;
/** Users whose contacts are asked for at once. */
const concurrent = 4;
const firstRetryMs = 10_000;
const lastRetryMs = 600_000;
/** Room for the parts of a PUBLISH packet that are neither topic nor payload. */
const packetOverheadBytes = 64;

export interface ContactsParts {
  /** The users' domain. */
  domain: string;
  users: Users;
  devices: Devices;
  mappings: PresenceMappings;
  topics: Topics;
  broker: Broker;
  sessions: Sessions;
  /** Whom a user of the component's own domain may see: no server keeps its roster. */
  ownServer: { readonly own: { visible(user: string): string[] } };
  asks: Asks;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

export class Contacts {
  readonly #parts: ContactsParts;
  readonly #views = new Map<string, ContactView>();
  #bytes = 0;
  /** When a user was last given a set; a timer while the next one waits. */
  readonly #sets = new Map<string, { at: number; next?: Timer }>();
  /** Users whose contacts are to be asked for, in turn. */
  readonly #toAsk = new Line<string>();
  /** Users to be asked for when the link comes back, or where the server did not answer, after a while. */
  readonly #unanswered = new Map<string, Timer | null>();
  readonly #attempts = new Map<string, number>();
  #asking = 0;
  #stopped = false;

  constructor(parts: ContactsParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopped = true;
    for (const { next } of this.#sets.values()) next?.cancel();
    for (const timer of this.#unanswered.values()) timer?.cancel();
  }

  /** A contact, or another resource of the user, is there or has gone. */
  heard(user: User, stanza: Element, { position }: Arrival): void {
    const { from, to, type } = stanza.attrs;
    // Without an addressee, or with the sender's: the session's own, reflected.
    if (!from || !to || to === from) return;
    const { mappings, clock, domain } = this.#parts;
    const at = delayOf(stanza, domain, clock.now()) ?? clock.now();
    const { id: _id, to: _to, ...fields } = mappings.toPayload(stanza).fields;
    const presence = { ...fields, at: formatAt(at) };
    const view = this.#view(user.jid);
    // This session is only being made: what was heard through another one counts no more.
    if (position && isBeingMade(user, position) && view.making !== position.epoch) {
      this.#empty(view);
      view.making = position.epoch;
    }
    const before = view.bytes;
    if (type === 'unavailable') view.drop(from);
    else if (!view.keep(from, JSON.stringify(presence))) this.#parts.metrics.presencesNotKept.inc();
    this.#bytes += view.bytes - before;
    if (this.#bytes > maxBytes) this.#shrink();
    if (this.#isHere(user.jid)) this.#publish(user.jid, JSON.stringify({ ...presence, direction: 'received' }));
    else this.#parts.metrics.ephemeral.inc({ lane: 'toMqtt', result: 'dropped' });
  }

  /** The session stands, new: the server has sent it all it knows, or is about to. */
  sessionUp(user: string): void {
    const view = this.#view(user);
    // Nothing was heard while it was made: that there is nobody is not certain.
    if (view.making === undefined) this.#empty(view);
    view.making = undefined;
    view.isKnown = view.hasHeard;
    this.#ask(user);
  }

  /** A device of the user came online: it is told of all contacts. */
  deviceOnline(user: string): void {
    if (!this.#parts.users.isPublished(user)) return;
    const view = this.#view(user);
    if (view.isKnown) this.#publishSet(user);
    else if (this.#parts.sessions.of(user)) this.#ask(user);
    else if (!this.#unanswered.has(user)) this.#unanswered.set(user, null);
  }

  /** The link to the server stands, and all sessions with it. */
  linkResumed(): void {
    for (const user of [...this.#unanswered.keys()]) this.#ask(user);
  }

  /** The user has no session any more. */
  forget(user: string): void {
    const view = this.#views.get(user);
    if (view) this.#empty(view);
    this.#views.delete(user);
    this.#sets.get(user)?.next?.cancel();
    this.#sets.delete(user);
    this.#unanswered.get(user)?.cancel();
    this.#unanswered.delete(user);
    this.#attempts.delete(user);
  }

  #view(user: string): ContactView {
    let view = this.#views.get(user);
    if (!view) {
      view = new ContactView();
      this.#views.set(user, view);
    }
    return view;
  }

  #empty(view: ContactView): void {
    this.#bytes -= view.bytes;
    view.clear();
  }

  /** The longest known first; of users with a device online only where nothing else is left. */
  #shrink(): void {
    for (const isLast of [false, true]) {
      for (const [user, view] of this.#views) {
        if (this.#bytes <= maxBytes * 0.9) return;
        if (!isLast && this.#parts.devices.online(user) > 0) continue;
        this.#empty(view);
        this.#views.delete(user);
      }
    }
  }

  #ask(user: string): void {
    // Or a failure of this one would not be tried again.
    this.#unanswered.get(user)?.cancel();
    this.#unanswered.delete(user);
    this.#toAsk.add(user);
    this.#next();
  }

  #next(): void {
    while (!this.#stopped && this.#asking < concurrent) {
      const user = this.#toAsk.take();
      if (user === undefined) return;
      this.#asking++;
      void this.#learnSafely(user).then((isDone) => {
        this.#asking--;
        if (isDone) this.#attempts.delete(user);
        else this.#later(user);
        this.#next();
      });
    }
  }

  /** A server that does not answer is asked more and more rarely, or when the link comes back. */
  #later(user: string): void {
    if (this.#stopped || this.#unanswered.has(user)) return;
    const attempt = this.#attempts.get(user) ?? 0;
    this.#attempts.set(user, attempt + 1);
    const delayMs = Math.min(lastRetryMs, firstRetryMs * 2 ** attempt);
    const task = () => {
      this.#unanswered.delete(user);
      this.#ask(user);
    };
    this.#unanswered.set(user, this.#parts.clock.after(delayMs, task));
  }

  async #learnSafely(user: string): Promise<boolean> {
    try {
      return await this.#learn(user);
    } catch (error) {
      this.#parts.log.error({ event: 'roster.failed', user, error: String(error) });
      return true;
    }
  }

  /**
   * A client that asks for its roster is told from then on what concerns subscriptions (RFC 6121 §2.2: interested). In a session that
   * stood before this gateway did, the contacts it may see are probed: the server answers for them, and they notice nothing.
   * A probe's answer comes behind what the server's own users have said to it, so then the set is complete; those of other servers come later.
   */
  async #learn(user: string): Promise<boolean> {
    const { asks, sessions, users, log } = this.#parts;
    if (!sessions.of(user)) return true;
    if (users.get(user)?.own) return await this.#learnOwn(user);
    const request = new Element('iq', { type: 'get' });
    request.c('query', { xmlns: NS_ROSTER });
    const view = this.#view(user);
    const roster = await asks.ask(user, request);
    if (roster === null) {
      if (view.isKnown) this.#publishSet(user);
      return false;
    }
    // With an error the server says that it keeps none: then there is nobody to probe.
    if (roster.attrs.type === 'error') log.warn({ event: 'roster.refused', user });
    if (!view.isKnown) {
      for (const contact of visibleContacts(roster)) {
        if (!(await asks.tell(user, new Element('presence', { type: 'probe', to: contact })))) return false;
      }
    }
    // Forgotten meanwhile, it says nothing of the session that is there now, if one is.
    if (this.#views.get(user) !== view) return false;
    view.isKnown = true;
    this.#publishSet(user);
    return true;
  }

  /** The last answer says that the server has taken all probes; its own users it has answered for by then. */
  async #learnOwn(user: string): Promise<boolean> {
    const { asks, ownServer } = this.#parts;
    const view = this.#view(user);
    const probes = ownServer.own
      .visible(user)
      .map((to) => asks.tell(user, new Element('presence', { from: user, to, type: 'probe' })));
    if (!(await Promise.all(probes)).every((isSent) => isSent) || this.#views.get(user) !== view) return false;
    view.isKnown = true;
    this.#publishSet(user);
    return true;
  }

  #publishSet(user: string): void {
    const { clock } = this.#parts;
    const last = this.#sets.get(user);
    if (this.#stopped || last?.next || !this.#isHere(user)) return;
    // A clock that was put back must not make it wait for the time that is gone.
    const waitMs = last ? betweenSetsMs - Math.abs(clock.now() - last.at) : 0;
    if (last && waitMs > 0) {
      last.next = clock.after(waitMs, () => {
        last.next = undefined;
        this.#publishSet(user);
      });
      return;
    }
    this.#sets.set(user, { at: clock.now() });
    const view = this.#view(user);
    const rest = `"complete":${!view.isCut},"at":"${formatAt(clock.now())}","direction":"received"}`;
    if (this.#publish(user, `{"contacts":[${[...view.all()].join(',')}],${rest}`)) return;
    // More than the broker takes at once.
    this.#publish(user, `{"contacts":[],${rest.replace('true', 'false')}`);
    for (const presence of view.all()) this.#publish(user, presence);
  }

  /** Presence is of use only to a device that is there now. */
  #isHere(user: string): boolean {
    const { users, devices } = this.#parts;
    return users.isPublished(user) && devices.online(user) > 0;
  }

  /** False where the broker would not take it. */
  #publish(user: string, payload: string): boolean {
    const { broker, topics, metrics } = this.#parts;
    const topic = topics.toUser(user, 'presence');
    const bytes = Buffer.byteLength(payload) + Buffer.byteLength(topic) + packetOverheadBytes;
    const isTaken = bytes <= broker.maximumPacketSize;
    if (isTaken) void broker.publish({ topic, payload, qos: 0 });
    metrics.ephemeral.inc({ lane: 'toMqtt', result: isTaken ? 'passed' : 'dropped' });
    return isTaken;
  }
}

/** Whose presence the user may see: subscription `to` or `both`. Addresses that are none are left out. */
function visibleContacts(roster: Element): string[] {
  const query = roster.getChild('query', NS_ROSTER);
  return (query ? elementsOf(query) : []).flatMap(({ name, attrs: { jid, subscription } }) => {
    if (name !== 'item') return [];
    const contact = subscription === 'to' || subscription === 'both' ? prepareBare(jid ?? '') : null;
    return contact === null ? [] : [contact];
  });
}
