// The one shape that the parts above mqtt/ see of the broker, whichever client is behind it.

export interface Publish {
  topic: string;
  payload: string;
  qos: 0 | 1;
  retain?: boolean;
  /** Seconds after which the broker need not deliver it any more (MQTT 5 only, §3.3.2.3.3). */
  expiresIn?: number;
}

/** What became of a publish: its PUBACK's reason code (always 0 on MQTT 3.1.1), or `lost` when the connection ended first. */
export type PublishResult = { kind: 'acked'; code: number } | { kind: 'lost' };

/** A PUBLISH from the broker. */
export interface Incoming {
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  /** What is left of the time, in seconds, that its sender has set. */
  expiresIn?: number;
  responseTopic?: string;
  correlationData?: Buffer;
}

/**
 * Takes one publish. `accepted` is to be called exactly once: it lets the PUBACK go, in the order the publishes came, on
 * the connection it came on and on no other [MQTT-4.6.0-2]. Must not throw.
 */
export type IncomingHandler = (message: Incoming, accepted: () => void) => void;

export interface BrokerUp {
  /** False on MQTT 3.1.1: nobody tells us of a refused or unheard publish. */
  reasonCodes: boolean;
  /** Bytes of a whole packet. */
  maximumPacketSize: number;
}

export interface Broker {
  /** True between CONNACK + SUBACK and the loss of either connection. */
  readonly up: boolean;
  /** How many QoS 1 publishes may be unanswered at once on this connection. */
  readonly window: number;
  readonly reasonCodes: boolean;
  readonly maximumPacketSize: number;
  /** When the last packet came from it on the publishing connection (ms since 1970); 0 before the first. */
  readonly heardAt: number;
  /** QoS 1: resolves with the PUBACK. QoS 0: written if the connection is up and not congested, else `lost`. */
  publish(message: Publish): Promise<PublishResult>;
}
