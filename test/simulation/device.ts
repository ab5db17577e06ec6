// One device of a user's app: stores by key, acknowledges, repeats what it sent until in/ack. As docs/app-developers.md asks of apps.

import type { Shown, Stated } from '../../src/migration/shown.ts';
import type { MqttBroker, Publication, Receiver } from './mqtt-broker.ts';
import { Connection } from './pipe.ts';
import type { Poison, Witness } from './witness.ts';
import type { World } from './world.ts';

export interface DeviceParts {
  world: World;
  witness: Witness;
  broker: MqttBroker;
  /** Local part of the user, as in topics. */
  user: string;
  client: string;
  /** Sends `out/ack` for what it has stored. */
  acks: boolean;
  /** The gateway says these are on its disk. */
  onAcked(ids: string[]): void;
}

interface Pending {
  id: string;
  payload: string;
  expiresIn?: number;
}

export class Device {
  readonly place: string;
  readonly parts: DeviceParts;
  readonly #stored = new Set<string>();
  readonly #unacked = new Set<string>();
  /** Sent and not yet in `in/ack` or `in/error`. */
  readonly pending = new Map<string, Pending>();
  /** What became of what it sent. */
  readonly accepted = new Set<string>();
  readonly refused = new Map<string, string>();
  /** Accepted, and of no use any more before it could be sent: `in/error` said so, by an entry. */
  readonly expired = new Set<string>();
  /** What it says of itself. */
  stated: Stated = { online: true, statedAt: 0 };
  #connection: Connection | null = null;
  #ackDue = false;

  constructor(parts: DeviceParts) {
    this.parts = parts;
    this.place = `${parts.user}/${parts.client}`;
    this.#repeatLater();
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  connect(): void {
    const { world, witness, broker, user, client } = this.parts;
    if (this.#connection) return;
    const connection = new Connection(world, world.between(1, 60));
    this.#connection = connection;
    let isNew = false;
    connection.onEnd(() => this.#lost(connection));
    connection.up(() => {
      if (!broker.isUp) return connection.cut();
      world.say(client, () => 'connects');
      const receive: Receiver = (publication, puback) => this.#receive(publication, puback);
      isNew = !broker.connect(client, connection, receive, this.#presence(false));
    });
    connection.up(() => {
      if (isNew) witness.subscribed.set(this.place, world.now);
      broker.subscribe(client, (name) => name.startsWith(`chat/${user}/in/`));
    });
    connection.up(() => broker.publish(this.#presence(true)));
    for (const one of this.pending.values()) this.#publish('message', one.payload, one.expiresIn);
  }

  /** The network is gone; the broker will tell by the will. */
  drop(): void {
    this.#connection?.cut();
  }

  /** Says goodbye. */
  leave(): void {
    const { broker, client } = this.parts;
    const connection = this.#connection;
    connection?.up(() => {
      broker.publish(this.#presence(false));
      broker.disconnect(client);
    });
  }

  /** Says how it is. */
  state(presence: Shown): void {
    const { world, client, broker } = this.parts;
    this.stated = { online: true, statedAt: world.now, ...presence };
    world.say(client, () => `says it is ${JSON.stringify(presence)}`);
    this.#connection?.up(() => broker.publish(this.#presence(true)));
  }

  #presence(online: boolean): Publication {
    const { user, client } = this.parts;
    const { show, text } = this.stated;
    const payload = JSON.stringify(online ? { online, show, text } : { online });
    return { topic: `chat/${user}/presence/${client}`, payload, qos: 1, retain: true };
  }

  /** `expiresIn`: seconds. */
  send(to: string, { poison, expiresIn }: { poison?: Poison; expiresIn?: number } = {}): void {
    const { world, witness, user, client } = this.parts;
    const message = witness.compose(`${user}@example.com/${client}`, to, 'own', poison);
    const payload = JSON.stringify({ id: message.name, to, type: 'chat', body: message.name });
    world.say(client, () => `sends ${message.name}${expiresIn === undefined ? '' : `, for ${expiresIn} s`}`);
    this.pending.set(message.name, { id: message.name, payload, expiresIn });
    this.#publish('message', payload, expiresIn);
  }

  #publish(channel: string, payload: string, expiresIn?: number): void {
    const { broker, user } = this.parts;
    const topic = `chat/${user}/out/${channel}`;
    this.#connection?.up(() => void broker.publish({ topic, payload, qos: 1, retain: false, expiresIn }));
  }

  #lost(connection: Connection): void {
    const { world, client } = this.parts;
    if (this.#connection !== connection) return;
    world.say(client, () => 'is offline');
    this.#connection = null;
    if (!world.isRough) world.after(1_000, () => this.connect());
  }

  #receive({ topic, payload }: Publication, puback: () => void): void {
    const { world, client } = this.parts;
    const content = JSON.parse(payload);
    if (topic.endsWith('/in/ack')) this.#acknowledged(content.ids);
    else if (topic.endsWith('/in/error') && content.id !== undefined && !content.key) this.#refused(content);
    else if (topic.endsWith('/in/error')) this.#told(content);
    else if (content.key !== undefined) this.#store(content);
    // A device may lose its network between storing and acknowledging.
    if (world.isRough && world.chance(0.01)) this.drop();
    else puback();
    world.say(
      client,
      () =>
        `has ${topic.slice(topic.lastIndexOf('/') + 1)} ${content.body ?? content.ids ?? content.condition ?? ''} ${content.key ?? ''}`,
    );
  }

  /** An error that is an entry: to be acknowledged as any other. */
  #told({ id, key }: { id: string; key: string }): void {
    this.expired.add(id);
    this.pending.delete(id);
    if (this.parts.acks) this.#ack(key);
  }

  #store(content: { key: string; body: string; direction: string }): void {
    const { witness, acks } = this.parts;
    const { key, body, direction } = content;
    if (!this.#stored.has(key)) {
      this.#stored.add(key);
      witness.saw(direction === 'sent' ? `${this.place}/sent` : this.place, body, key);
    }
    if (acks) this.#ack(key);
  }

  #ack(key: string): void {
    const { world } = this.parts;
    if (world.isRough && world.chance(0.1)) return; // forgotten: to be asked again
    this.#unacked.add(key);
    if (this.#ackDue) return;
    this.#ackDue = true;
    world.after(world.between(0, world.chance(0.2) ? 5_000 : 300), () => {
      this.#ackDue = false;
      const keys = [...this.#unacked];
      this.#unacked.clear();
      this.#publish('ack', JSON.stringify({ keys, device: this.parts.client }));
    });
  }

  #acknowledged(ids: string[]): void {
    this.parts.onAcked(ids);
    for (const id of ids) {
      this.accepted.add(id);
      this.pending.delete(id);
    }
  }

  #refused({ id, condition }: { id: string; condition: string }): void {
    this.refused.set(id, condition);
    this.pending.delete(id);
  }

  /** A PUBACK is no proof: what is not in `in/ack` is sent again, same id. */
  #repeatLater(): void {
    const { world } = this.parts;
    world.after(world.between(5_000, 15_000), () => {
      if (this.#connection)
        for (const one of this.pending.values()) this.#publish('message', one.payload, one.expiresIn);
      this.#repeatLater();
    });
  }
}
