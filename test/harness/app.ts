// An app's MQTT side as docs ask it to be: keeps what it gets by key, acknowledges it, and repeats what it sends until in/ack.
// On Paho (a third party's library, in Python) or on mqtt.js, with MQTT 5 or 3.1.1.

import { isDeepStrictEqual } from 'node:util';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { Happenings } from './happenings.ts';
import { Puppet } from './puppet.ts';

export type Payload = Record<string, unknown>;

/** What came on `in/`. */
export interface Incoming {
  channel: string;
  payload: Payload;
  qos: number;
  retain: boolean;
}

/** `expiresIn`: seconds; MQTT 5 only. */
interface How {
  qos: 0 | 1;
  retain: boolean;
  expiresIn?: number;
}

interface Line {
  publish(topic: string, payload: string, how: How): void;
  leave(): Promise<void>;
  drop(): Promise<void>;
}

type OnPublish = (topic: string, payload: string, qos: number, retain: boolean) => void;

export interface AppOptions {
  /** The user level of its topics, which is its account's name. */
  user: string;
  client: string;
  password: string;
  port: number;
  library?: 'paho' | 'mqtt.js';
  version?: 3 | 5;
  root?: string;
  /** Acknowledges by out/ack. Default true. */
  acks?: boolean;
  /** Repeats what it has sent and has no in/ack for, so often. Default: never. */
  repeatMs?: number;
}

export class App {
  readonly heard = new Happenings<Incoming>();
  readonly #options: AppOptions;
  readonly #base: string;
  /** Sent, and not yet known to be on the gateway's disk. */
  readonly #unacked = new Map<string, () => void>();
  /** Ids of what it has said more than once, because no in/ack came. */
  readonly repeated = new Set<string>();
  #line: Line | undefined;
  #repeating: NodeJS.Timeout | undefined;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#base = `${options.root ?? 'chat'}/${options.user}`;
  }

  /** Connects; resolves when it is subscribed. May be called again after `leave` or `drop`: the session goes on. */
  async arrive(): Promise<void> {
    const { library = 'paho', repeatMs } = this.#options;
    const start = library === 'paho' ? pahoLine : mqttLine;
    this.#line = await start({ root: 'chat', version: 5, ...this.#options }, (...told) => this.#hear(...told));
    if (repeatMs !== undefined) {
      this.#repeating = setInterval(() => {
        for (const [id, again] of this.#unacked) {
          this.repeated.add(id);
          again();
        }
      }, repeatMs);
    }
  }

  /** Publishes on `out/{channel}`: an object as JSON, a text as it stands. */
  publish(channel: string, payload: Payload | string, how: Partial<How> = {}): void {
    const send = () => this.publishTo(`${this.#base}/out/${channel}`, payload, how);
    if (typeof payload === 'object' && typeof payload.id === 'string') this.#unacked.set(payload.id, send);
    send();
  }

  publishTo(topic: string, payload: Payload | string, how: Partial<How> = {}): void {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    this.#line?.publish(topic, text, { qos: 1, retain: false, ...how });
  }

  say(to: string, body: string, id: string): void {
    this.publish('message', { id, to, type: 'chat', body });
  }

  /** The first payload on `in/{channel}` with these fields, after the first `from` of all that it heard. */
  async hears(channel: string, fields: Payload, { from = 0, timeoutMs = 20_000 } = {}): Promise<Payload> {
    const fits = (one: Incoming) => one.channel === channel && has(one.payload, fields);
    const what = `${channel} ${JSON.stringify(fields)} at ${this.#options.client}`;
    return (await this.heard.until((all) => all.slice(from).find(fits), what, timeoutMs)).payload;
  }

  /** Resolves once the gateway has said that it has this one on disk. */
  async isTold(id: string): Promise<void> {
    const fits = ({ channel, payload }: Incoming) => channel === 'ack' && (payload.ids as string[]).includes(id);
    await this.heard.until((all) => all.find(fits), `in/ack of ${id}`);
  }

  /** How many of what it sent the gateway has neither acknowledged nor refused. */
  get unacknowledged(): number {
    return this.#unacked.size;
  }

  /** What stands on in/{channel}, without repeats: messages keep the first of each key. */
  all(channel = 'message'): Payload[] {
    const keys = new Set<unknown>();
    return this.heard.items.flatMap(({ channel: on, payload }) => {
      if (on !== channel || (payload.key !== undefined && keys.has(payload.key))) return [];
      keys.add(payload.key);
      return [payload];
    });
  }

  /** The bodies of the messages it received, in order, without repeats: all, or those of one contact (bare JID). */
  bodies(from?: string): string[] {
    return this.all()
      .filter((message) => message.direction === 'received' && (from === undefined || bare(message.from) === from))
      .map(({ body }) => String(body));
  }

  /** Says that it goes, and goes; its session stays on the broker. */
  async leave(): Promise<void> {
    clearInterval(this.#repeating);
    await this.#line?.leave();
    this.#line = undefined;
  }

  /** Gone without a word. */
  async drop(): Promise<void> {
    clearInterval(this.#repeating);
    await this.#line?.drop();
    this.#line = undefined;
  }

  #hear(topic: string, text: string, qos: number, retain: boolean): void {
    const channel = topic.slice(topic.lastIndexOf('/') + 1);
    const payload = JSON.parse(text) as Payload;
    if (channel === 'ack') for (const id of payload.ids as string[]) this.#unacked.delete(id);
    if (channel === 'error') this.#unacked.delete(String(payload.id));
    const { acks = true, client } = this.#options;
    // Kept first, then acknowledged.
    this.heard.add({ channel, payload, qos, retain });
    if (acks && typeof payload.key === 'string') this.publish('ack', { keys: [payload.key], device: client });
  }
}

/** Connects an app; resolves when it is subscribed. */
export async function app(options: AppOptions): Promise<App> {
  const one = new App(options);
  await one.arrive();
  return one;
}

type LineOptions = AppOptions & { root: string; version: 3 | 5 };

async function pahoLine(options: LineOptions, onPublish: OnPublish): Promise<Line> {
  const { client, user, password, port, root, version } = options;
  const puppet = new Puppet('paho_client.py', [client, user, password, String(port), root, String(version)]);
  puppet.onEvent = ({ event, topic, payload, qos, retain }) => {
    if (event === 'message') onPublish(String(topic), String(payload), Number(qos), retain === true);
  };
  await puppet.first('online');
  return {
    publish: (topic, payload, how) => puppet.tell({ do: 'publish', topic, payload, ...how }),
    leave: () => puppet.quit(),
    drop: () => puppet.kill(),
  };
}

async function mqttLine(options: LineOptions, onPublish: OnPublish): Promise<Line> {
  const { client: clientId, user, password, port, root, version } = options;
  const presence = `${root}/${user}/presence/${clientId}`;
  const settings: IClientOptions = {
    clientId,
    username: user,
    password,
    clean: false,
    protocolVersion: version === 5 ? 5 : 4,
    reconnectPeriod: 500,
    will: { topic: presence, payload: Buffer.from('{"online":false}'), qos: 1, retain: true },
    ...(version === 5 && { properties: { sessionExpiryInterval: 86_400 } }),
  };
  const client: MqttClient = connect(`mqtt://127.0.0.1:${port}`, settings);
  client.on('error', () => {}); // it shows in what the play waits for
  client.on('message', (topic, payload, { qos, retain }) => onPublish(topic, payload.toString(), qos, retain));
  await new Promise<void>((resolve) => {
    client.on('connect', async () => {
      await client.subscribeAsync(`${root}/${user}/in/#`, { qos: 1 });
      client.publish(presence, '{"online":true}', { qos: 1, retain: true });
      resolve();
    });
  });
  return {
    publish: (topic, payload, { expiresIn, ...how }) =>
      void client.publish(topic, payload, {
        ...how,
        ...(expiresIn !== undefined && { properties: { messageExpiryInterval: expiresIn } }),
      }),
    async leave() {
      if (client.connected) await client.publishAsync(presence, '{"online":false}', { qos: 1, retain: true });
      await client.endAsync(!client.connected);
    },
    async drop() {
      client.stream.destroy();
      await client.endAsync(true);
    },
  };
}

function has(payload: Payload, fields: Payload): boolean {
  return Object.entries(fields).every(([name, value]) => isDeepStrictEqual(payload[name], value));
}

function bare(jid: unknown): string {
  return String(jid).split('/')[0]!;
}
