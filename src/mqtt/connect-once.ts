// One mqtt.js client for one network connection, from CONNECT to its end (MQTT 5 §3.1, §4.12 and 3.1.1).

import mqtt, {
  type IClientOptions,
  type IConnackPacket,
  type IPublishPacket,
  type MqttClient,
  type Packet,
  UniqueMessageIdProvider,
} from 'mqtt';
import type { Clock } from '../clock.ts';
import { explainFault, explainReason, reasonOf, systemCodeOf } from './fault.ts';
import type { ProtocolVersion } from './packet.ts';
import { filterPubacks, type PubackHandler } from './puback-filter.ts';

/** How to reach the broker: `mqtt:`, `mqtts:`, `ws:` or `wss:`; `tls` in PEM. No user name: an anonymous connection. */
export interface Address {
  url: string;
  username?: string;
  password?: string;
  tls?: { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer };
}

export interface SessionOptions {
  clientId: string;
  /** False: the broker keeps the session, and what comes in for it, while we are away. */
  clean: boolean;
  sessionExpirySeconds?: number;
  /** MQTT 5: how many QoS 1 publishes the broker may have unanswered with us. */
  receiveMaximum?: number;
}

export interface Live {
  readonly client: MqttClient;
  readonly version: ProtocolVersion;
}

export interface ConnectionEvents {
  onOpen(live: Live, connack: IConnackPacket): void;
  onPacket?(packet: Packet): void;
  /** Where it is asked for, PUBACKs come here and not to `onPacket`. */
  onPuback?: PubackHandler;
  /**
   * A PUBLISH; with a resumed session it can come before `onOpen`. mqtt.js sends no PUBACK for it. `release` lets the next
   * packet be read; until then nothing is read, not even a PINGRESP.
   */
  onPublish(packet: IPublishPacket, live: Live, release: () => void): void;
  /** Asked when a ping is unanswered: true if we do not read at the moment, so that the connection is not given up. */
  isHeld?(): boolean;
  /** Comes exactly once, last. */
  onEnd(end: ConnectionEnd): void;
}

export interface ConnectionEnd {
  /** For the log: what happened and what to do. */
  reason: string;
  opened: boolean;
  /** The broker answered the CONNECT with a no (and not with "not now"), or TLS with a demand for a certificate. */
  refused: boolean;
  /** The broker does not take MQTT 5. */
  refusesFive: boolean;
  /** It closed the connection in place of an answer to the CONNECT of MQTT 5: it does not take it, or it is restarting. */
  hungUp: boolean;
}

const keepaliveSeconds = 20;
const openTimeoutMs = 10_000;
const closeTimeoutMs = 2_000;
const unsupportedVersion = [1, 132];
const notNow = [3, 136, 137, 139, 159];
const wantsCertificate = /^ERR_SSL_.*(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/;

/** Given to mqtt.js in place of "handled": releases its reader and sends no PUBACK. */
const noPuback = new Error('the PUBACK is sent apart');

/** Opens a connection; the result ends it in order (resolving when the socket is closed). Never throws. */
export function connectOnce(
  address: Address,
  session: SessionOptions,
  version: ProtocolVersion,
  clock: Clock,
  events: ConnectionEvents,
): () => Promise<void> {
  const closed = Promise.withResolvers<void>();
  let opened = false;
  let fault: unknown = null;
  const onClose = () => {
    events.onEnd(endOf(fault, opened, version));
    closed.resolve();
  };
  let client: MqttClient;
  try {
    client = mqtt.connect(address.url, clientOptions(address, session, version));
    if (events.onPuback) filterPubacks(client, events.onPuback);
    client.connect();
  } catch (error) {
    fault = error; // an unusable URL or certificate
    queueMicrotask(onClose);
    return () => closed.promise;
  }
  // All handlers in this tick: a resumed session delivers together with the CONNACK.
  const live = { client, version };
  client.on('connect', (connack) => {
    opened = true;
    events.onOpen(live, connack);
  });
  client.on('packetreceive', (packet) => events.onPacket?.(packet));
  client.handleMessage = (packet, done) => events.onPublish(packet, live, () => done(noPuback));
  client.on('disconnect', (packet) => {
    fault ??= new Error(`the broker ends the connection: ${explainReason(packet.reasonCode ?? 0)}`);
  });
  client.on('error', (error) => {
    fault ??= error;
    client.stream.destroy(); // after a parser error mqtt.js itself would go on
  });
  client.once('close', onClose);
  keepWhileHeld(client, events);
  if ('setNoDelay' in client.stream && typeof client.stream.setNoDelay === 'function') client.stream.setNoDelay(true);
  return () => {
    fault ??= new Error('closed by the gateway');
    const late = clock.after(closeTimeoutMs, () => client.stream.destroy());
    client.end(!opened);
    return closed.promise.finally(() => late.cancel());
  };
}

function clientOptions(address: Address, session: SessionOptions, version: ProtocolVersion): IClientOptions {
  const { clientId, clean, sessionExpirySeconds, receiveMaximum } = session;
  return {
    ...address.tls,
    username: address.username,
    password: address.password,
    clientId,
    clean,
    protocolVersion: version,
    keepalive: keepaliveSeconds,
    connectTimeout: openTimeoutMs,
    reconnectPeriod: 0,
    manualConnect: true,
    resubscribe: false,
    queueQoSZero: false,
    // pings at a steady pace: a new timer for each packet received would cost more than the ping
    reschedulePings: false,
    // takes the lowest free number, so the few SUBSCRIBEs never meet the publisher's own packet ids
    messageIdProvider: new UniqueMessageIdProvider(),
    ...(version === 5 && { properties: { sessionExpiryInterval: sessionExpirySeconds, receiveMaximum } }),
  };
}

/** While we hold the reader, a PINGRESP cannot be seen: the broker is pinged on, and not given up for silence. */
function keepWhileHeld(client: MqttClient, events: ConnectionEvents): void {
  const giveUp = client.onKeepaliveTimeout.bind(client);
  client.onKeepaliveTimeout = () => {
    if (!events.isHeld?.()) return giveUp();
    client.sendPing();
    client.reschedulePing(true);
  };
}

function endOf(fault: unknown, opened: boolean, version: ProtocolVersion): ConnectionEnd {
  const reason = fault === null ? 'the broker closed the connection' : explainFault(fault);
  const code = reasonOf(fault);
  const system = systemCodeOf(fault);
  const isEarly = !opened && version === 5;
  const refusesFive = isEarly && code !== null && unsupportedVersion.includes(code);
  return {
    reason,
    opened,
    refused: !opened && !refusesFive && (code === null ? wantsCertificate.test(system ?? '') : !notNow.includes(code)),
    refusesFive,
    hungUp: isEarly && (fault === null || system === 'ECONNRESET'),
  };
}
