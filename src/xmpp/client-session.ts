// One user's client session: resumed or bound, counted both ways (XEP-0198), and acknowledged as the ledger accepts.

import { Element } from 'ltx';
import type { Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { isRefusal } from '../refusal.ts';
import { Arrivals } from './arrivals.ts';
import { type ClientListener, ClientStream, type ClientStreamOptions, type Closed } from './client-stream.ts';
import { fullOf, parseJid, prepareBare } from './jid.ts';
import type { Link } from './link.ts';
import { NS_BIND, NS_CARBONS, NS_DISCO_INFO, NS_MAM, NS_SID, NS_SM } from './namespaces.ts';
import { OtherResources } from './other-resources.ts';
import { Outgoing } from './outgoing.ts';
import { uncover } from './returned.ts';
import type { SendResult } from './session.ts';
import { epochOf, linkOf, readEpoch, type SessionMemory } from './session-memory.ts';
import { childOf, elementsOf, isStanza } from './stanza.ts';
import { readError, type StanzaError } from './stanza-error.ts';
import type { Skipped } from './stanza-limits.ts';
import { forStream, tag, writeElement } from './xml-writer.ts';

export interface ClientSessionOptions extends Omit<ClientStreamOptions, 'login'> {
  login: NonNullable<ClientStreamOptions['login']>;
  /** Bare JID. */
  user: string;
  resource: string;
  carbons: boolean;
  /** Null: the server is not asked, it has been before. */
  hasArchive: boolean | null;
  /** Only the old session will do. */
  mustResume: boolean;
  memory: SessionMemory;
  events: Pick<Link, 'onStanza' | 'onSkipped' | 'onMissed'>;
  onClosed: (closed: Closed) => void;
  log: Log;
}

export type Opened =
  | { kind: 'open'; resumed: boolean; hasArchive: boolean | null }
  /** There is no old session. */
  | { kind: 'gone' }
  | { kind: 'failed'; closed: Closed };

/** So many stanzas are read without being acknowledged, if the server does not ask. */
const maxUnasked = 32;
const fenceMs = 30_000;

export class ClientSession implements ClientListener {
  /** Full JID, once it is bound. */
  jid = '';
  /** When the server last said anything (ms). */
  heardAt: number;
  /** It has shown itself, and not gone. */
  isAvailable = false;
  readonly opened: Promise<Opened>;
  readonly #options: ClientSessionOptions;
  readonly #link: string;
  readonly #stream: ClientStream;
  readonly #arrivals: Arrivals;
  readonly #out: Outgoing;
  readonly #questions = new Map<string, (answer: Element) => void>();
  readonly #fences: { n: number; done: (isThere: boolean) => void; limit: Timer }[] = [];
  readonly #others: OtherResources;
  #told: (opened: Opened) => void = () => {};
  #stage: 'connecting' | 'resuming' | 'binding' | 'enabling' | 'open' = 'connecting';
  #old: { epoch: string; h: number } | null = null;
  #position: Promise<{ epoch: string; h: number } | null>;
  #epoch = '';
  #isNew = true;
  #hasArchive: boolean | null;
  #received = 0;
  /** Up to here the server was told; and it waits for more. */
  #acked = 0;
  #isOwed = false;

  constructor(options: ClientSessionOptions) {
    const { user, memory, events, log, clock } = options;
    this.#options = options;
    this.#link = linkOf(user);
    this.#hasArchive = options.hasArchive;
    this.heardAt = clock.now();
    this.opened = new Promise((resolve) => {
      this.#told = resolve;
    });
    this.#arrivals = new Arrivals({
      link: {
        name: this.#link,
        onStanza: (stanza, arrival, accepted) => {
          const position = arrival.position && { ...arrival.position, isNew: this.#isNew };
          events.onStanza(stanza, { ...arrival, position }, accepted);
        },
        onSkipped: (skipped, accepted) => events.onSkipped(skipped, accepted),
        onMissed: (who, accepted) => events.onMissed(who, accepted),
      },
      log,
      sendAck: (_, h) => this.#accepted(h),
      drop: (reason) => this.#stream.drop(reason),
    });
    this.#others = new OtherResources(user);
    this.#position = memory.position(this.#link);
    this.#stream = new ClientStream(options, this);
    this.#out = new Outgoing({ link: this.#link, memory, write: (text) => this.#stream.write(text) });
  }

  get stands(): boolean {
    return this.#stage === 'open' && !this.#stream.isClosed;
  }

  /** `isReturn`: its id is the key, and an error to it is the answer. */
  send(stanza: string, key: string, isReturn = false): Promise<SendResult> {
    if (!this.stands) return Promise.resolve({ kind: 'lost' });
    return this.#out.send(forStream(stanza), key, isReturn);
  }

  /** Shows itself, or goes (unavailable); resolves when the server has processed it, and sent all that it causes. */
  async show(presence: string): Promise<boolean> {
    this.isAvailable = !presence.includes('type="unavailable"');
    this.#out.tell(forStream(presence));
    return this.#fence();
  }

  /** Ends the session in order: all that the server has sent is accepted and acknowledged before. False where that did not come about. */
  async leave(): Promise<boolean> {
    if (this.isAvailable && !(await this.show('<presence type="unavailable"/>'))) return false;
    for (const since = this.#options.clock.now(); this.#acked < this.#received; ) {
      if (!this.stands || this.#options.clock.now() - since > fenceMs) return false;
      this.#isOwed = true;
      this.#accepted(this.#arrivals.h);
      await new Promise<void>((resolve) => this.#options.clock.after(10, resolve));
    }
    if (!(await this.#fence())) return false;
    await this.#options.memory.read(this.#link, '', 0);
    this.#stream.end();
    return true;
  }

  /** The connection is given up, the session is not: what is accepted is acknowledged first. */
  async suspend(): Promise<void> {
    if (this.stands && this.#arrivals.h > this.#acked) await this.#acknowledge(this.#arrivals.h);
    this.drop('stopped');
  }

  drop(reason: string): void {
    this.#stream.drop(reason);
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#stream.write(tag('r', { xmlns: NS_SM }));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  onFeatures(features: Element): void {
    if (!childOf(features, 'sm', NS_SM)) {
      const text = 'the server has no stream management (XEP-0198), without which messages could be lost';
      return this.#fail({ by: 'insecure', condition: 'feature-not-implemented', text });
    }
    this.#once(this.#position, (old) => {
      this.#old = old;
      if (old && old.epoch !== '') {
        this.#stage = 'resuming';
        this.#stream.write(tag('resume', { xmlns: NS_SM, previd: readEpoch(old.epoch).smId, h: old.h }));
      } else if (this.#options.mustResume) this.#fail(null);
      else this.#bind();
    });
  }

  onElement(element: Element): void {
    this.heardAt = this.#options.clock.now();
    const { name, attrs } = element;
    if (attrs.xmlns === NS_SM) this.#nonza(element);
    else if (isStanza(element)) {
      if (this.#epoch !== '') this.#count(element);
      else if (name === 'iq') this.#isAnswer(element);
    }
  }

  onSkipped({ outline, bytes, reason }: Skipped): void {
    if (this.#epoch === '' || !isStanza(outline)) return;
    const { from, to, id, type } = outline.attrs;
    const what = { name: outline.name, from, to, id, type, bytes, reason };
    this.#take({ kind: 'skipped', what });
  }

  onClosed(closed: Closed): void {
    this.#arrivals.close();
    this.#out.lost();
    for (const { done, limit } of this.#fences.splice(0)) {
      limit.cancel();
      done(false);
    }
    const wasOpen = this.#stage === 'open';
    this.#told({ kind: 'failed', closed });
    if (wasOpen) this.#options.onClosed(closed);
  }

  #nonza(element: Element): void {
    const { name, attrs } = element;
    const h = /^\d{1,10}$/.test(attrs.h ?? '') ? Number(attrs.h) : null;
    if (name === 'a' && h !== null) this.#heardAck(h);
    else if (name === 'r') this.#asked();
    else if (name === 'resumed' && this.#stage === 'resuming') this.#resumed(h ?? 0);
    else if (name === 'failed' && this.#stage === 'resuming') this.#notResumed(h);
    else if (name === 'enabled' && this.#stage === 'enabling') this.#enabled(element);
    else if (name === 'failed' && this.#stage === 'enabling')
      this.#fail({
        by: 'insecure',
        condition: 'feature-not-implemented',
        text: 'the server refuses stream management',
      });
  }

  /** What was not acknowledged follows in this very chunk. */
  #resumed(h: number): void {
    const { epoch, h: accepted } = this.#old!;
    this.#isNew = false;
    this.#epoch = epoch;
    this.#received = this.#acked = accepted;
    this.#arrivals.open(epoch, accepted);
    this.jid = `${this.#options.user}/${readEpoch(epoch).resource}`;
    this.isAvailable = true;
    this.#once(this.#out.begin(h), () => this.#equip());
  }

  /** `h` null: the server has forgotten it altogether, and what was unanswered is sent again. */
  #notResumed(h: number | null): void {
    const { memory, mustResume, log, user } = this.#options;
    log.info({ event: 'client.not-resumed', user, h });
    // Should this connection end now, the next one must not try it again: what it says about h it says once.
    this.#stage = 'binding';
    const written = Promise.all([memory.resolved(this.#link, h ?? 0), memory.read(this.#link, '', 0)]);
    this.#once(written, () => (mustResume ? this.#fail(null) : this.#bind()));
  }

  #bind(): void {
    this.#stage = 'binding';
    const { resource } = this.#options;
    const bind = writeElement(new Element('bind', { xmlns: NS_BIND }).c('resource').t(resource).up());
    if (isRefusal(bind)) return this.#fail({ by: 'insecure', condition: bind.condition, text: bind.text });
    this.#ask('set', undefined, bind, (answer) => {
      const jid = parseJid(childOf(answer, 'bind', NS_BIND)?.getChildText('jid') ?? '');
      if (answer.attrs.type !== 'result' || !jid) return this.#fail(closedBy(readError(answer)));
      this.jid = fullOf(jid);
      this.#stage = 'enabling';
      this.#stream.write(tag('enable', { xmlns: NS_SM, resume: 'true' }));
    });
  }

  #enabled({ attrs: { id, resume } }: Element): void {
    const { user, memory, events } = this.#options;
    const isResumable = id && (resume === 'true' || resume === '1');
    // One that cannot be resumed has a name all the same: asked for it, the server says so.
    this.#epoch = epochOf(this.jid.slice(user.length + 1), isResumable ? id : crypto.randomUUID());
    this.#arrivals.open(this.#epoch, 0);
    const written = memory.read(this.#link, this.#epoch, 0);
    // There was a session before: what came between the two only the archive has.
    if (this.#old) events.onMissed(user, () => {});
    this.#once(Promise.all([written, this.#out.begin(0)]), () => this.#equip());
  }

  /** What the server has for this account, and copies of what others of the user's resources send and get. */
  #equip(): void {
    if (this.#stream.isClosed) return;
    const { user, carbons } = this.#options;
    const ask = (...[type, payload, done]: ['get' | 'set', string, (answer: Element) => void]) =>
      this.#ask(type, type === 'get' ? user : undefined, payload, done);
    if (this.#hasArchive === null)
      ask('get', tag('query', { xmlns: NS_DISCO_INFO }), (answer) => {
        const features = elementsOf(childOf(answer, 'query', NS_DISCO_INFO) ?? answer).map(({ attrs }) => attrs.var);
        this.#hasArchive = features.includes(NS_MAM) && features.includes(NS_SID);
      });
    if (carbons && this.#isNew)
      ask('set', tag('enable', { xmlns: NS_CARBONS }), (answer) => {
        if (answer.attrs.type === 'result') return;
        const { condition, text } = readError(answer);
        this.#options.log.warn({ event: 'client.no-carbons', user, condition, text });
      });
    void this.#fence().then((isThere) => {
      if (!isThere) return this.#stream.drop('no answer while the session was made');
      this.#stage = 'open';
      this.#stream.settle();
      this.#told({ kind: 'open', resumed: !this.#isNew, hasArchive: this.#hasArchive });
    });
  }

  /** What follows comes to a session that stands. */
  isMade(): void {
    this.#isNew = false;
  }

  #ask(type: 'get' | 'set', to: string | undefined, payload: string, done: (answer: Element) => void): void {
    const id = crypto.randomUUID();
    this.#questions.set(id, done);
    const iq = tag('iq', { type, id, to }, payload);
    if (this.#epoch === '') this.#stream.write(iq);
    else this.#out.tell(iq);
  }

  /** True if it answers a question of ours. */
  #isAnswer(iq: Element): boolean {
    const { attrs } = iq;
    const done = attrs.type === 'result' || attrs.type === 'error' ? this.#questions.get(attrs.id ?? '') : undefined;
    if (!done || (attrs.from && prepareBare(attrs.from) !== this.#options.user)) return false;
    this.#questions.delete(attrs.id ?? '');
    done(iq);
    return true;
  }

  #count(stanza: Element): void {
    const { attrs, name } = stanza;
    if (name === 'iq' && this.#isAnswer(stanza)) return this.#take({ kind: 'hole' });
    if (name === 'message' && attrs.type === 'error' && this.#out.refused(attrs.id ?? '', readError(stanza)))
      return this.#take({ kind: 'hole' });
    if (name === 'presence') this.#others.heard(stanza, this.jid);
    const { user, target } = this.#options;
    const original = name === 'message' ? uncover(stanza, user, target.domain) : null;
    const seen = name === 'message' && !original && this.#others.haveSeen(stanza);
    this.#take({ kind: 'stanza', stanza: original ?? stanza, arrival: { seen } });
  }

  #take(content: Parameters<Arrivals['take']>[0]['content']): void {
    this.#arrivals.take({ epoch: this.#epoch, n: ++this.#received, user: this.#options.user, content });
  }

  #heardAck(h: number): void {
    if (!this.#out.acknowledged(h)) return this.#stream.drop('the server counts more stanzas than it was sent');
    while (this.#fences[0] && this.#fences[0].n <= h) {
      const { done, limit } = this.#fences.shift()!;
      limit.cancel();
      done(true);
    }
  }

  /** Resolves once the server has counted all that was written: what it had to send for that came before its answer. */
  #fence(): Promise<boolean> {
    if (this.#stream.isClosed) return Promise.resolve(false);
    return this.#out.settled().then(
      (n) =>
        new Promise((done) => {
          if (this.#stream.isClosed) return done(false);
          const limit = this.#options.clock.after(fenceMs, () => this.#stream.drop('an ack was not answered'));
          this.#fences.push({ n, done, limit });
          this.ping();
        }),
    );
  }

  /** The server wants to know. */
  #asked(): void {
    this.#isOwed = this.#acked < this.#received;
    // It has all that it can have now; what is not on disk yet it is told when it is.
    if (this.#arrivals.h <= this.#acked) this.#stream.write(tag('a', { xmlns: NS_SM, h: this.#acked }));
    else this.#once(this.#acknowledge(this.#arrivals.h), () => {});
  }

  #accepted(h: number): void {
    if (h > this.#acked && (this.#isOwed || h - this.#acked >= maxUnasked)) this.#once(this.#acknowledge(h), () => {});
  }

  /** What is no entry is written down as read first: the server refuses an h that goes back. */
  async #acknowledge(h: number): Promise<void> {
    await this.#options.memory.read(this.#link, this.#epoch, h);
    if (h <= this.#acked || this.#stream.isClosed) return;
    this.#acked = h;
    if (h === this.#received) this.#isOwed = false;
    this.#stream.write(tag('a', { xmlns: NS_SM, h }));
  }

  /** What the ledger cannot keep does not count: another connection begins from what it has. */
  #once<T>(kept: Promise<T>, then: (value: T) => void): void {
    kept.then(then).catch((fault) => this.#stream.drop(`not written: ${String(fault)}`));
  }

  #fail(closed: Closed | null): void {
    this.#told(closed ? { kind: 'failed', closed } : { kind: 'gone' });
    this.#stream.end();
  }
}

function closedBy({ condition, text }: StanzaError): Closed {
  return { by: 'connection', condition, text };
}
