// The broker as the parts above see it: two MQTT connections, one that publishes and one that subscribes.

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Broker, BrokerUp, IncomingHandler } from './broker.ts';
import type { Address } from './connect-once.ts';
import { startPublisher } from './publisher.ts';
import { startSubscriber } from './subscriber.ts';

export interface BrokerOptions extends Address {
  /** The client ids are this with `-pub` and `-sub`; the second names the session that survives on the broker. */
  clientId: string;
  /** Topic filters of what the gateway takes, see `makeTopics`. */
  filters: { out: string; presence: string };
  clock: Clock;
  log: Log;
  /** May be called before `onUp`: a resumed session delivers at once. */
  onMessage: IncomingHandler;
  onUp(up: BrokerUp): void;
  onDown(reason: string): void;
  /** Once after each `onUp`, as soon as a live `$SYS/broker/uptime` has come; never on a broker without one. */
  onBoot(bootMs: number): void;
  /** The broker has dropped so many messages more: a queue was full. */
  onDropped(count: number): void;
}

export interface BrokerClient extends Broker {
  /** At most one more message is handed over until `resumeReading`; the broker keeps the rest. */
  pauseReading(): void;
  resumeReading(): void;
  /** Drops are not told until the result is called with how many of them were our own doing. */
  expectDrops(): (ours: number) => void;
  /** Writes the PUBACKs that may go, sends DISCONNECT on both connections; what is unanswered resolves as `lost`. */
  close(): Promise<void>;
}

/** Connects, and connects again for as long as it is not closed. Never throws; what fails is in the log, with what to do. */
export function connectBroker(options: BrokerOptions): BrokerClient {
  const { url, username, password, tls, clientId, clock, log } = options;
  const parts = { address: { url, username, password, tls }, clock, log };
  let up = false;
  let boot: number | null = null;
  const change = (reason: string) => {
    const isUp = publisher.isOpen && subscriber.isOpen;
    if (isUp === up) return;
    up = isUp;
    if (!up) return options.onDown(reason);
    const { reasonCodes, maximumPacketSize } = publisher;
    options.onUp({ reasonCodes, maximumPacketSize });
    if (boot !== null) options.onBoot(boot);
  };
  const told = { onUp: () => change(''), onDown: change };
  const publisher = startPublisher(parts, `${clientId}-pub`, {
    onUp: told.onUp,
    onDown(reason) {
      boot = null;
      change(reason);
    },
    onBoot(bootMs) {
      boot = bootMs;
      if (up) options.onBoot(bootMs);
    },
    onDropped: (count) => options.onDropped(count),
  });
  const subscriber = startSubscriber(parts, `${clientId}-sub`, options.filters, {
    ...told,
    onMessage: options.onMessage,
  });
  return {
    get up() {
      return up;
    },
    get window() {
      return publisher.window;
    },
    get reasonCodes() {
      return publisher.reasonCodes;
    },
    get maximumPacketSize() {
      return publisher.maximumPacketSize;
    },
    get heardAt() {
      return publisher.heardAt;
    },
    publish: (message) => publisher.publish(message),
    pauseReading: () => subscriber.pauseReading(),
    resumeReading: () => subscriber.resumeReading(),
    expectDrops: () => publisher.expectDrops(),
    async close() {
      await Promise.all([subscriber.close(), publisher.close()]);
    },
  };
}
