// Bob's phone: an app on mqtt.js that keeps the rules for apps – drop repeats by `key`, acknowledge, send again until acknowledged.

import mqtt, { type MqttClient } from 'mqtt';
import { eventually } from './people.ts';

export interface PhoneOptions {
  url: string;
  /** 5, or 4 (= MQTT 3.1.1). */
  protocolVersion: 4 | 5;
  user: string;
  password: string;
  /** Begin without what the broker has kept for this phone. */
  fresh?: boolean;
}

/** What the gateway publishes on in/message. */
export interface InMessage {
  id: string;
  key: string;
  from: string;
  direction: 'received' | 'sent';
  body?: string;
}

const client = 'phone';
const root = 'chat';
const ackAfterMs = 20;
const againAfterMs = 2_000;

export class Phone {
  /** What the user sees: received messages, each once, in the order of their coming. */
  readonly shown: InMessage[] = [];
  /** What the user sent, from this or another device; each once. */
  readonly mirrored: InMessage[] = [];
  /** What was refused, from in/error. */
  readonly refused: unknown[] = [];
  /** Repeats that the app dropped because it knew the key. */
  dropped = 0;
  /** Called with each message that is shown. */
  onShown: (message: InMessage) => void = () => {};

  readonly #mqtt: MqttClient;
  readonly #base: string;
  readonly #keys = new Set<string>();
  readonly #toAck: string[] = [];
  readonly #unanswered = new Map<string, { payload: string; sentAt: number }>();
  readonly #again: NodeJS.Timeout;
  #ids = 0;
  #publishing = 0;

  /** Resolves when the phone is online: subscribed, and its presence published. */
  static async open(options: PhoneOptions): Promise<Phone> {
    const phone = new Phone(options);
    if (!(await eventually(() => phone.#mqtt.connected)))
      throw new Error(`Bob's phone cannot connect to ${options.url}.`);
    await phone.#mqtt.subscribeAsync(`${phone.#base}/in/#`, { qos: 1 });
    await phone.#mqtt.publishAsync(`${phone.#base}/presence/${client}`, '{"online":true}', { qos: 1, retain: true });
    return phone;
  }

  private constructor({ url, protocolVersion, user, password, fresh = false }: PhoneOptions) {
    this.#base = `${root}/${user}`;
    this.#mqtt = mqtt.connect(url, {
      clientId: `${user}-${client}`,
      username: user,
      password,
      protocolVersion,
      clean: fresh,
      ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 86_400 } }),
      will: {
        topic: `${this.#base}/presence/${client}`,
        payload: Buffer.from('{"online":false}'),
        qos: 1,
        retain: true,
      },
    });
    this.#mqtt.on('error', () => {}); // it connects again by itself
    this.#mqtt.on('message', (topic, payload) => this.#hear(topic.split('/').at(-1)!, JSON.parse(payload.toString())));
    this.#again = setInterval(() => this.#sendAgain(), againAfterMs / 4).unref();
  }

  /** All that was sent is acknowledged by the gateway, and all acknowledgements for it are with the broker. */
  get idle(): boolean {
    return this.#unanswered.size === 0 && this.#toAck.length === 0 && this.#publishing === 0;
  }

  send(to: string, body: string): void {
    const id = `phone-${++this.#ids}`;
    const payload = JSON.stringify({ id, to, type: 'chat', body });
    this.#unanswered.set(id, { payload, sentAt: Date.now() });
    this.#publish('message', payload);
  }

  /** Loses its connection without a word: the broker publishes its will. */
  async vanish(): Promise<void> {
    clearInterval(this.#again);
    await this.#mqtt.endAsync(true);
  }

  #hear(channel: string, payload: Record<string, unknown>): void {
    if (channel === 'ack') for (const id of payload.ids as string[]) this.#unanswered.delete(id);
    else if (channel === 'error') this.#refuse(payload);
    else if (channel === 'message') this.#take(payload as unknown as InMessage);
  }

  #refuse(payload: Record<string, unknown>): void {
    this.#unanswered.delete(String(payload.id));
    this.refused.push(payload);
  }

  #take(message: InMessage): void {
    if (this.#toAck.push(message.key) === 1) setTimeout(() => this.#acknowledge(), ackAfterMs);
    if (this.#keys.has(message.key)) {
      this.dropped++;
      return;
    }
    this.#keys.add(message.key);
    if (message.direction !== 'received') {
      this.mirrored.push(message);
      return;
    }
    this.shown.push(message);
    this.onShown(message);
  }

  #acknowledge(): void {
    this.#publish('ack', JSON.stringify({ keys: this.#toAck.splice(0), device: client }));
  }

  #sendAgain(): void {
    for (const waiting of this.#unanswered.values()) {
      if (Date.now() - waiting.sentAt < againAfterMs) continue;
      waiting.sentAt = Date.now();
      this.#publish('message', waiting.payload);
    }
  }

  /** A publish that fails is covered by the repeat. */
  #publish(channel: string, payload: string): void {
    this.#publishing++;
    this.#mqtt.publish(`${this.#base}/out/${channel}`, payload, { qos: 1 }, () => this.#publishing--);
  }
}
