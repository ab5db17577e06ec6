// From the legacy server to the apps: read ▸ route ▸ translate ▸ accept. The ledger and deliver do the rest.

import { Element } from 'ltx';
import type { Mappings } from '../mapping/compile.ts';
import type { Devices } from '../migration/devices.ts';
import type { User } from '../migration/users.ts';
import type { Broker } from '../mqtt/broker.ts';
import { formatAt } from '../mqtt/message.ts';
import type { InChannel } from '../mqtt/topic.ts';
import { isRefusal, refuse } from '../refusal.ts';
import type { Arrival } from '../xmpp/session.ts';
import type { Answers } from './answers.ts';
import type { Asks } from './asks.ts';
import type { CatchUp } from './catch-up.ts';
import { type Brought, bring, isShared, unwrap, wayOf, wrapperOf } from './copies.ts';
import { EntriesIn, type EntriesInParts, errorFields } from './entries-in.ts';
import { PresenceIn, type PresenceInParts } from './presence-in.ts';
import { Refusals, type RefusalsParts } from './refusals.ts';
import { routeOf } from './route.ts';

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

type StepsParts = RefusalsParts & Omit<EntriesInParts, 'refusals'> & Omit<PresenceInParts, 'entries' | 'mappings'>;

export interface ToMqttParts extends StepsParts {
  devices: Devices;
  shadow: Shadow;
  mappings: Mappings;
  broker: Broker;
  answers: Answers;
  asks: Asks;
  catchUp: Pick<CatchUp, 'reading'>;
}

export class ToMqtt {
  readonly #parts: ToMqttParts;
  readonly #refusals: Refusals;
  readonly #entries: EntriesIn;
  readonly #presence: PresenceIn;

  constructor(parts: ToMqttParts) {
    this.#parts = parts;
    this.#refusals = new Refusals(parts);
    this.#entries = new EntriesIn({ ...parts, refusals: this.#refusals });
    this.#presence = new PresenceIn({ ...parts, mappings: parts.mappings.presence, entries: this.#entries });
  }

  /** A StanzaHandler: `accepted` is called once the entry, or the refusal, is on disk. */
  receive(stanza: Element, arrival: Arrival, accepted: () => void): void {
    try {
      if (stanza.name === 'message') this.#message(stanza, arrival, accepted);
      else if (stanza.name === 'presence') this.#presence.receive(stanza, arrival, accepted);
      else {
        this.#request(stanza, arrival);
        accepted();
      }
    } catch (error) {
      this.#parts.log.error({ event: 'stanza.failed', user: arrival.user, id: stanza.attrs.id, error: String(error) });
      this.#refusals.refuse(stanza, arrival, refuse('internal-server-error'), accepted);
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
    this.#refusals.refuse(
      new Element(name, { from, to, id, type }),
      arrival,
      refuse('policy-violation', text),
      accepted,
    );
  }

  #message(stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { users, devices, shadow, metrics } = this.#parts;
    const user = users.get(arrival.user);
    const wrapper = wrapperOf(stanza);
    const way = wayOf(stanza, wrapper, arrival);
    const route = routeOf(user, way, way === 'direct' ? 'here' : devices.statusOf(arrival.user));
    if (route === 'refuse') return this.#refusals.refuse(stanza, arrival, refuse('item-not-found'), accepted);
    if (route === 'shadow') shadow.observe(stanza, arrival);
    else if (user && route === 'accept' && (way !== 'observed' || isShared(stanza, arrival))) {
      user.arrivals++;
      const brought = wrapper ? unwrap(wrapper, way, user.jid) : bring(stanza, way, arrival);
      if (isRefusal(brought)) return this.#refusals.refuse(stanza, arrival, brought, accepted);
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
    if (message.attrs.type === 'error')
      return this.#entries.accept(user, brought, arrival, errorFields(message), accepted);
    const translation = this.#parts.mappings.toPayload(message);
    if (translation.qos === 1) return this.#entries.accept(user, brought, arrival, translation, accepted);
    if (brought.way === 'archive') {
      this.#parts.metrics.copies.inc({ route: 'unwanted' });
      return accepted();
    }
    const copy = brought.way !== 'direct' || undefined;
    this.#passOn(user, translation.channel as InChannel, { ...translation.fields, direction: brought.direction, copy });
    accepted();
  }

  /** Requests to our sessions are answered here and now; a replayed one is answered again, which harms nobody. */
  #request(stanza: Element, arrival: Arrival): void {
    const { answers, asks, sessions, ownServer, metrics } = this.#parts;
    const { user, dir } = arrival;
    if (dir || asks.take(user, stanza)) return;
    const side = ownServer.isOwn(user) ? ownServer : null;
    const answer = side ? side.asked(stanza, user) : answers.answer(stanza, user);
    if (!answer) return;
    metrics.automatic.inc({ kind: answer.attrs.type === 'error' ? 'refused' : 'answered' });
    (side ?? sessions).reply(user, answer);
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
