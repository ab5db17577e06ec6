// The connection that subscribes: PUBACK only after `accepted`, in order; reading can be paused (MQTT 5 §3.8, §4.3.2).

import type { IPublishPacket } from 'mqtt';
import type { Incoming, IncomingHandler } from './broker.ts';
import type { Live } from './connect-once.ts';
import { type ConnectionParts, type Handlers, keepConnected } from './connection.ts';
import { explainReason } from './fault.ts';
import { PubackQueue } from './puback-queue.ts';

export interface Subscriber {
  /** True once the broker has granted the subscriptions. */
  readonly isOpen: boolean;
  /** At most one more message is handed over; the broker keeps the rest. Survives a new connection. */
  pauseReading(): void;
  resumeReading(): void;
  close(): Promise<void>;
}

/** How long the broker keeps what apps send while the gateway is away. */
const sessionExpirySeconds = 30 * 86_400;
/** As many as the broker may have unanswered with us; enough to fill a group commit. */
const receiveMaximum = 1000;

/**
 * Keeps the subscribing connection open, with a session that survives on the broker. `out` and `presence` are topic filters.
 * A throw of `onMessage` is logged and that message not acknowledged: the broker sends it again on the next connection.
 */
export function startSubscriber(
  parts: ConnectionParts,
  clientId: string,
  filters: { out: string; presence: string },
  told: { onMessage: IncomingHandler; onUp(): void; onDown(reason: string): void },
): Subscriber {
  let isOpen = false;
  let paused = false;
  let held: (() => void) | null = null;
  let pubacks: PubackQueue | null = null;

  const attach = (): Handlers => {
    let hasEnded = false;
    return {
      onOpen(live) {
        subscribe(live, filters, parts, () => {
          isOpen = true;
          told.onUp();
        });
      },
      onPublish(packet, live, release) {
        // mqtt.js can still have one in hand that it had read: the broker sends it again, and its PUBACK would have no way to go.
        if (hasEnded) return;
        pubacks ??= new PubackQueue((packets) => live.client.stream.write(packets));
        hand(packet, pubacks);
        if (paused) held = release;
        else release();
      },
      isHeld: () => held !== null,
      onClosed(reason) {
        hasEnded = true;
        pubacks?.close();
        pubacks = null;
        held = null;
        if (!isOpen) return;
        isOpen = false;
        told.onDown(reason);
      },
    };
  };

  const hand = (packet: IPublishPacket, pubacks: PubackQueue) => {
    const slot = packet.qos === 0 ? null : pubacks.take(packet.messageId!);
    try {
      told.onMessage(incomingFrom(packet), slot?.accepted ?? (() => {}));
    } catch (error) {
      slot?.forgo();
      parts.log.error({ event: 'mqtt.handler-failed', topic: packet.topic, err: error }, 'a message was not handled');
    }
  };

  const session = { clientId, clean: false, sessionExpirySeconds, receiveMaximum };
  const connection = keepConnected(parts, session, attach);
  return {
    get isOpen() {
      return isOpen;
    },
    pauseReading() {
      paused = true;
    },
    resumeReading() {
      paused = false;
      const release = held;
      held = null;
      release?.();
    },
    close() {
      pubacks?.close();
      return connection.close();
    },
  };
}

/**
 * Subscribes anew on every connection, resumed or not: this brings the retained presences again. What apps publish keeps its
 * RETAIN flag (`rap`), for it is refused; with presence the flag tells the state found from the state told.
 */
function subscribe(
  { client }: Live,
  filters: { out: string; presence: string },
  { log }: ConnectionParts,
  granted: () => void,
): void {
  const wanted = { [filters.out]: { qos: 1, rap: true }, [filters.presence]: { qos: 1, rap: false } } as const;
  client.subscribe(wanted, (error, _subscriptions, suback) => {
    if (suback === undefined && error) return; // the connection ended, which is told elsewhere
    const refused = suback?.granted.find((code) => code !== 1);
    if (refused === undefined) return granted();
    const why = refused === 0 ? 'it grants only QoS 0' : explainReason(Number(refused));
    log.error(
      { event: 'mqtt.subscribe-refused', filters: Object.keys(wanted), reason: why },
      'the broker refuses the subscriptions: the account of the gateway needs to read everything under the root',
    );
    client.stream.destroy();
  });
}

function incomingFrom(packet: IPublishPacket): Incoming {
  const { topic, payload, qos, retain, properties } = packet;
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const message: Incoming = { topic, payload: bytes, qos, retain };
  if (properties?.messageExpiryInterval !== undefined) message.expiresIn = properties.messageExpiryInterval;
  if (properties?.responseTopic !== undefined) message.responseTopic = properties.responseTopic;
  if (properties?.correlationData !== undefined) message.correlationData = properties.correlationData;
  return message;
}
