// The two ways out of the ledger: a publish and its PUBACK, a stanza and the server's result; each read as an Answer.

import type { Clock } from '../clock.ts';
import type { Entry } from '../ledger/ledger.ts';
import type { Devices } from '../migration/devices.ts';
import type { Users } from '../migration/users.ts';
import type { Broker } from '../mqtt/broker.ts';
import type { SendResult } from '../xmpp/session.ts';
import type { AppNotices } from './app-notices.ts';
import type { Answer, Fault, Obstacle, Road } from './road.ts';
import type { Sessions } from './sessions.ts';

/** Room for the parts of a PUBLISH packet that are neither topic nor payload. */
const packetOverheadBytes = 64;
/** Reason codes of a PUBACK that no repeat will change [MQTT5 3.4.2.1]. */
const finalReasons: Record<number, string> = {
  135: 'not authorized',
  144: 'topic name invalid',
  149: 'packet too large',
  153: 'payload format invalid',
};
const nobodySubscribed = 16;
/** The quota that is exceeded is the user's queue: it says nothing about the entry. */
const quotaExceeded = 151;

export interface MqttRoadParts {
  broker: Broker;
  users: Users;
  devices: Devices;
  clock: Clock;
  /** While no device of a user is online, so many of its entries may be with the broker. */
  offlineWindow: number;
}

export class MqttRoad implements Road {
  readonly #parts: MqttRoadParts;
  /** Entries per user that the broker has taken while no device was online. */
  readonly #withBroker = new Map<string, number>();
  /** False until it is known whether the broker was restarted: what it holds may have to go first, and nothing settles. */
  open = false;

  constructor(parts: MqttRoadParts) {
    this.#parts = parts;
  }

  get window(): number {
    return this.#parts.broker.window;
  }

  /** When the broker gave its last sign of life (ms). */
  get brokerHeardAt(): number {
    return this.#parts.broker.heardAt;
  }

  /** What the broker held when the gateway stopped. */
  restore(counts: { user: string; count: number }[]): void {
    this.#withBroker.clear();
    for (const { user, count } of counts) this.#withBroker.set(user, count);
  }

  deviceOnline(user: string): void {
    this.#withBroker.delete(user);
  }

  mayGo(user: string): boolean {
    const { broker, users, devices, offlineWindow } = this.#parts;
    if (!this.open || !broker.up || !users.isPublished(user)) return false;
    const held = this.#withBroker.get(user);
    return held === undefined || held < offlineWindow || devices.online(user) > 0;
  }

  obstacle(user: string): Obstacle | null {
    const { broker, users } = this.#parts;
    if (!users.isPublished(user)) return 'not-published';
    if (!broker.up) return 'broker-down';
    if (!this.open) return 'broker-unknown';
    return this.mayGo(user) ? null : 'offline-window';
  }

  send(entry: Entry, answered: (answer: Answer) => void): void {
    const { broker, devices } = this.#parts;
    const topic = entry.topic!;
    const bytes = bytesAbove(broker.maximumPacketSize, entry.payload, topic);
    if (bytes !== null) {
      const text = `${bytes} bytes are more than the broker takes`;
      return queueMicrotask(() => answered({ kind: 'dead', condition: 'policy-violation', text }));
    }
    const isAlone = devices.online(entry.user) === 0;
    const expiresIn = this.#expiresIn(entry);
    void broker.publish({ topic, payload: entry.payload, qos: 1, expiresIn }).then((result) => {
      if (result.kind === 'lost') return answered(result);
      const answer = this.#read(entry, result.code, isAlone);
      if (answer.kind === 'delivered' && isAlone)
        this.#withBroker.set(entry.user, (this.#withBroker.get(entry.user) ?? 0) + 1);
      answered(answer);
    });
  }

  /** Not for apps that never acknowledge: what the broker dropped without a word would be taken for theirs. */
  #expiresIn({ user, expiresAt }: Entry): number | undefined {
    const { users, clock } = this.#parts;
    return expiresAt !== undefined && users.get(user)?.acks ? secondsTo(expiresAt - clock.now()) : undefined;
  }

  #read(entry: Entry, code: number, isAlone: boolean): Answer {
    const isMessage = entry.channel === 'message';
    if (code === nobodySubscribed) {
      if (isMessage || isAlone) return { kind: 'parked', holds: isMessage };
      return { kind: 'discarded', reason: 'no-subscriber' };
    }
    if (code < 128)
      return isAlone && !this.#parts.broker.reasonCodes ? { kind: 'parked', holds: isMessage } : { kind: 'delivered' };
    const text = finalReasons[code];
    if (text) return { kind: 'dead', condition: 'not-acceptable', text: `the broker refused it: ${text} (${code})` };
    const reason = `PUBACK ${code}`;
    if (code === quotaExceeded) return { kind: 'retry', reason };
    return { kind: 'retry', reason, own: { condition: 'not-acceptable', text: `the broker never took it: ${reason}` } };
  }

  /** It is kept for an operator, and is no loss yet. */
  gaveUp(): void {}
}

/** For a message that is still of use: never 0, which would be none. */
function secondsTo(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

/** The bytes of the packet if they are more than the limit; counted only where they might be (a unit of UTF-16 has 3 at most). */
function bytesAbove(limit: number, payload: string, topic: string): number | null {
  if ((payload.length + topic.length) * 3 + packetOverheadBytes <= limit) return null;
  const bytes = Buffer.byteLength(payload) + Buffer.byteLength(topic) + packetOverheadBytes;
  return bytes > limit ? bytes : null;
}

export interface XmppRoadParts {
  sessions: Sessions;
  /** The server does not know this session any more. */
  sessionGone: (user: string) => void;
  notices: AppNotices;
  window: number;
}

export class XmppRoad implements Road {
  readonly #parts: XmppRoadParts;

  constructor(parts: XmppRoadParts) {
    this.#parts = parts;
  }

  get window(): number {
    return this.#parts.window;
  }

  mayGo(user: string): boolean {
    return this.#parts.sessions.of(user) !== undefined;
  }

  obstacle(user: string): Obstacle | null {
    if (this.mayGo(user)) return null;
    return this.#parts.sessions.isUp(user) ? 'no-session' : 'link-down';
  }

  send(entry: Entry, answered: (answer: Answer) => void): void {
    const session = this.#parts.sessions.of(entry.user);
    if (!session) return queueMicrotask(() => answered({ kind: 'lost' }));
    void session.send(entry.payload, entry.key).then((result) => answered(this.#read(entry, result)));
  }

  #read(entry: Entry, result: SendResult): Answer {
    if (result.kind === 'processed') return { kind: 'delivered' };
    if (result.kind === 'lost') return result;
    if (result.kind === 'wait') {
      if (result.condition !== 'item-not-found')
        return { kind: 'retry', reason: result.condition, own: { condition: result.condition, text: result.text } };
      this.#parts.sessionGone(entry.user);
      return { kind: 'retry', reason: result.condition };
    }
    const { condition, text } = result;
    this.gaveUp(entry, { condition, text });
    return { kind: 'dead', condition, text };
  }

  gaveUp(entry: Entry, fault: Fault): void {
    // The gateway's own word to a contact: no app knows of it.
    if (entry.channel !== 'error') this.#parts.notices.error(entry.user, { id: entry.id, ...fault });
  }
}
