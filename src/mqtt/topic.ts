// The topics of apps (docs: the MQTT side): {root}/{user}/in|out/{channel} and {root}/{user}/presence/{clientId}. Pure.

import { type Refusal, refuse } from '../refusal.ts';

/** Channels from the gateway to the user. */
export const inChannels = [
  'message',
  'receipt',
  'roster',
  'room',
  'reply',
  'ack',
  'error',
  'stanza',
  'chatstate',
  'presence',
] as const;

/** Channels from the user to the gateway. */
export const outChannels = ['message', 'receipt', 'presence', 'room', 'request', 'ack', 'stanza', 'chatstate'] as const;

export type InChannel = (typeof inChannels)[number];
export type OutChannel = (typeof outChannels)[number];

/** What a topic from the broker names; `user` is a prepared bare JID, `client` the MQTT client id as it stands there. */
export type ReadTopic =
  | { kind: 'out'; user: string; channel: OutChannel }
  /** Under the user's `out/`, on a channel that there is not: its sender can be told. */
  | { kind: 'unknown'; user: string; channel: string }
  | { kind: 'presence'; user: string; client: string };

/** The prepared (RFC 7622) form of a bare JID, or null if it is none. */
export type PrepareJid = (bareJid: string) => string | null;

const plain = /^[A-Za-z0-9_-]+$/;
const encoded = /^(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+$/;
const maxClientIdBytes = 256;
/** A bare JID has at most 2047 bytes (RFC 7622 §3.1 without the resource), each of which may be percent-encoded. */
const maxLevelBytes = 6_200;
/** Of each memory, its keys and values together; enough for some hundred thousand users. */
const maxRememberedBytes = 32 * 1024 * 1024;
/** About what a map needs for an entry besides its texts. */
const entryBytes = 100;

/**
 * The user level of `bareJid`: its local part, or all of it if its domain is not `domain`; every byte outside
 * `[A-Za-z0-9_-]` percent-encoded as UTF-8 in upper-case hex. This is also the user's MQTT username.
 */
export function encodeUser(bareJid: string, domain: string): string {
  const at = bareJid.indexOf('@');
  const text = at > 0 && bareJid.slice(at + 1) === domain ? bareJid.slice(0, at) : bareJid;
  if (plain.test(text)) return text;
  // encodeURIComponent leaves . ! ~ * ' ( ) as they are
  return encodeURIComponent(text.toWellFormed()).replace(
    /[.!~*'()]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export interface Topics {
  /** What the gateway subscribes to. */
  readonly out: string;
  readonly presence: string;
  /** `{root}/{user}/in/{channel}` */
  toUser(user: string, channel: InChannel): string;
  /** Reads a topic that came from the broker; one that is not exactly as this gateway would write it is refused. */
  read(topic: string): ReadTopic | Refusal;
}

/** The topics under one root. Encodings and decodings of users are remembered, since each message needs one; refusals are not. */
export function makeTopics(given: { root: string; domain: string; prepare: PrepareJid }): Topics {
  const { root, domain, prepare } = given;
  const prefix = `${root}/`;
  const inPrefixes = new Memory((user) => `${prefix}${encodeUser(user, domain)}/in/`);
  const users = new Memory((level) => decodeUser(level, domain, prepare));
  return {
    out: `${root}/+/out/+`,
    presence: `${root}/+/presence/+`,
    toUser(user, channel) {
      return inPrefixes.get(user) + channel;
    },
    read(topic) {
      if (!topic.startsWith(prefix)) return refuse('bad-request', 'this topic is not under the root');
      const levels = topic.slice(prefix.length).split('/');
      const [level = '', kind, last = ''] = levels;
      if (levels.length !== 3 || (kind !== 'out' && kind !== 'presence'))
        return refuse('bad-request', 'this topic has no meaning here');
      const user = level.length > maxLevelBytes ? null : users.get(level);
      if (user === null) return refuse('jid-malformed', 'the user level of this topic is not in its canonical form');
      return kind === 'out' ? readChannel(user, last) : readClient(user, last);
    },
  };
}

function readChannel(user: string, channel: string): ReadTopic {
  return isOutChannel(channel) ? { kind: 'out', user, channel } : { kind: 'unknown', user, channel };
}

function readClient(user: string, client: string): ReadTopic | Refusal {
  if (client === '' || Buffer.byteLength(client) > maxClientIdBytes)
    return refuse('bad-request', `the client id must have 1 to ${maxClientIdBytes} bytes`);
  return { kind: 'presence', user, client };
}

function isOutChannel(channel: string): channel is OutChannel {
  return (outChannels as readonly string[]).includes(channel);
}

/** The bare JID for a user level, or null unless the level equals encode(prepare(decode(level))). */
function decodeUser(level: string, domain: string, prepare: PrepareJid): string | null {
  if (!encoded.test(level)) return null;
  let text: string;
  try {
    text = decodeURIComponent(level);
  } catch {
    return null; // bytes that are no UTF-8
  }
  const user = prepare(text.includes('@') ? text : `${text}@${domain}`);
  return user?.includes('@') && encodeUser(user, domain) === level ? user : null;
}

/** Remembers what `make` makes of a text. Bounded in bytes by forgetting everything: a refill is cheap. Null is not remembered. */
class Memory<V extends string | null> {
  readonly #make: (text: string) => V;
  readonly #made = new Map<string, V>();
  #bytes = 0;

  constructor(make: (text: string) => V) {
    this.#make = make;
  }

  get(text: string): V {
    const known = this.#made.get(text);
    if (known !== undefined) return known;
    // A copy: the text is a slice that would keep the whole topic in memory.
    const key = Buffer.from(text).toString();
    const value = this.#make(key);
    if (value === null) return value;
    const bytes = entryBytes + 2 * (key.length + value.length);
    if (this.#bytes + bytes > maxRememberedBytes) this.#forget();
    this.#bytes += bytes;
    this.#made.set(key, value);
    return value;
  }

  #forget(): void {
    this.#made.clear();
    this.#bytes = 0;
  }
}
