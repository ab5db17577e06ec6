// A model of the broker: persistent sessions, QoS 1 with redelivery, retained presence, wills, and a disk written now and then.

import type { Connection } from './pipe.ts';
import type { World } from './world.ts';

export interface Publication {
  topic: string;
  payload: string;
  qos: 0 | 1;
  retain: boolean;
  /** Seconds; counts from when the broker takes it, and what is left goes to whoever gets it (MQTT 5). */
  expiresIn?: number;
}

interface Item {
  id: number;
  publication: Publication;
  expiresAt: number;
}

/** A client's end: takes one publication; `puback` is to be called once it may be forgotten (QoS 1). */
export type Receiver = (publication: Publication, puback: () => void) => void;

interface Stored {
  client: string;
  /** Which topics it has subscribed to. */
  wants: ((topic: string) => boolean) | null;
  queue: Item[];
}

interface Session extends Stored {
  connection: Connection | null;
  receive: Receiver;
  will: Publication | null;
}

export class MqttBroker {
  readonly #world: World;
  readonly #sessions = new Map<string, Session>();
  #retained = new Map<string, string>();
  #snapshot: { sessions: Stored[]; retained: Map<string, string> } = { sessions: [], retained: new Map() };
  #ids = 0;
  isUp = true;
  /** When it died. */
  readonly deaths: number[] = [];
  bootAt: number;
  /** MQTT 5. On 3.1.1 every PUBACK says 0. */
  readonly reasonCodes: boolean;

  constructor(world: World, options: { autosaveMs: number; reasonCodes: boolean }) {
    this.#world = world;
    this.bootAt = world.now;
    this.reasonCodes = options.reasonCodes;
    const save = () => {
      if (this.isUp) this.#save();
      world.after(options.autosaveMs, save);
    };
    world.after(options.autosaveMs, save);
  }

  /**
   * CONNECT with a persistent session: takes an older connection over, and sends again what was not acknowledged. Answers
   * whether there was a session with a subscription.
   */
  connect(client: string, connection: Connection, receive: Receiver, will: Publication | null): boolean {
    const old = this.#sessions.get(client);
    old?.connection?.cut();
    if (old?.will) this.#leave(old);
    const session: Session = old ?? { client, wants: null, queue: [], connection, receive, will };
    Object.assign(session, { connection, receive, will });
    this.#sessions.set(client, session);
    connection.onEnd(() => this.#lost(session, connection));
    for (const item of session.queue) this.#deliver(session, item);
    return session.wants !== null;
  }

  /** SUBSCRIBE: what is retained follows, whether subscribed before or not. */
  subscribe(client: string, wants: (topic: string) => boolean): void {
    const session = this.#sessions.get(client)!;
    session.wants = wants;
    for (const [topic, payload] of this.#retained) {
      if (wants(topic)) this.#enqueue(session, { topic, payload, qos: 1, retain: true });
    }
  }

  /** DISCONNECT: no will. */
  disconnect(client: string): void {
    const session = this.#sessions.get(client);
    if (session) session.will = null;
    session?.connection?.cut();
  }

  /** Answers with the PUBACK's reason code. */
  publish(publication: Publication): number {
    if (publication.retain) {
      if (publication.payload === '') this.#retained.delete(publication.topic);
      else this.#retained.set(publication.topic, publication.payload);
    }
    let heard = 0;
    for (const session of this.#sessions.values()) {
      if (!session.wants?.(publication.topic)) continue;
      heard++;
      this.#enqueue(session, {
        ...publication,
        expiresIn: this.reasonCodes ? publication.expiresIn : undefined,
        retain: false,
      });
    }
    if (!this.reasonCodes) return 0;
    return heard > 0 ? 0 : 16;
  }

  /** kill -9: back to the last snapshot, no wills; another boot. With the machine gone, clients notice only later. */
  crash(downMs: number): void {
    // Two starts within the tolerance of the uptime (2 s) cannot be told apart.
    if (!this.isUp || this.#world.now - this.bootAt < 4_000) return;
    this.#world.say('broker', () => `dies, away for ${downMs} ms`);
    this.isUp = false;
    this.deaths.push(this.#world.now);
    for (const session of this.#sessions.values()) {
      session.will = null;
      session.connection?.cut(this.#world.chance(0.3) ? this.#world.between(1, 15_000) : 0);
    }
    this.#sessions.clear();
    this.#world.after(downMs, () => {
      this.isUp = true;
      this.bootAt = this.#world.now;
      this.#retained = new Map(this.#snapshot.retained);
      for (const { client, wants, queue } of this.#snapshot.sessions) {
        const dead = { connection: null, receive: () => {}, will: null };
        this.#sessions.set(client, { client, wants, queue: [...queue], ...dead });
      }
    });
  }

  /** An orderly restart keeps everything that is on its way. */
  restart(downMs: number): void {
    if (!this.isUp) return;
    this.#save();
    this.crash(downMs);
  }

  /** Entries that a device has not fetched yet. */
  get queued(): number {
    let queued = 0;
    for (const { queue } of this.#sessions.values()) queued += queue.length;
    return queued;
  }

  /** For the story. */
  get queues(): string {
    const told = ({ client, queue, connection }: Session) =>
      `${client}${connection ? '' : ' (offline)'}: ${queue.map(({ publication }) => publication.topic).join(' ')}`;
    return [...this.#sessions.values()]
      .filter(({ queue }) => queue.length > 0)
      .map(told)
      .join('; ');
  }

  #save(): void {
    const sessions = [...this.#sessions.values()];
    this.#snapshot = {
      sessions: sessions.map(({ client, wants, queue }) => ({ client, wants, queue: [...queue] })),
      retained: new Map(this.#retained),
    };
  }

  #enqueue(session: Session, publication: Publication): void {
    const { expiresIn } = publication;
    const expiresAt = expiresIn === undefined ? Number.POSITIVE_INFINITY : this.#world.now + expiresIn * 1000;
    const item = { id: ++this.#ids, publication, expiresAt };
    if (publication.qos === 1) session.queue.push(item);
    if (session.connection) this.#deliver(session, item);
  }

  #deliver(session: Session, { id, publication, expiresAt }: Item): void {
    const { connection, receive } = session;
    if (!connection) return;
    const forget = () => {
      session.queue = session.queue.filter((item) => item.id !== id);
    };
    const leftMs = expiresAt - this.#world.now;
    if (leftMs <= 0) return forget();
    const expiresIn = publication.expiresIn && Math.ceil(leftMs / 1000);
    connection.down(() => receive({ ...publication, expiresIn }, () => connection.up(forget)));
  }

  /** The network took a connection: the broker finds out when the keep-alive runs out. */
  #lost(session: Session, connection: Connection): void {
    if (session.connection !== connection) return;
    session.connection = null;
    const { will } = session;
    if (!will) return;
    this.#world.after(this.#world.between(0, 15_000), () => {
      if (session.will === will && session.connection === null) this.#leave(session);
    });
  }

  #leave(session: Session): void {
    const { will } = session;
    session.will = null;
    if (will && this.isUp) this.publish(will);
  }
}
