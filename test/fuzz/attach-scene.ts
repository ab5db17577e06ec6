// The scene of the hostile gateway: a server with others on it, and one gateway that lost its mind; and the judge, who asks after each of
// its acts whether it was answered and whether all others are well.

import fc from 'fast-check';
import type { Element } from 'ltx';
import type { Breach, LegacyServer, ServerKind } from '../harness/legacy-server.ts';
import { enterOthers, type Others, otherGateway, otherPeople } from '../harness/others.ts';
import { RawComponent } from '../harness/raw-component.ts';
import { type Act, plays } from './attach-requests.ts';

const secret = 'not-a-real-secret';
/** Who asks: the stranger may not attach. */
export type Who = 'gateway' | 'stranger';
const domains: Record<Who, string> = { gateway: 'gw.example.com', stranger: 'other.example.com' };
const people = [...otherPeople, 'bob', 'carol', 'erin'];
/** So that the hostile gateway, who acknowledges by chance, has a full queue now and then, and a link that expires. */
const tight = { maxUnacked: 60, resumeTimeout: 1 };
/** Plays between two looks at the others. */
const judgedEvery = 5;
const answerWithinMs = 10_000;
/** Less than an inbox waits. */
const hearWithinMs = 6_000;

export class HostileScene {
  /** Requests that were answered: a fuzzer that never gets through finds nothing. */
  readonly counts = { results: 0, errors: 0, refused: 0, broken: 0 };
  readonly #kind: ServerKind;
  readonly #server: LegacyServer;
  readonly #others: Others;
  #ids = 0;
  #rounds = 0;
  #logRead = 0;
  #link = { epoch: 'none', h: 0 };
  /** The highest number seen of each epoch. */
  readonly #highest = new Map<string, number>();
  #numbersRead = 0;
  #wild: RawComponent | null = null;

  private constructor(kind: ServerKind, server: LegacyServer, others: Others) {
    this.#kind = kind;
    this.#server = server;
    this.#others = others;
  }

  static async open(kind: ServerKind, broken?: Breach): Promise<HostileScene> {
    const server = await kind.start({
      accounts: Object.fromEntries(people.map((user) => [user, user])),
      components: [domains.gateway, otherGateway, domains.stranger].map((domain) => ({ domain, secret })),
      attachers: [domains.gateway, otherGateway],
      archive: true,
      broken,
      ...tight,
    });
    try {
      return new HostileScene(kind, server, await enterOthers(kind, server, secret));
    } catch (error) {
      await server.stop();
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
    await this.#isWell();
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
    if (who === 'stranger') await from.kill();
  }

  async close(): Promise<void> {
    await this.#wild?.kill();
    await this.#others.leave();
    await this.#server.stop();
  }

  async #connect(who: Who): Promise<RawComponent> {
    if (who === 'gateway' && this.#wild) return this.#wild;
    // Only hello makes sure that nothing goes to a connection that is about to end.
    if (who === 'stranger') await this.#server.untilAway(domains.stranger);
    const component = await RawComponent.open({ port: this.#server.componentPort, domain: domains[who], secret });
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
    await within(this.#others.areWell(`well ${++this.#rounds}`), 'the others do not hear each other', hearWithinMs);
    const log = await this.#server.log();
    const faults = log
      .slice(this.#logRead)
      .split('\n')
      .filter((line) => this.#kind.fault.test(line));
    this.#logRead = log.length;
    if (faults.length > 0) throw new Error(`the server has logged\n${faults.slice(0, 5).join('\n')}`);
  }
}

const shown = (text: string) => (text.length > 600 ? `${text.slice(0, 500)} … ${text.slice(-80)}` : text);

async function within<T>(promise: Promise<T>, otherwise: string, withinMs = answerWithinMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), withinMs);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
