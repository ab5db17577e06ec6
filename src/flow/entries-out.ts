// The last step of what comes from an app: an entry, with all by which a repeat is known, and beside it the copy for the user's other devices.

import type { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Draft, Ledger, Outcome } from '../ledger/ledger.ts';
import { contentKey, digestOf, requestKey } from '../ledger/repeat.ts';
import type { User } from '../migration/users.ts';
import { formatAt, type Payload } from '../mqtt/message.ts';
import type { InChannel, OutChannel, Topics } from '../mqtt/topic.ts';
import { bareOf, fullOf, type Jid, prepareBare } from '../xmpp/jid.ts';
import type { Sessions } from './sessions.ts';
import { answeredBy, isSubscription } from './subscriptions.ts';

/** A message from an app, read and routed. */
export interface Request {
  user: User;
  channel: OutChannel;
  id: string;
  payload: Payload;
  /** For so long (s) its sender wants it delivered. */
  expiresIn?: number;
}

/** The finished stanza, and the part of its text by which it is known again. */
export interface Translation {
  stanza: Element;
  text: string;
  content: string;
  to: Jid;
}

export interface EntriesOutParts {
  topics: Topics;
  ledger: Ledger;
  sessions: Sessions;
  /** How many of a user's may wait for the legacy server, or be refused by it and kept. */
  messagesWaiting: number;
  /** So long (ms) a message may wait, if the operator has set a time; its sender may have set a shorter one. */
  expireAfterMs?: number;
  clock: Clock;
  fault: (error: unknown) => void;
}

export class EntriesOut {
  readonly #parts: EntriesOutParts;

  constructor(parts: EntriesOutParts) {
    this.#parts = parts;
  }

  /** Resolves when it is on disk, or is known to be there, or is not taken. */
  accept({ user, channel, id, payload, expiresIn }: Request, translation: Translation): Promise<Outcome> {
    const { ledger, clock, messagesWaiting, fault } = this.#parts;
    const { stanza, text, to } = translation;
    const sent = (): Draft => ({
      lane: 'toXmpp',
      user: user.jid,
      peer: bareOf(to),
      channel,
      id,
      custody: 'copy',
      at: clock.now(),
      requestKey: requestKey({ user: user.jid, id }),
      requestDigest: digestOf(canonical(channel, payload)),
      maxOpen: messagesWaiting,
      expiresAt: this.#expiresAt(expiresIn),
      payload: text,
    });
    const isShared = channel === 'message' || (channel === 'presence' && isSubscription(stanza.attrs.type));
    const copy = isShared
      ? (key: string) => this.#copy(user, channel, translation, { ...payload, to: fullOf(to) }, key)
      : undefined;
    const answered = channel === 'presence' ? answeredBy(user.jid, stanza, bareOf(to)) : undefined;
    if (answered !== undefined) ledger.do('renewed', { archiveKey: answered }).catch(fault);
    return ledger.accept(sent, copy).outcome;
  }

  /** What one device sends all devices see, written so that the archive's copy of it is a repeat. */
  #copy(
    user: User,
    channel: OutChannel & InChannel,
    { stanza, content }: Translation,
    payload: Payload,
    key: string,
  ): Draft {
    const { clock, topics, sessions, expireAfterMs } = this.#parts;
    const at = clock.now();
    const from = sessions.jidOf(user);
    const { id = key, to = '', type = 'normal' } = stanza.attrs;
    return {
      lane: 'toMqtt',
      user: user.jid,
      peer: prepareBare(to) ?? to,
      channel,
      id,
      custody: 'copy',
      at,
      late: true,
      contentKey: contentKey({ user: user.jid, from, channel, type, id, children: content }),
      topic: topics.toUser(user.jid, channel),
      expiresAt: expireAfterMs === undefined ? undefined : at + expireAfterMs,
      payload: JSON.stringify({ ...payload, key, from, at: formatAt(at), direction: 'sent', copy: true }),
    };
  }

  /** The earlier of what its sender and the operator have set. */
  #expiresAt(expiresIn = Number.POSITIVE_INFINITY): number | undefined {
    const { clock, expireAfterMs = Number.POSITIVE_INFINITY } = this.#parts;
    const inMs = Math.min(expiresIn * 1000, expireAfterMs);
    return Number.isFinite(inMs) ? clock.now() + inMs : undefined;
  }
}

/** The same whatever order the app wrote the fields in. */
function canonical(channel: string, payload: Payload): string {
  return JSON.stringify([channel, Object.entries(payload).sort(([one], [other]) => (one < other ? -1 : 1))]);
}
