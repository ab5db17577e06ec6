// What the gateway itself says to apps: in/ack for what is on disk, in/error for what was refused. Repeatable, so no entries.

import type { Clock } from '../clock.ts';
import type { Broker } from '../mqtt/broker.ts';
import { type Payload, writeAck, writeError } from '../mqtt/message.ts';
import type { Topics } from '../mqtt/topic.ts';
import type { Refusal } from '../refusal.ts';

export class AppNotices {
  readonly #broker: Broker;
  readonly #topics: Topics;
  readonly #clock: Clock;
  #ids = new Map<string, string[]>();

  constructor(parts: { broker: Broker; topics: Topics; clock: Clock }) {
    this.#broker = parts.broker;
    this.#topics = parts.topics;
    this.#clock = parts.clock;
  }

  /** The message is on disk. The ids of one commit go out together. */
  ack(user: string, id: string): void {
    if (this.#ids.size === 0) this.#clock.after(0, () => this.#flush());
    const ids = this.#ids.get(user);
    if (ids) ids.push(id);
    else this.#ids.set(user, [id]);
  }

  error(user: string, error: { id?: string; condition: string; text: string }): void {
    void this.#broker.publish({ topic: this.#topics.toUser(user, 'error'), payload: writeError(error), qos: 1 });
  }

  refusal(user: string, id: string | undefined, refusal: Refusal): void {
    this.error(user, { id, condition: refusal.name, text: refusal.text });
  }

  /** What an app has asked for; it may ask again. */
  reply(user: string, id: string, answer: Payload): void {
    const payload = JSON.stringify({ id, ...answer });
    void this.#broker.publish({ topic: this.#topics.toUser(user, 'reply'), payload, qos: 1 });
  }

  #flush(): void {
    const waiting = this.#ids;
    this.#ids = new Map();
    for (const [user, ids] of waiting) {
      void this.#broker.publish({ topic: this.#topics.toUser(user, 'ack'), payload: writeAck(ids), qos: 1 });
    }
  }
}
