// The component connection (XEP-0114) as the parts above see it: online or not, stanzas in and out, questions and answers.

import { randomUUID } from 'node:crypto';
import type { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { ComponentStream, type StreamTarget } from './component-stream.ts';
import { fullOf, parseJid } from './jid.ts';
import { NS_PING } from './namespaces.ts';
import { isStanza } from './stanza.ts';
import type { ReaderLimits, Skipped } from './stanza-limits.ts';
import { defaultTiming, Supervisor, type Timing } from './supervisor.ts';
import { WriteBuffer } from './write-buffer.ts';
import { tag } from './xml-writer.ts';

export interface ComponentOptions extends StreamTarget {
  /** The domain that is pinged to see whether the connection lives: the legacy server's, prepared. */
  server: string;
  clock: Clock;
  log: Log;
  limits?: Partial<ReaderLimits>;
  timing?: Partial<Timing>;
}

/** What came back to a question: the iq (result or error), or why nothing did. */
export type Answer = Element | 'lost' | 'timeout';

/** Somebody who takes a part of what comes in, before `onStanza` and `onSkipped` see it: true means taken. */
export interface Taker {
  onOnline(): void;
  onOffline(): void;
  takes(stanza: Element): boolean;
  takesSkipped(skipped: Skipped): boolean;
}

/** A stop waits so long for the answer to its last question; without one it goes on. */
const lastPingMs = 1_000;

interface Question {
  to: string;
  done: (answer: Answer) => void;
  timer: Timer;
}

/**
 * `onStanza` gets what no taker took and no question waited for; `onSkipped` stanzas over a limit. What a callback throws is
 * logged and counted in `faults`, and the rest of the data is read nevertheless.
 */
export class Component {
  onOnline: () => void = () => {};
  onOffline: (reason: string) => void = () => {};
  /** A connection, or an attempt at one, has ended; the next one is made by itself. */
  onClosed: (reason: string) => void = () => {};
  onStanza: (stanza: Element) => void = () => {};
  onSkipped: (skipped: Skipped) => void = () => {};
  readonly domain: string;
  /** Prepared domain of the legacy server. */
  readonly server: string;
  faults = 0;
  readonly #options: ComponentOptions;
  readonly #timing: Timing;
  readonly #supervisor: Supervisor;
  #takers: readonly Taker[] = [];
  readonly #questions = new Map<string, Question>();
  #stream: ComponentStream | null = null;
  #online = false;
  #stopped = false;
  #gone: Promise<void> | undefined;
  #reading = true;
  #pauses = 0;
  readonly #unwritten = new WriteBuffer();

  constructor(options: ComponentOptions) {
    this.#options = options;
    this.domain = options.domain;
    this.server = options.server;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#supervisor = new Supervisor(
      {
        open: () => this.#open(),
        ping: async (limitMs) =>
          typeof (await this.request(this.server, 'get', tag('ping', { xmlns: NS_PING }), limitMs)) !== 'string',
        close: (reason) => this.drop(reason),
      },
      this.#timing,
      options.clock,
      options.log,
    );
  }

  /** True between the accepted handshake and the loss of the connection, or `stop`. */
  get online(): boolean {
    return this.#online && !this.#stopped;
  }

  /** Connects, and stays connected until `stop`. */
  start(): void {
    this.#supervisor.start();
  }

  /**
   * Writes what is waiting, closes the stream, and comes back when it is closed. Open questions are `lost`. What the server had
   * written before it read our end still comes, even if reading was paused: nobody would send it again (XEP-0114 has no acks).
   */
  stop(): Promise<void> {
    this.#gone ??= this.#stop();
    return this.#gone;
  }

  async #stop(): Promise<void> {
    this.#supervisor.stop();
    this.resumeReading();
    // ejabberd throws away what waits for a connection whose end it has read: behind the answer to a ping there is little of it.
    const fence = this.request(this.server, 'get', tag('ping', { xmlns: NS_PING }), lastPingMs);
    this.#flush();
    this.#stopped = true;
    await fence;
    await this.#stream?.end();
  }

  /** Closes the connection because of something that cannot go on; a new one follows. */
  drop(reason: string): void {
    this.#stream?.close(reason);
  }

  /** Registers a taker; gives the function that takes it away. */
  add(taker: Taker): () => void {
    this.#takers = [...this.#takers, taker];
    if (this.#online) taker.onOnline();
    return () => {
      this.#takers = this.#takers.filter((other) => other !== taker);
    };
  }

  /** Sends finished text from xml-writer; all of one turn of the event loop goes in one write. False when not online. */
  send(xml: string): boolean {
    if (!this.online) return false;
    if (this.#unwritten.isEmpty) setImmediate(() => this.#flush());
    this.#unwritten.add(xml);
    return true;
  }

  /**
   * Asks with an iq; `done` is called exactly once, in the order of the stream (before any later stanza is handed out), or with
   * `lost` before this returns when not online. Ids cannot be guessed, and the answer must come from who was asked.
   */
  ask(to: string, type: 'get' | 'set', payload: string, done: (answer: Answer) => void, timeoutMs = 30_000): void {
    if (!this.online) {
      done('lost');
      return;
    }
    const id = randomUUID();
    this.#questions.set(id, { to, done, timer: this.#limit(id, done, timeoutMs) });
    this.send(tag('iq', { type, from: this.domain, to, id }, payload));
  }

  /** Time in which we did not read does not count against the other side. */
  #limit(id: string, done: (answer: Answer) => void, timeoutMs: number): Timer {
    const pauses = this.#pauses;
    return this.#options.clock.after(timeoutMs, () => {
      const question = this.#questions.get(id);
      if (question === undefined) return;
      if (!this.#reading || pauses !== this.#pauses) {
        question.timer = this.#limit(id, done, timeoutMs);
        return;
      }
      this.#questions.delete(id);
      this.#safely(() => done('timeout'));
    });
  }

  /** As `ask`, with a promise. */
  request(to: string, type: 'get' | 'set', payload: string, timeoutMs?: number): Promise<Answer> {
    return new Promise((resolve) => this.ask(to, type, payload, resolve, timeoutMs));
  }

  /** Back-pressure: nothing more is read from the socket, also after a reconnect, until `resumeReading`. */
  pauseReading(): void {
    this.#reading = false;
    this.#pauses += 1;
    if (this.#online) this.#stream?.pause();
  }

  resumeReading(): void {
    this.#reading = true;
    this.#stream?.resume();
  }

  #open(): void {
    const { clock, limits = {} } = this.#options;
    this.#stream = new ComponentStream(this.#options, this.#timing, limits, clock, {
      onOnline: () => this.#up(),
      onElement: (element) => this.#dispatch(element),
      onSkipped: (skipped) => {
        const taken = this.#takers.some((taker) => this.#safely(() => taker.takesSkipped(skipped)) !== false);
        if (!taken) this.#safely(() => this.onSkipped(skipped));
      },
      onClosed: (reason, refused) => this.#down(reason, refused),
    });
  }

  #up(): void {
    this.#online = true;
    this.#options.log.info({ event: 'component.online', domain: this.domain });
    if (!this.#reading) this.#stream?.pause();
    this.#supervisor.online();
    for (const taker of this.#takers) this.#safely(() => taker.onOnline());
    this.#safely(() => this.onOnline());
  }

  #down(reason: string, refused: boolean): void {
    const wasOnline = this.#online;
    this.#online = false;
    this.#unwritten.take();
    this.#stream = null;
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    for (const { timer, done } of questions) {
      timer.cancel();
      this.#safely(() => done('lost'));
    }
    if (wasOnline) {
      for (const taker of this.#takers) this.#safely(() => taker.onOffline());
      this.#safely(() => this.onOffline(reason));
    }
    this.#safely(() => this.onClosed(reason));
    this.#supervisor.lost(reason, refused);
  }

  #flush(): void {
    const unwritten = this.#unwritten.take();
    if (this.#online) this.#stream?.write(...unwritten);
  }

  #dispatch(element: Element): void {
    const { name, attrs } = element;
    if (name === 'iq' && (attrs.type === 'result' || attrs.type === 'error')) this.#answer(element);
    else if (isStanza(element)) this.#offer(element);
  }

  #offer(element: Element): void {
    // A taker that throws has had its turn: the stanza was its own.
    for (const taker of this.#takers) if (this.#safely(() => taker.takes(element)) !== false) return;
    this.#safely(() => this.onStanza(element));
  }

  #answer(iq: Element): void {
    const { id = '', from = '' } = iq.attrs;
    const question = this.#questions.get(id);
    if (question === undefined || !isSame(from, question.to)) {
      this.#options.log.debug({ event: 'component.unasked', id, from });
      return;
    }
    this.#questions.delete(id);
    question.timer.cancel();
    this.#safely(() => question.done(iq));
  }

  /** Undefined if it threw. */
  #safely<T>(task: () => T): T | undefined {
    try {
      return task();
    } catch (fault) {
      this.faults += 1;
      this.#options.log.error({ event: 'component.fault', fault: String((fault as Error)?.stack ?? fault) });
      return undefined;
    }
  }
}

function isSame(from: string, to: string): boolean {
  if (from === to) return true;
  const [one, other] = [parseJid(from), parseJid(to)];
  return one !== null && other !== null && fullOf(one) === fullOf(other);
}
