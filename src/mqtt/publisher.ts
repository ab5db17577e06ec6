// The connection that publishes: packet ids, window and PUBACKs of our own (MQTT 5 §3.3, §3.4, §4.9).

import { readBoot, uptimeTopic } from './boot.ts';
import type { Publish, PublishResult } from './broker.ts';
import type { Live } from './connect-once.ts';
import { type ConnectionParts, type Handlers, keepConnected } from './connection.ts';
import { DroppedCount, droppedTopic } from './dropped.ts';
import { PublishBuffer } from './publish-buffer.ts';

export interface Publisher {
  readonly isOpen: boolean;
  readonly window: number;
  readonly reasonCodes: boolean;
  readonly maximumPacketSize: number;
  readonly heardAt: number;
  publish(message: Publish): Promise<PublishResult>;
  /** Drops are not told until the result is called with how many of them were our own doing. */
  expectDrops(): (ours: number) => void;
  close(): Promise<void>;
}

const ownWindow = 500;
/** Below these are the packet ids of mqtt.js's own SUBSCRIBE. */
const firstPacketId = 16;
const lastPacketId = 65_535;
const maxQueuedBytes = 1024 * 1024;
/** Messages beyond the window that wait in line; more are `lost` at once. */
const maxWaiting = 10_000;
/** What the encoding of the length allows (MQTT 5 §2.1.4), for a broker that names no limit. */
const largestPacket = 268_435_460;

const lost: PublishResult = { kind: 'lost' };
const taken: PublishResult = { kind: 'acked', code: 0 };
const topicInvalid: PublishResult = { kind: 'acked', code: 144 };
const packetTooLarge: PublishResult = { kind: 'acked', code: 149 };

/**
 * Keeps the publishing connection open. A clean session: what it had in flight is not the broker's to remember, the ledger
 * sends it again. `$SYS/broker/uptime` is read here too, since a clean session never brings an old one.
 */
export function startPublisher(
  parts: ConnectionParts,
  clientId: string,
  told: { onUp(): void; onDown(reason: string): void; onBoot(bootMs: number): void; onDropped(count: number): void },
): Publisher {
  let link: PublishLink | null = null;
  let window = ownWindow;
  let reasonCodes = false;
  let maximumPacketSize = largestPacket;
  let heardAt = 0;
  const dropped = new DroppedCount();
  const tellDropped = (rise: number) => {
    if (rise > 0) told.onDropped(rise);
  };

  const attach = (): Handlers => {
    let bootKnown = false;
    return {
      onOpen(live, connack) {
        window = Math.min(ownWindow, connack.properties?.receiveMaximum ?? ownWindow);
        maximumPacketSize = connack.properties?.maximumPacketSize ?? largestPacket;
        reasonCodes = live.version === 5;
        link = new PublishLink(live, window, maximumPacketSize);
        live.client.subscribe([uptimeTopic, droppedTopic], { qos: 0 }, (error) => {
          if (error) parts.log.debug({ event: 'mqtt.no-uptime', reason: error.message });
        });
        told.onUp();
      },
      onPacket() {
        heardAt = parts.clock.now();
      },
      onPuback(packetId, reasonCode) {
        heardAt = parts.clock.now();
        link?.takePuback(packetId, reasonCode);
      },
      onPublish(packet, _live, release) {
        if (packet.topic === droppedTopic) tellDropped(dropped.rise(Buffer.from(packet.payload)));
        const bootMs =
          bootKnown || packet.retain || packet.topic !== uptimeTopic
            ? null
            : readBoot(Buffer.from(packet.payload), parts.clock.now());
        if (bootMs !== null) {
          bootKnown = true;
          told.onBoot(bootMs);
        }
        release();
      },
      onClosed(reason) {
        if (!link) return;
        const ended = link;
        link = null;
        ended.close();
        told.onDown(reason);
      },
    };
  };
  const connection = keepConnected(parts, { clientId, clean: true }, attach);
  return {
    get isOpen() {
      return link !== null;
    },
    get window() {
      return window;
    },
    get reasonCodes() {
      return reasonCodes;
    },
    get maximumPacketSize() {
      return maximumPacketSize;
    },
    get heardAt() {
      return heardAt;
    },
    publish: (message) => link?.publish(message) ?? Promise.resolve(lost),
    expectDrops() {
      const judge = dropped.expect();
      return (ours) => tellDropped(judge(ours));
    },
    close: () => connection.close(),
  };
}

/**
 * Publishes on one connection. It writes PUBLISH packets to the socket itself and reads the PUBACKs itself, because
 * mqtt.js's publish() hides the reason code 16, keeps no window, and clones every message into a store that nobody needs
 * (an eighth to a third more of the main thread per message). Its pings do not depend on what it sends, or gets.
 */
class PublishLink {
  private readonly live: Live;
  private readonly window: number;
  private readonly unanswered = new Map<number, (result: PublishResult) => void>();
  private waiting: { message: Publish; resolve: (result: PublishResult) => void }[] = [];
  private readonly unwritten: PublishBuffer;
  private packetId = firstPacketId;

  constructor(live: Live, window: number, maximumPacketSize: number) {
    this.live = live;
    this.window = window;
    this.unwritten = new PublishBuffer(live.version, maximumPacketSize);
  }

  /** QoS 1 beyond the window waits in line; whoever publishes is to keep to the window, so that the line stays short. */
  publish(message: Publish): Promise<PublishResult> {
    if (message.qos === 0) return Promise.resolve(this.sendOnce(message));
    return new Promise((resolve) => {
      if (this.unanswered.size < this.window) this.send(message, resolve);
      else if (this.waiting.length < maxWaiting) this.waiting.push({ message, resolve });
      else resolve(lost);
    });
  }

  takePuback(packetId: number, reasonCode: number): void {
    const resolve = this.unanswered.get(packetId);
    if (!resolve) return;
    this.unanswered.delete(packetId);
    resolve(reasonCode === 0 ? taken : { kind: 'acked', code: reasonCode });
    while (this.waiting.length > 0 && this.unanswered.size < this.window) {
      const next = this.waiting.shift()!;
      this.send(next.message, next.resolve);
    }
  }

  close(): void {
    for (const resolve of this.unanswered.values()) resolve(lost);
    for (const { resolve } of this.waiting) resolve(lost);
    this.unanswered.clear();
    this.waiting = [];
    this.unwritten.take();
  }

  private send(message: Publish, resolve: (result: PublishResult) => void): void {
    const id = this.nextPacketId();
    const refused = this.write(message, id);
    if (refused) resolve(refused);
    else this.unanswered.set(id, resolve);
  }

  private sendOnce(message: Publish): PublishResult {
    if (this.live.client.stream.writableLength > maxQueuedBytes) return lost;
    return this.write(message, 0) ?? taken;
  }

  private nextPacketId(): number {
    do this.packetId = this.packetId === lastPacketId ? firstPacketId : this.packetId + 1;
    while (this.unanswered.has(this.packetId));
    return this.packetId;
  }

  /** The answer for a packet that would make the broker end the connection, and everybody's messages with it. */
  private write(message: Publish, id: number): PublishResult | null {
    const isFirst = this.unwritten.isEmpty;
    const result = this.unwritten.add(message, id);
    if (result === 'topic-invalid') return topicInvalid;
    if (result === 'too-large') return packetTooLarge;
    if (isFirst) setImmediate(() => this.flush());
    return null;
  }

  /** All packets of one turn of the event loop go out in one write. */
  private flush(): void {
    const { stream } = this.live.client;
    stream.cork();
    for (const packets of this.unwritten.take()) stream.write(packets);
    stream.uncork();
  }
}
