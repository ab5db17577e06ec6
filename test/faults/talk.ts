// The load: contacts and apps that talk to each other all the time, and what each said and saw.

import type { App } from '../harness/app.ts';
import { archivedBodies } from '../harness/archive.ts';
import type { Contact, Heard as Message } from '../harness/contact.ts';
import type { Stage } from '../harness/stage.ts';
import type { Heard, Sight } from './judge.ts';

export const contacts = ['alice', 'dave'];
export const users = ['bob', 'carol'];

const betweenMs = 20;
const patienceMs = 90_000;

const jid = (name: string) => `${name}@example.com`;

export class Talk {
  readonly #stage: Stage;
  readonly #apps = new Map<string, App>();
  readonly #contacts = new Map<string, Contact>();
  /** What contacts heard before they logged in anew. */
  readonly #earlier = new Map<string, (Message & { life: number })[]>();
  /** By `from>to`, in order. */
  readonly #said = new Map<string, string[]>();
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  #probes = 0;
  #marks = 0;
  /** How often the server was killed. */
  #life = 0;
  /** By user, how many messages its app had heard each time that the user was moved back. */
  readonly #movedBack = new Map<string, number[]>();
  /** The fault amid which something was said, and when that was. */
  readonly during = new Map<string, { fault: number; at: number }>();
  /** The number of the fault that goes on; noted beside whatever is said. */
  fault = 0;

  private constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** `port`: where the app of the first user finds the broker. */
  static async begin(stage: Stage, port: number): Promise<Talk> {
    const talk = new Talk(stage);
    const [first, second] = users as [string, string];
    talk.#apps.set(first, await stage.app(first, 'phone', { repeatMs: 2_000, port }));
    talk.#apps.set(second, await stage.app(second, 'phone', { library: 'mqtt.js', version: 3, repeatMs: 2_000 }));
    for (const name of contacts) talk.#contacts.set(name, await stage.contact(name));
    return talk;
  }

  /** From now on somebody says something every few milliseconds. */
  start(): void {
    const pairs = contacts.flatMap((contact) =>
      users.flatMap((user) => [[contact, user] as const, [user, contact] as const]),
    );
    this.#timer = setInterval(() => this.#say(...pairs[this.#turn++ % pairs.length]!), betweenMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get said(): number {
    return [...this.#said.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** The contacts log in again after their server has been away. */
  async renew({ isKilled = false } = {}): Promise<void> {
    for (const [name, before] of this.#contacts) {
      const heard = before.messages.items.map((message) => ({ ...message, life: this.#life }));
      this.#earlier.set(name, [...(this.#earlier.get(name) ?? []), ...heard]);
      await before.leave();
      this.#contacts.set(name, await this.#stage.contact(name));
    }
    if (isKilled) this.#life++;
  }

  /** Resolves when new words go both ways in every conversation, which is when a fault is over. Milliseconds. */
  async recovers(): Promise<number> {
    const begun = performance.now();
    const n = ++this.#probes;
    const pairs = users.flatMap((user) => contacts.map((contact) => [user, contact] as const));
    await Promise.all(
      pairs.map(async ([user, name]) => {
        const [there, back] = [`probe ${n} ${name} to ${user}`, `probe ${n} ${user} to ${name}`];
        const [app, contact] = [this.#apps.get(user)!, this.#contacts.get(name)!];
        this.#note(name, user, there);
        contact.say(jid(user), there, there);
        this.#note(user, name, back);
        app.say(jid(name), back, back);
        await Promise.all([
          app.hears('message', { body: there, direction: 'received' }, { timeoutMs: patienceMs }),
          contact.hears(back, patienceMs),
        ]);
      }),
    );
    return performance.now() - begun;
  }

  /**
   * The user has been moved to a phase without apps: what its app had not acknowledged was handed back, and may come again. Counted from
   * where the app has heard all that the broker had for it by then: the answer to a question comes behind that, however late.
   */
  async movedBack(user: string): Promise<void> {
    const app = this.#apps.get(user)!;
    const id = `mark ${++this.#marks}`;
    app.publish('mark', { id });
    await app.hears('error', { id }, { timeoutMs: patienceMs });
    this.#movedBack.set(user, [...(this.#movedBack.get(user) ?? []), app.heard.items.length]);
  }

  /** The contacts' programs stand still, or go on. */
  stallContacts(isStalled: boolean): void {
    for (const contact of this.#contacts.values()) isStalled ? contact.pause() : contact.resume();
  }

  /** Everything the apps sent has been answered. */
  get isAnswered(): boolean {
    return [...this.#apps.values()].every(({ unacknowledged }) => unacknowledged === 0);
  }

  /** All conversations, as the judge wants them. */
  async heard(): Promise<Heard[]> {
    const archives = new Map<string, string[]>();
    for (const name of [...users, ...contacts]) archives.set(name, await archivedBodies(this.#stage, name));
    const heard: Heard[] = [];
    for (const user of users) {
      const entries = await this.#stage.gateway.entries(jid(user));
      for (const contact of contacts) {
        const said = this.#said.get(`${contact}>${user}`) ?? [];
        // An id is the body here.
        const taken = (lane: string) =>
          entries.filter((one) => one.lane === lane && one.peer === jid(contact)).map(({ id }) => String(id));
        const must = new Set([...archives.get(user)!, ...taken('toMqtt')]);
        const owed = said.filter((body) => must.has(body));
        heard.push({ name: `${contact} > ${user}`, said, owed, seen: this.#atApp(user, contact) });
        heard.push({
          name: `${user} > ${contact}`,
          said: this.#said.get(`${user}>${contact}`) ?? [],
          owed: [...new Set([...taken('toXmpp'), ...this.#told(user, contact)])],
          seen: this.#atContact(contact, user),
          elsewhere: archives.get(contact)!,
        });
      }
    }
    return heard;
  }

  #say(from: string, to: string): void {
    const said = this.#said.get(`${from}>${to}`)?.length ?? 0;
    const body = `${from} to ${to} ${said}`;
    this.#note(from, to, body);
    const app = this.#apps.get(from);
    if (app) app.say(jid(to), body, body);
    else this.#contacts.get(from)!.say(jid(to), body, body);
  }

  #note(from: string, to: string, body: string): void {
    const name = `${from}>${to}`;
    const said = this.#said.get(name);
    if (said) said.push(body);
    else this.#said.set(name, [body]);
    this.during.set(body, { fault: this.fault, at: Date.now() });
  }

  /** What `in/ack` has named, of what this user said to this contact. */
  #told(user: string, contact: string): string[] {
    const said = new Set(this.#said.get(`${user}>${contact}`));
    const acks = this.#apps
      .get(user)!
      .all('ack')
      .flatMap(({ ids }) => ids as string[]);
    return acks.filter((id) => said.has(id));
  }

  #atApp(user: string, contact: string): Sight[] {
    const movedBack = this.#movedBack.get(user) ?? [];
    return this.#apps.get(user)!.heard.items.flatMap(({ channel, payload }, at) => {
      const { body, key, copy, from, direction } = payload;
      if (channel !== 'message' || direction !== 'received' || !String(from).startsWith(`${jid(contact)}/`)) return [];
      const life = movedBack.filter((heard) => heard <= at).length;
      return [{ body: String(body), key: String(key), copy: copy === true, life }];
    });
  }

  #atContact(contact: string, user: string): Sight[] {
    const now = this.#contacts.get(contact)!.messages.items.map((message) => ({ ...message, life: this.#life }));
    const all = [...(this.#earlier.get(contact) ?? []), ...now];
    const { repeated } = this.#apps.get(user)!;
    return all.flatMap(({ from, body, type, life }) =>
      type !== 'error' && body !== '' && from.startsWith(`${jid(user)}/`)
        ? [{ body, life, copy: repeated.has(body) }]
        : [],
    );
  }
}
