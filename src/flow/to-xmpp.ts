// From the apps to the legacy server: read ▸ route ▸ translate ▸ accept. The ledger and deliver do the rest.

import type { Outcome } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Mappings } from '../mapping/compile.ts';
import type { Metrics } from '../metrics.ts';
import type { Devices } from '../migration/devices.ts';
import type { User, Users } from '../migration/users.ts';
import type { Broker, Incoming } from '../mqtt/broker.ts';
import { idOfRefused, type Payload, readAck, readId, readPayload, readPresence } from '../mqtt/message.ts';
import type { OutChannel } from '../mqtt/topic.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { fullOf, parseJid } from '../xmpp/jid.ts';
import { isContent } from '../xmpp/stanza.ts';
import { writeWithContent } from '../xmpp/xml-writer.ts';
import type { AppNotices } from './app-notices.ts';
import { directedPresence } from './directed-presence.ts';
import { EntriesOut, type EntriesOutParts, type Request, type Translation } from './entries-out.ts';
import type { OwnServer } from './own-server.ts';
import type { PresencePace } from './presence-pace.ts';
import { Rate, type RateLimit } from './rate.ts';

/** Room for the envelope around a stanza: `<iq><send from= key=>…`. */
const envelopeBytes = 4_096;

export interface ToXmppParts extends EntriesOutParts {
  users: Users;
  devices: Devices;
  pace: PresencePace;
  mappings: Mappings;
  broker: Broker;
  notices: AppNotices;
  ownServer: OwnServer;
  /** Apps of this user acknowledged entries: they are there. */
  onAcked: (user: string) => void;
  /** Bytes of the finished stanza, envelope included. */
  maxStanzaBytes: number;
  /** What the apps of one user may send, beside out/ack. */
  rate: RateLimit;
  metrics: Metrics;
  log: Log;
}

export class ToXmpp {
  readonly #parts: ToXmppParts;
  readonly #rate: Rate;
  readonly #entries: EntriesOut;

  constructor(parts: ToXmppParts) {
    this.#parts = parts;
    this.#rate = new Rate(parts.rate, parts.clock);
    this.#entries = new EntriesOut(parts);
  }

  /** An IncomingHandler: `accepted` is called once the entry is on disk, or the refusal is on its way to the app. */
  receive(message: Incoming, accepted: () => void): void {
    let isAnswered = false;
    const once = () => {
      isAnswered = true;
      accepted();
    };
    try {
      this.#receive(message, once);
    } catch (error) {
      // Unacknowledged it would come again with each connection, and take a place among those the broker may have out.
      this.#parts.log.error({ event: 'publish.failed', topic: message.topic, error: String(error) });
      const place = this.#parts.topics.read(message.topic);
      const user = isRefusal(place) ? null : place.user;
      if (!isAnswered) this.#refuse(user, idOfRefused(message.payload), refuse('internal-server-error'), accepted);
    }
  }

  #receive(message: Incoming, accepted: () => void): void {
    const place = this.#parts.topics.read(message.topic);
    if (isRefusal(place)) return this.#refuse(null, undefined, place, accepted);
    if (place.kind === 'presence') return this.#presence(place.user, place.client, message, accepted);
    // Somebody cleared a retained message: we, as a rule.
    if (message.payload.length === 0) return accepted();
    if (message.retain) return this.#clear(place.user, message, accepted);
    if (place.kind === 'unknown') {
      const refusal = refuse('bad-request', `there is no channel out/${place.channel.slice(0, 64)}`);
      return this.#refuse(place.user, idOfRefused(message.payload), refusal, accepted);
    }
    const user = this.#parts.users.get(place.user);
    if (place.channel === 'ack') return this.#ack(place.user, message, accepted);
    const waitMs = this.#rate.take(place.user);
    if (waitMs > 0) return this.#slowDown(place.user, message, waitMs, accepted);
    const payload = readPayload(message.payload, { maxBytes: this.#parts.maxStanzaBytes });
    if (isRefusal(payload)) return this.#refuse(place.user, idOfRefused(message.payload), payload, accepted);
    if (place.channel === 'chatstate') return this.#passOn(user, payload, accepted);
    const id = readId(payload);
    if (isRefusal(id)) return this.#refuse(place.user, undefined, id, accepted);
    if (!user || !this.#parts.users.isOpen(user.jid))
      return this.#refuse(place.user, id, refuse('not-migrated'), accepted);
    if (user.own && place.channel === 'request') return this.#reply(user, id, payload, accepted);
    this.#accept({ user, channel: place.channel, id, payload, expiresIn: message.expiresIn }, accepted);
  }

  /** Repeatable by who asks, so no entry. */
  #reply({ jid }: User, id: string, payload: Payload, accepted: () => void): void {
    const { ownServer, notices, fault } = this.#parts;
    ownServer.request(jid, payload).then((answer) => {
      if (isRefusal(answer)) return this.#refuse(jid, id, answer, accepted);
      notices.reply(jid, id, answer);
      accepted();
    }, fault);
  }

  #accept(request: Request, accepted: () => void): void {
    const translation = this.#translate(request.user, request.channel, request.payload);
    const { id, user } = request;
    if (isRefusal(translation)) return this.#refuse(user.jid, id, translation, accepted);
    this.#answer(user.jid, id, this.#entries.accept(request, translation), accepted);
  }

  /** A step of its own: whatever is in scope here lives until the commit, and thousands wait for one. */
  #answer(user: string, id: string, outcome: Promise<Outcome>, accepted: () => void): void {
    const { notices, metrics } = this.#parts;
    outcome.then(
      ({ kind }) => {
        if (kind === 'conflict') return this.#refuse(user, id, refuse('conflict'), accepted);
        if (kind === 'full') return this.#holdBack(user, id, accepted);
        (kind === 'new' ? metrics.accepted : metrics.repeated).inc({ lane: 'toXmpp' });
        notices.ack(user, id);
        accepted();
      },
      (error) => {
        this.#parts.log.error({ event: 'publish.failed', user, error: String(error) });
        this.#refuse(user, id, refuse('internal-server-error'), accepted);
      },
    );
  }

  /** The finished stanza, or why there can be none. */
  #translate(user: User, channel: OutChannel, payload: Payload): Translation | Refusal {
    if (channel === 'request' || channel === 'room') {
      return refuse('feature-not-implemented', `out/${channel} is not available yet`);
    }
    const { mappings } = this.#parts;
    const made =
      channel === 'presence'
        ? directedPresence(mappings.presence, user.jid, payload)
        : messageFrom(mappings, channel, payload);
    if (isRefusal(made)) return made;
    const { stanza, to } = made;
    if (user.own) stanza.attrs.from = user.jid;
    const written = writeWithContent(stanza, isContent);
    if (isRefusal(written)) return written;
    const bytes = Buffer.byteLength(written.text) + envelopeBytes;
    const { maxStanzaBytes } = this.#parts;
    if (bytes > maxStanzaBytes)
      return refuse('policy-violation', `as a stanza this has ${bytes} bytes; ${maxStanzaBytes} are allowed`);
    return { stanza, ...written, to };
  }

  /** Chat states are worth something only now. */
  #passOn(user: User | undefined, payload: Payload, accepted: () => void): void {
    const { metrics, sessions, users } = this.#parts;
    accepted();
    if (!user || !users.isOpen(user.jid) || !sessions.of(user.jid)) {
      metrics.ephemeral.inc({ lane: 'toXmpp', result: 'dropped' });
      return;
    }
    const translation = this.#translate(user, 'chatstate', payload);
    if (isRefusal(translation)) this.#refuse(user.jid, undefined, translation, () => {});
    else sessions.whisper(user.jid, translation.text);
  }

  #ack(user: string, message: Incoming, accepted: () => void): void {
    const { ledger, devices, clock, onAcked, fault } = this.#parts;
    const payload = readPayload(message.payload, { maxBytes: this.#parts.maxStanzaBytes });
    const ack = isRefusal(payload) ? payload : readAck(payload);
    if (isRefusal(ack)) return this.#refuse(user, undefined, ack, accepted);
    const known = this.#parts.users.get(user);
    if (!known) return this.#refuse(user, undefined, refuse('not-migrated'), accepted);
    const written = ledger.do('appAcked', { user, keys: ack.keys, at: clock.now() });
    if (ack.device) devices.acked(user, ack.device).catch(fault);
    written.then(() => {
      known.acks = true;
      onAcked(user);
      accepted();
    }, fault);
  }

  /** Of users not known yet, too: the phone may be there before the move. What waits for its turn must not keep the message. */
  #presence(user: string, client: string, { payload: bytes, retain }: Incoming, accepted: () => void): void {
    const { devices, pace } = this.#parts;
    if (bytes.length === 0) return pace.pass(user, client, () => devices.gone(user, client), accepted);
    const payload = readPayload(bytes, { maxBytes: this.#parts.maxStanzaBytes });
    const presence = isRefusal(payload) ? payload : readPresence(payload);
    if (isRefusal(presence)) return this.#refuse(user, undefined, presence, accepted);
    const hear = () => devices.heard(user, client, presence, retain);
    if (retain) pace.pass(user, client, hear, accepted);
    else pace.take(user, client, hear, accepted);
  }

  /** A retained message would be a new one at every restart: it is taken away, and its sender told. */
  #clear(user: string, message: Incoming, accepted: () => void): void {
    const { broker, log } = this.#parts;
    log.warn({ event: 'publish.retained', topic: message.topic });
    this.#refuse(user, undefined, refuse('bad-request', 'messages under out/ must not be retained'), accepted);
    if (message.payload.length > 0) void broker.publish({ topic: message.topic, payload: '', qos: 1, retain: true });
  }

  /** Not kept, so that the same id may come again. */
  #slowDown(user: string, message: Incoming, waitMs: number, accepted: () => void): void {
    const { perSecond } = this.#parts.rate;
    const text = `more than ${perSecond} messages a second: send this one again in ${Math.ceil(waitMs / 1000)} s`;
    this.#parts.metrics.heldBack.inc({ limit: 'rate' });
    this.#refuse(user, idOfRefused(message.payload), refuse('resource-constraint', text), accepted);
  }

  /** Not kept either. */
  #holdBack(user: string, id: string, accepted: () => void): void {
    const { messagesWaiting, metrics } = this.#parts;
    const text = `${messagesWaiting} messages of yours wait for the chat server already: send this one again later`;
    metrics.heldBack.inc({ limit: 'waiting' });
    this.#refuse(user, id, refuse('resource-constraint', text), accepted);
  }

  /** `user` null: there is nobody who could be told. */
  #refuse(user: string | null, id: string | undefined, refusal: Refusal, accepted: () => void): void {
    this.#parts.metrics.refused.inc({ lane: 'toXmpp', reason: refusal.name });
    if (user !== null) this.#parts.notices.refusal(user, id, refusal);
    accepted();
  }
}

function messageFrom(
  mappings: Mappings,
  channel: string,
  payload: Payload,
): Pick<Translation, 'stanza' | 'to'> | Refusal {
  const to = typeof payload.to === 'string' ? parseJid(payload.to) : null;
  if (!to) return refuse('jid-malformed', 'to must be a JID');
  const stanza = mappings.toStanza(channel, { ...payload, to: fullOf(to) });
  return isRefusal(stanza) ? stanza : { stanza, to };
}
