// The gateway's two MQTT connections as the parts under test see them: publishes and their PUBACKs, messages and theirs.

import type { Broker, Incoming, Publish, PublishResult } from '../../src/mqtt/broker.ts';
import type { Life } from './life.ts';
import type { MqttBroker, Publication } from './mqtt-broker.ts';
import { Connection } from './pipe.ts';
import type { Witness } from './witness.ts';
import type { World } from './world.ts';

export interface BrokerParts {
  world: World;
  broker: MqttBroker;
  witness: Witness;
  life: Life;
  window: number;
  receive(message: Incoming, accepted: () => void): void;
  onUp(): void;
  onDown(): void;
  onBoot(bootMs: number): void;
}

type Kind = 'publisher' | 'subscriber';

const subscriber = 'gateway-sub';
const isOut = (topic: string) => /^chat\/[^/]+\/(out|presence)\//.test(topic);

export class BrokerLink implements Broker {
  readonly window: number;
  readonly reasonCodes: boolean;
  readonly maximumPacketSize = 1_000_000;
  readonly #parts: BrokerParts;
  readonly #open: Partial<Record<Kind, Connection>> = {};
  readonly #pending = new Set<() => void>();
  #isUp = false;
  #heardAt = 0;

  constructor(parts: BrokerParts) {
    this.#parts = parts;
    this.window = parts.window;
    this.reasonCodes = parts.broker.reasonCodes;
  }

  get up(): boolean {
    return this.#isUp && this.#parts.life.isAlive;
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  connect(): void {
    this.#connect('publisher');
    this.#connect('subscriber');
  }

  /** The network loses one of the two connections. */
  cut(kind: Kind): void {
    this.#open[kind]?.cut();
  }

  publish({ topic, payload, qos, retain = false, expiresIn }: Publish): Promise<PublishResult> {
    const { life, world, broker, witness } = this.#parts;
    if (!life.step(`publish to ${topic}`)) return new Promise(() => {});
    const connection = this.#open.publisher;
    if (!connection?.isOpen) return Promise.resolve({ kind: 'lost' });
    const { key, body } = qos === 1 ? JSON.parse(payload || '{}') : {};
    if (typeof key === 'string') life.told.sends(key);
    const poison = witness.messages.get(body)?.poison;
    return new Promise((resolve) => {
      const lost = () => resolve({ kind: 'lost' });
      this.#pending.add(lost);
      connection.up(() => {
        if (poison === 'deadly') return connection.cut();
        const isFull = qos === 1 && this.reasonCodes && world.isRough && world.chance(0.01);
        if (typeof key === 'string') life.told.published(key);
        const isRefused = poison === 'refused' && this.reasonCodes;
        const code = isRefused ? 153 : isFull ? 151 : broker.publish({ topic, payload, qos, retain, expiresIn });
        world.say('broker', () => `takes ${topic} ${payload.slice(0, 150)} → ${code}`);
        connection.down(() => {
          this.#pending.delete(lost);
          this.#heardAt = world.now;
          if (life.step(`PUBACK of ${topic}`)) resolve({ kind: 'acked', code: qos === 0 ? 0 : code });
        });
      });
    });
  }

  #connect(kind: Kind): void {
    const { world, broker, life } = this.#parts;
    if (!life.isAlive) return;
    const connection = new Connection(world, world.between(1, 20));
    connection.onEnd(() => this.#lost(kind));
    connection.up(() => {
      if (!broker.isUp) connection.cut();
      else if (kind === 'publisher') this.#openPublisher(connection);
      else this.#openSubscriber(connection);
    });
  }

  #openPublisher(connection: Connection): void {
    const { world, broker, life, onBoot } = this.#parts;
    broker.connect('gateway-pub', connection, () => {}, null);
    connection.down(() => life.step('CONNACK') && this.#opened('publisher', connection));
    this.#listen(connection);
    world.after(world.between(0, 10_000), () => {
      const seconds = Math.floor((world.now - broker.bootAt) / 1000);
      connection.down(() => life.step('uptime') && onBoot(world.now - seconds * 1000));
    });
  }

  /** The uptime that the broker publishes, or its answer to a ping, is a sign of life. */
  #listen(connection: Connection): void {
    const { world, life } = this.#parts;
    if (!connection.isOpen || !life.isAlive) return;
    connection.down(() => {
      this.#heardAt = world.now;
    });
    world.after(10_000, () => this.#listen(connection));
  }

  /** Subscribes anew on every connection; what waited comes before the SUBACK. */
  #openSubscriber(connection: Connection): void {
    const { broker, life } = this.#parts;
    const pubacks = new InOrder();
    const receive = (publication: Publication, puback: () => void) => this.#receive(publication, pubacks.slot(puback));
    broker.connect(subscriber, connection, receive, null);
    connection.up(() => {
      connection.down(() => life.step('SUBACK') && this.#opened('subscriber', connection));
      broker.subscribe(subscriber, isOut);
    });
  }

  #receive({ topic, payload, qos, retain, expiresIn }: Publication, puback: () => void): void {
    const { life, world, receive } = this.#parts;
    if (!life.step(`message on ${topic}`)) return;
    world.say('gateway', () => `hears ${topic} ${payload}`);
    let calls = 0;
    // Only presence is told to be retained when it is found and not told (`rap`).
    const message = { topic, payload: Buffer.from(payload), qos, retain, expiresIn };
    receive(message, () => {
      if (++calls > 1) world.broke(`accepted was called twice for ${topic} ${payload}`);
      if (qos === 1 && life.step(`PUBACK for ${topic}`)) puback();
    });
  }

  #opened(kind: Kind, connection: Connection): void {
    this.#open[kind] = connection;
    this.#change();
  }

  #lost(kind: Kind): void {
    const { life, world } = this.#parts;
    if (!life.isAlive) return;
    delete this.#open[kind];
    if (kind === 'publisher') {
      for (const lost of this.#pending) lost();
      this.#pending.clear();
    }
    this.#change();
    const longestMs = world.isRough && world.chance(0.1) ? 20_000 : 1_500;
    life.clock.after(world.between(50, longestMs), () => this.#connect(kind));
  }

  #change(): void {
    const isUp = this.#open.publisher !== undefined && this.#open.subscriber !== undefined;
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    this.#parts.world.say('gateway', () => `broker ${isUp ? 'up' : 'down'}`);
    if (isUp) this.#parts.onUp();
    else this.#parts.onDown();
  }
}

/** PUBACKs go out in the order the publishes came [MQTT-4.6.0-2]. */
class InOrder {
  readonly #slots: { puback: () => void; isDue: boolean }[] = [];

  slot(puback: () => void): () => void {
    const slot = { puback, isDue: false };
    this.#slots.push(slot);
    return () => {
      slot.isDue = true;
      while (this.#slots[0]?.isDue) this.#slots.shift()!.puback();
    };
  }
}
