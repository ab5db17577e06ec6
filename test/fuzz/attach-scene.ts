// The scene of the hostile gateway: a server with a gateway in good order, users' own clients, and one gateway that lost its mind;
// and the judge, who asks after each of its acts whether it was answered and whether all others are well.

import fc from 'fast-check';
import type { Element } from 'ltx';
import { type LegacyClient, legacyClient } from '../harness/legacy-client.ts';
import { type Prosody, startProsody } from '../harness/prosody.ts';
import { AVAILABLE, RawComponent } from '../harness/raw-component.ts';
import { type Act, plays } from './attach-requests.ts';

const secret = 'not-a-real-secret';
const good = 'good.example.com';
/** Who asks: the stranger is not in crossfade_components. */
export type Who = 'gateway' | 'stranger';
const domains: Record<Who, string> = { gateway: 'gw.example.com', stranger: 'other.example.com' };
const people = ['alice', 'frank', 'dave', 'bob', 'carol', 'erin'];
/** So that the hostile gateway, who acknowledges by chance, has a full queue now and then, and a link that expires. */
const tight = 'crossfade_max_unacked = 60\n  crossfade_resume_timeout = 1';
/** Plays between two looks at the others. */
const judgedEvery = 5;
const answerWithinMs = 3_000;

export interface SceneOptions {
  /** Where the module is, if not in this checkout. */
  moduleDir?: string;
}

export class HostileScene {
  /** Requests that were answered: a fuzzer that never gets through finds nothing. */
  readonly counts = { results: 0, errors: 0, refused: 0, broken: 0 };
  readonly #prosody: Prosody;
  readonly #clients: LegacyClient[];
  readonly #good: RawComponent;
  readonly #goodEpoch: string;
  #ids = 0;
  #rounds = 0;
  #logRead = 0;
  #link = { epoch: 'none', h: 0 };
  /** The highest number seen of each epoch. */
  readonly #highest = new Map<string, number>();
  #numbersRead = 0;
  #wild: RawComponent | null = null;

  private constructor(prosody: Prosody, clients: LegacyClient[], good: RawComponent, goodEpoch: string) {
    this.#prosody = prosody;
    this.#clients = clients;
    this.#good = good;
    this.#goodEpoch = goodEpoch;
  }

  static async open({ moduleDir }: SceneOptions = {}): Promise<HostileScene> {
    const prosody = await startProsody({
      accounts: Object.fromEntries(people.map((user) => [user, user])),
      components: [domains.gateway, good, domains.stranger].map((domain) => ({ domain, secret })),
      archive: true,
      moduleDir,
      options: `  crossfade_components = { "${domains.gateway}", "${good}" }\n  ${tight}`,
    });
    try {
      const port = prosody.c2sPort;
      const clients = await Promise.all(
        ['alice', 'frank'].map((user) => legacyClient({ port, user, password: user, resource: 'desk' })),
      );
      const orderly = await RawComponent.open({ port: prosody.componentPort, domain: good, secret });
      const { epoch } = await orderly.hello();
      await orderly.attach('dave', { presence: AVAILABLE });
      await orderly.observe('frank');
      await orderly.lock('dave', 'moved by the other gateway');
      return new HostileScene(prosody, clients, orderly, epoch);
    } catch (error) {
      await prosody.stop();
      throw error;
    }
  }

  /** A seed's plays, one after the other: what one leaves behind is part of the next. `only`: of these commands. */
  async playAll({ seed, count, only }: { seed: number; count: number; only?: string[] }): Promise<void> {
    for (const [at, play] of fc.sample(plays(only), { seed, numRuns: count }).entries()) {
      await this.#play(play, at % 4 === 3 ? 'stranger' : 'gateway');
      if (at % judgedEvery === 0 || at === count - 1) await this.#isWell();
    }
    // With its own locks gone, the other's are still there.
    await (await this.#connect('gateway')).hello();
    const asDave = legacyClient({ port: this.#prosody.c2sPort, user: 'dave', password: 'dave' });
    const refused = await asDave.then(() => 'let in', String);
    if (!refused.includes('not-allowed')) throw new Error(`a user locked by the other gateway is ${refused}`);
  }

  /** Does all of it at once. Throws what is wrong, in words. */
  async #play(acts: readonly Act[], who: Who): Promise<void> {
    let from = await this.#connect(who);
    let open: Promise<void>[] = [];
    for (const act of acts) {
      if (act.do === 'ask') open.push(this.#ask(from, act, who));
      else if (act.do === 'say') from.write(this.#filledIn(act.text, who));
      else {
        await Promise.all(open);
        open = [];
        await this.#breakOff(from, this.#filledIn(act.text, who));
        from = await this.#connect(who);
      }
    }
    await Promise.all(open);
    this.#hasNoGaps();
  }

  async close(): Promise<void> {
    for (const component of [this.#wild, this.#good]) await component?.kill();
    await Promise.all(this.#clients.map((client) => client.stop()));
    await this.#prosody.stop();
  }

  async #connect(who: Who): Promise<RawComponent> {
    if (who === 'gateway' && this.#wild) return this.#wild;
    const component = await RawComponent.open({ port: this.#prosody.componentPort, domain: domains[who], secret });
    if (who === 'stranger') return component;
    this.#wild = component;
    this.#numbersRead = 0;
    const { epoch, h } = await component.hello(this.#link.epoch, this.#link.h).catch(() => component.hello());
    this.#link = { epoch, h };
    return component;
  }

  #filledIn(text: string, who: Who): string {
    const last = this.#wild?.delivered.at(-1);
    const h = last?.epoch === this.#link.epoch ? last.n : this.#link.h;
    return text
      .replaceAll("'FROM'", `'${domains[who]}'`)
      .replaceAll("'EPOCH'", `'${this.#link.epoch}'`)
      .replace(/'H([+-]\d)?'/g, (_, step = 0) => `'${Math.max(0, h + Number(step))}'`);
  }

  async #ask(from: RawComponent, { type, to, content }: Act & { do: 'ask' }, who: Who): Promise<void> {
    const id = `a${++this.#ids}`;
    const text = this.#filledIn(`<iq type='${type}' to='${to}' from='FROM' id='${id}'>${content}</iq>`, who);
    const answer = await within(from.answerTo(id, text), `no answer to ${shown(text)}`);
    if (answer.attrs.type === 'error') {
      const error = answer.getChild('error');
      const condition = error?.getChildElements().find(({ name }) => name !== 'text')?.name;
      if (!condition || !error?.attrs.type) throw new Error(`an error without condition or type: ${answer}`);
      // The module's own last resort: what it should have refused, or done.
      if (condition === 'internal-server-error') throw new Error(`the server failed on ${shown(text)}`);
      this.counts.errors += 1;
      return;
    }
    if (who === 'stranger') throw new Error(`a stranger was served: ${shown(text)} gave ${answer}`);
    this.counts.results += 1;
    this.#hear(answer, text);
  }

  #hear(answer: Element, text: string): void {
    const children = answer.getChildElements();
    const welcome = children.find(({ name }) => name === 'welcome');
    if (welcome) this.#link = { epoch: welcome.attrs.epoch ?? '', h: Number(welcome.attrs.h) };
    const attaches = children.filter(({ name }) => name === 'attached' || name === 'refused');
    this.counts.refused += attaches.filter(({ name }) => name === 'refused').length;
    if (attaches.some(({ attrs }) => attrs.condition === 'internal-server-error'))
      throw new Error(`the server failed on ${shown(text)}: ${answer}`);
  }

  async #breakOff(from: RawComponent, text: string): Promise<void> {
    this.counts.broken += 1;
    if (text === '') await from.kill();
    else {
      from.write(text);
      await within(from.closed, `the server did not end the stream after ${shown(text)}`);
    }
    if (from !== this.#wild) return;
    this.#hasNoGaps();
    this.#wild = null;
  }

  /** A number is the next one, or a repeat after hello: also of what was on its way when a connection broke. */
  #hasNoGaps(): void {
    const delivered = this.#wild?.delivered ?? [];
    for (const { epoch, n } of delivered.slice(this.#numbersRead)) {
      const highest = this.#highest.get(epoch) ?? 0;
      if (!(n <= highest + 1)) throw new Error(`number ${n} follows ${highest}`);
      this.#highest.set(epoch, Math.max(n, highest));
    }
    this.#numbersRead = delivered.length;
  }

  /** The others talk as before, nobody was thrown out, and the server has logged no fault. */
  async #isWell(): Promise<void> {
    const sign = `well ${++this.#rounds}`;
    const [alice, frank] = this.#clients as [LegacyClient, LegacyClient];
    const asDave = this.#good.send('dave@example.com/mqtt', sign, message(alice.jid, `${sign} back`));
    await alice.send(message('frank@example.com', sign));
    await alice.send(message('dave@example.com', `${sign} too`));
    const heard = Promise.all([asDave, this.#good.deliveryOf(`${sign} too`), frank.message(sign)]);
    heard.catch(() => {});
    const [{ condition }, { epoch }] = await within(heard, 'the other gateway and users do not hear each other');
    if (condition) throw new Error(`the other gateway's session is gone: ${condition}`);
    await alice.message(`${sign} back`);
    if (!this.#good.copies('frank@example.com').includes(`in ${sign}`))
      throw new Error('the other gateway observes no more');
    if (epoch !== this.#goodEpoch) throw new Error('the other gateway has lost its link');
    await this.#good.ack(epoch, this.#good.delivered.at(-1)!.n);
    const log = await this.#prosody.log();
    const faults = log
      .slice(this.#logRead)
      .split('\n')
      .filter((line) => /\terror\t|traceback/i.test(line));
    this.#logRead = log.length;
    if (faults.length > 0) throw new Error(`the server has logged\n${faults.slice(0, 5).join('\n')}`);
  }
}

const message = (to: string, body: string) =>
  `<message to='${to}' type='chat' id='${body}'><body>${body}</body></message>`;
const shown = (text: string) => (text.length > 600 ? `${text.slice(0, 500)} … ${text.slice(-80)}` : text);

async function within<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), answerWithinMs);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
