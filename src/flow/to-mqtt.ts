// From the legacy server to the apps: read ▸ route ▸ translate ▸ accept. The ledger and deliver do the rest.

import { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Custody, Draft, Ledger } from '../ledger/ledger.ts';
import { archiveKey, contentKey } from '../ledger/repeat.ts';
import type { Log } from '../log.ts';
import type { Mappings } from '../mapping/compile.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from '../migration/devices.ts';
import type { LegacyServer } from '../migration/server.ts';
import type { User, Users } from '../migration/users.ts';
import type { Broker } from '../mqtt/broker.ts';
import { formatAt } from '../mqtt/message.ts';
import type { InChannel, Topics } from '../mqtt/topic.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { Arrival } from '../xmpp/session.ts';
import { delayOf, isContent } from '../xmpp/stanza.ts';
import { errorReply, readError } from '../xmpp/stanza-error.ts';
import { writeWithContent } from '../xmpp/xml-writer.ts';
import type { Answers } from './answers.ts';
import type { Asks } from './asks.ts';
import type { CatchUp } from './catch-up.ts';
import type { Contacts } from './contacts.ts';
import { archiveIdOf, type Brought, bring, isShared, unwrap, wayOf, wrapperOf } from './copies.ts';
import { routeOf } from './route.ts';
import type { Sessions } from './sessions.ts';
import { isSubscription, repeatOf } from './subscriptions.ts';

/** What is left of a stanza that was not taken over: its beginning, as far as that was read, and why. */
export interface SkippedStanza {
  name: string;
  from?: string;
  to?: string;
  id?: string;
  type?: string;
  /** 0 where the size is not the reason. */
  bytes: number;
  reason: string;
}

/** Sees what the server copies of a user in phase `shadow`. */
export interface Shadow {
  /** Must not throw. `arrival.dir` says which way the message went. */
  observe(message: Element, arrival: Arrival): void;
}

export interface ToMqttParts {
  /** The users' domain. */
  domain: string;
  users: Users;
  devices: Devices;
  server: Pick<LegacyServer, 'hasArchive'>;
  shadow: Shadow;
  mappings: Mappings;
  topics: Topics;
  ledger: Ledger;
  broker: Broker;
  answers: Answers;
  asks: Asks;
  contacts: Contacts;
  catchUp: Pick<CatchUp, 'reading'>;
  sessions: Sessions;
  /** A message for the user is on disk. */
  onMessage: (user: string) => void;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  fault: (error: unknown) => void;
}

/** What a stanza becomes: a channel and the fields of its payload. */
interface Translation {
  channel: string;
  fields: Record<string, unknown>;
  mapping: string;
  /** The repeat key of a request that the server tells again. */
  archiveKey?: string;
}

/** Custody of a stanza on these channels never lies with us: nobody misses one at a rollback. */
const copyChannels: readonly string[] = ['receipt', 'error', 'presence'];

export class ToMqtt {
  readonly #parts: ToMqttParts;

  constructor(parts: ToMqttParts) {
    this.#parts = parts;
  }

  /** A StanzaHandler: `accepted` is called once the entry, or the refusal, is on disk. */
  receive(stanza: Element, arrival: Arrival, accepted: () => void): void {
    try {
      if (stanza.name === 'message') this.#message(stanza, arrival, accepted);
      else if (stanza.name === 'presence') this.#presence(stanza, arrival, accepted);
      else {
        this.#request(stanza, arrival);
        accepted();
      }
    } catch (error) {
      this.#parts.log.error({ event: 'stanza.failed', user: arrival.user, id: stanza.attrs.id, error: String(error) });
      this.#refuse(stanza, arrival, refuse('internal-server-error'), accepted);
    }
  }

  /** A stanza over a limit, or broken. */
  skipped(skipped: SkippedStanza, arrival: Arrival, accepted: () => void): void {
    const { name, from, to = arrival.user, id, type, bytes, reason } = skipped;
    const text =
      reason === 'bytes'
        ? `this stanza has ${bytes} bytes, more than is taken`
        : `this stanza is over a limit: ${reason}`;
    const { users, metrics } = this.#parts;
    if (arrival.dir && routeOf(users.get(arrival.user), 'observed', 'here') !== 'accept') {
      metrics.copies.inc({ route: 'unwanted' });
      return accepted();
    }
    this.#refuse(new Element(name, { from, to, id, type }), arrival, refuse('policy-violation', text), accepted);
  }

  #message(stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { users, devices, shadow, metrics } = this.#parts;
    const user = users.get(arrival.user);
    const wrapper = wrapperOf(stanza);
    const way = wayOf(stanza, wrapper, arrival);
    const route = routeOf(user, way, way === 'direct' ? 'here' : devices.statusOf(arrival.user));
    if (route === 'refuse') return this.#refuse(stanza, arrival, refuse('item-not-found'), accepted);
    if (route === 'shadow') shadow.observe(stanza, arrival);
    else if (user && route === 'accept' && (way !== 'observed' || isShared(stanza, arrival))) {
      user.arrivals++;
      const brought = wrapper ? unwrap(wrapper, way, user.jid) : bring(stanza, way, arrival);
      if (isRefusal(brought)) return this.#refuse(stanza, arrival, brought, accepted);
      if (way !== 'archive') return this.#take(user, brought, arrival, accepted);
      if (this.#archived(user, wrapper, brought, arrival, accepted)) return;
    }
    metrics.copies.inc({ route: route === 'shadow' ? 'shadow' : way === 'archive' ? 'unasked' : 'unwanted' });
    accepted();
  }

  /** False where it is no answer to an open query of ours: an old one's, of which the archive still has everything. */
  #archived(
    user: User,
    wrapper: Element | undefined,
    brought: Brought,
    arrival: Arrival,
    accepted: () => void,
  ): boolean {
    const reading = this.#parts.catchUp.reading(user.jid, wrapper?.attrs.queryid);
    if (!reading || !brought.archived) return false;
    const isOnDisk = reading.came(brought.archived);
    const done = () => {
      isOnDisk();
      accepted();
    };
    // The end of the archive is asked for to know where it is.
    if (reading.wish === 'end') done();
    else
      try {
        this.#take(user, brought, arrival, done);
      } catch (error) {
        isOnDisk();
        throw error;
      }
    return true;
  }

  #take(user: User, brought: Brought, arrival: Arrival, accepted: () => void): void {
    const { message } = brought;
    if (message.attrs.type === 'error') return this.#accept(user, brought, arrival, errorFields(message), accepted);
    const translation = this.#parts.mappings.toPayload(message);
    if (translation.qos === 1) return this.#accept(user, brought, arrival, translation, accepted);
    if (brought.way === 'archive') {
      this.#parts.metrics.copies.inc({ route: 'unwanted' });
      return accepted();
    }
    const copy = brought.way !== 'direct' || undefined;
    this.#passOn(user, translation.channel as InChannel, { ...translation.fields, direction: brought.direction, copy });
    accepted();
  }

  /** A user that is served, or that was until its rollback is done. */
  #route({ user: jid }: Arrival): User | undefined {
    const user = this.#parts.users.get(jid);
    return user && routeOf(user, 'direct', 'here') === 'accept' ? user : undefined;
  }

  #accept(user: User, brought: Brought, arrival: Arrival, translation: Translation, accepted: () => void): void {
    const { outcome, late } = this.#write(user, brought, arrival, translation);
    // Until the commit only this is kept of the message, not its tree: thousands wait for one, and all that lives is copied by the collector.
    const { name, attrs } = brought.message;
    const { channel } = translation;
    outcome.then(
      ({ kind }) => {
        const { accepted: fresh, repeated } = this.#parts.metrics;
        (kind === 'new' ? fresh : repeated).inc({ lane: 'toMqtt' });
        if (kind === 'new' && channel === 'message') this.#parts.onMessage(user.jid);
        accepted();
      },
      (error) => {
        this.#parts.log.error({ event: 'stanza.failed', user: user.jid, id: attrs.id, error: String(error) });
        this.#refuse(new Element(name, attrs), arrival, refuse('internal-server-error'), accepted, late);
      },
    );
  }

  #write(user: User, brought: Brought, arrival: Arrival, translation: Translation) {
    let late = false;
    const { outcome } = this.#parts.ledger.accept((key) => {
      const draft = this.#draft(user, brought, arrival, translation, key);
      late = draft.late ?? false;
      return draft;
    });
    return { outcome, late };
  }

  #draft(user: User, brought: Brought, arrival: Arrival, translation: Translation, key: string): Draft {
    const { domain, clock, topics, server, sessions } = this.#parts;
    const { channel, fields, mapping } = translation;
    const { message, way, direction, archived } = brought;
    const { from = '', to = '', id, type = 'normal' } = message.attrs;
    const delay = archived?.at ?? delayOf(message, domain, clock.now(), server.hasArchive ? user.jid : undefined);
    const at = delay ?? clock.now();
    const { text, content } = written(message);
    const isCopy = way !== 'direct' || arrival.seen;
    const custody: Custody = isCopy || type === 'groupchat' || copyChannels.includes(channel) ? 'copy' : 'sole';
    const payload = { ...fields, id: id ?? key, key, at: formatAt(at), direction, copy: isCopy || undefined };
    const peer = direction === 'sent' ? to : from;
    // What the apps have sent is in the ledger already, under the name their session was asked for.
    const sender = from === user.attached?.jid ? sessions.jidOf(user) : from;
    const stanzaId = server.hasArchive ? (archived?.id ?? archiveIdOf(message, user.jid, arrival.sid)) : undefined;
    return {
      lane: 'toMqtt',
      user: user.jid,
      peer: prepareBare(peer) ?? peer,
      channel,
      id: id ?? key,
      custody,
      at,
      late: way !== 'direct' || delay !== null,
      carbon: way === 'carbon' || undefined,
      place: stanzaId !== undefined && !archived ? { id: stanzaId, at } : undefined,
      position: arrival.position,
      archiveKey:
        translation.archiveKey ?? (stanzaId && archiveKey({ user: user.jid, by: user.jid, stanzaId, from: sender })),
      contentKey: contentKey({ user: user.jid, from: sender, channel, type, id, children: content }),
      topic: topics.toUser(user.jid, channel as InChannel),
      payload: JSON.stringify(payload),
      original: text,
      mapping,
    };
  }

  /** Written down as dead, answered where an answer is due, and only then acknowledged: no bad stanza blocks the link. */
  #refuse(stanza: Element, arrival: Arrival, refusal: Refusal, accepted: () => void, isCopy = false): void {
    const { ledger, metrics, clock, sessions, domain } = this.#parts;
    metrics.refused.inc({ lane: 'toMqtt', reason: refusal.name });
    const { from = '', id, type } = stanza.attrs;
    const isLive =
      stanza.name !== 'presence' &&
      !isCopy &&
      !arrival.dir &&
      type !== 'error' &&
      type !== 'groupchat' &&
      delayOf(stanza, domain, clock.now()) === null;
    // What comes from the own account is a copy that cannot be read.
    const answer = isLive && from !== '' && from !== arrival.user ? errorReply(stanza, refusal) : null;
    if (!arrival.position) {
      // No link acknowledges it, so there is nothing to record it for.
      if (answer) sessions.reply(arrival.user, answer);
      return accepted();
    }
    const { outcome } = ledger.accept(() => ({
      lane: 'toMqtt',
      user: arrival.user,
      peer: prepareBare(from) ?? from,
      channel: 'message',
      id,
      custody: 'copy',
      at: clock.now(),
      position: arrival.position,
      payload: '',
      refused: { condition: refusal.name, text: refusal.text },
    }));
    outcome.then(({ kind }) => {
      if (answer && kind === 'new') sessions.reply(arrival.user, answer);
      accepted();
    }, this.#parts.fault);
  }

  /** Requests to our sessions are answered here and now; a replayed one is answered again, which harms nobody. */
  #request(stanza: Element, arrival: Arrival): void {
    const { answers, asks, sessions, metrics } = this.#parts;
    if (arrival.dir || asks.take(arrival.user, stanza)) return;
    const answer = answers.answer(stanza, arrival.user);
    if (!answer) return;
    metrics.automatic.inc({ kind: answer.attrs.type === 'error' ? 'refused' : 'answered' });
    sessions.reply(arrival.user, answer);
  }

  /** Who is there passes, as it comes; what concerns a subscription waits for the app; an error answers what the app sent. */
  #presence(stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { contacts, users, mappings, ledger, fault } = this.#parts;
    const user = this.#route(arrival);
    const { type, id } = stanza.attrs;
    if (!user || arrival.dir || type === 'probe') return accepted();
    if (type === 'error') {
      // What the gateway itself sends has no id.
      if (id === undefined) return accepted();
      return this.#accept(user, bring(stanza, 'direct', arrival), arrival, errorFields(stanza), accepted);
    }
    if (!isSubscription(type)) {
      contacts.heard(user, stanza, arrival);
      return accepted();
    }
    // While a rollback is under way: the server has it, and tells the legacy client.
    if (!users.isPublished(user.jid)) return accepted();
    const { archiveKey: key, renews } = repeatOf(user, stanza, arrival);
    // In the order of the calls: done before the entry is looked at.
    if (renews !== undefined) ledger.do('renewed', { archiveKey: renews }).catch(fault);
    const brought = bring(stanza, 'direct', arrival);
    this.#accept(user, brought, arrival, { ...mappings.presence.toPayload(stanza), archiveKey: key }, accepted);
  }

  /** Ephemeral: of use only to a device that is there now. */
  #passOn(user: User, channel: InChannel, fields: Record<string, unknown>): void {
    const { devices, broker, topics, clock, metrics, users } = this.#parts;
    if (!users.isPublished(user.jid) || devices.online(user.jid) === 0) {
      metrics.ephemeral.inc({ lane: 'toMqtt', result: 'dropped' });
      return;
    }
    const payload = JSON.stringify({ direction: 'received', ...fields, at: formatAt(clock.now()) });
    void broker.publish({ topic: topics.toUser(user.jid, channel), payload, qos: 0 });
    metrics.ephemeral.inc({ lane: 'toMqtt', result: 'passed' });
  }
}

/** What a contact's error says of a message the user sent: for `in/error`. */
function errorFields(stanza: Element): Translation {
  const { condition, text } = readError(stanza);
  const { id, from, to } = stanza.attrs;
  return { channel: 'error', fields: { id, from, to, condition, text }, mapping: 'error' };
}

/** What the reader has read the writer can write. */
function written(stanza: Element): { text: string; content: string } {
  const result = writeWithContent(stanza, isContent);
  if (isRefusal(result)) throw new Error(result.text);
  return result;
}
