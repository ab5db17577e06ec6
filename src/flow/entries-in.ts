// The last step of what comes from the legacy server: an entry, with all by which a repeat is known, on disk; then it is accepted.

import { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Custody, Draft, Ledger } from '../ledger/ledger.ts';
import { archiveKey, contentKey } from '../ledger/repeat.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { LegacyServer } from '../migration/server.ts';
import type { User } from '../migration/users.ts';
import { formatAt } from '../mqtt/message.ts';
import type { InChannel, Topics } from '../mqtt/topic.ts';
import { isRefusal, refuse } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { Arrival } from '../xmpp/session.ts';
import { alone, delayOf, isContent } from '../xmpp/stanza.ts';
import { readError } from '../xmpp/stanza-error.ts';
import { writeWithContent } from '../xmpp/xml-writer.ts';
import { archiveIdOf, type Brought } from './copies.ts';
import type { Refusals } from './refusals.ts';
import type { Sessions } from './sessions.ts';

/** What a stanza becomes: a channel and the fields of its payload. */
export interface Translation {
  channel: string;
  fields: Record<string, unknown>;
  mapping: string;
  /** The repeat key of a request that the server tells again. */
  archiveKey?: string;
}

export interface EntriesInParts {
  /** The users' domain. */
  domain: string;
  server: Pick<LegacyServer, 'hasArchive'>;
  topics: Topics;
  ledger: Ledger;
  sessions: Sessions;
  refusals: Refusals;
  /** So long (ms) a message may wait for the apps, if the operator has set a time. */
  expireAfterMs?: number;
  /** A message for the user is on disk. */
  onMessage: (user: string) => void;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

/** Custody of a stanza on these channels never lies with us: nobody misses one at a rollback. */
const copyChannels: readonly string[] = ['receipt', 'error', 'presence'];

export class EntriesIn {
  readonly #parts: EntriesInParts;

  constructor(parts: EntriesInParts) {
    this.#parts = parts;
  }

  accept(user: User, brought: Brought, arrival: Arrival, translation: Translation, accepted: () => void): void {
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
        const { log, refusals } = this.#parts;
        log.error({ event: 'stanza.failed', user: user.jid, id: attrs.id, error: String(error) });
        refusals.refuse(new Element(name, attrs), arrival, refuse('internal-server-error'), accepted, late);
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
    const { domain, clock, topics, server, sessions, expireAfterMs } = this.#parts;
    const { channel, fields, mapping } = translation;
    const { message, way, direction, archived } = brought;
    const { from = '', to = '', id, type = 'normal' } = message.attrs;
    const delay = archived?.at ?? delayOf(message, domain, clock.now(), server.hasArchive ? user.jid : undefined);
    const at = delay ?? clock.now();
    const { text, content } = written(message);
    const isCopy = way !== 'direct' || arrival.seen;
    const custody: Custody = isCopy || type === 'groupchat' || copyChannels.includes(channel) ? 'copy' : 'sole';
    const payload = { ...fields, id: id ?? key, key, at: formatAt(at), direction, copy: isCopy || undefined };
    const other = direction === 'sent' ? to : from;
    const peer = prepareBare(other) ?? other;
    // What the apps have sent is in the ledger already, under the name their session was asked for.
    const sender = from === user.attached?.jid ? sessions.jidOf(user) : from;
    const stanzaId = server.hasArchive ? (archived?.id ?? archiveIdOf(message, user.jid, arrival.sid)) : undefined;
    // What a user writes to itself the archive has twice, as sent and as received: its ids would make two of it, its own id does not.
    const isNoteToSelf = id !== undefined && peer === user.jid;
    return {
      lane: 'toMqtt',
      user: user.jid,
      peer,
      channel,
      id: id === undefined ? key : alone(id),
      custody,
      at,
      late: way !== 'direct' || delay !== null,
      carbon: way === 'carbon' || undefined,
      place: stanzaId !== undefined && !archived ? { id: stanzaId, at } : undefined,
      position: arrival.position,
      archiveKey:
        translation.archiveKey ??
        (stanzaId && !isNoteToSelf ? archiveKey({ user: user.jid, by: user.jid, stanzaId, from: sender }) : undefined),
      contentKey: contentKey({ user: user.jid, from: sender, channel, type, id, children: content }),
      topic: topics.toUser(user.jid, channel as InChannel),
      payload: JSON.stringify(payload),
      original: text,
      mapping,
      expiresAt: expireAfterMs === undefined ? undefined : clock.now() + expireAfterMs,
    };
  }
}

/** What a contact's error says of a message the user sent: for `in/error`. */
export function errorFields(stanza: Element): Translation {
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
