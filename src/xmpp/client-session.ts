// One user's client session, from its beginning to its end: what it is told and asked, and who hears what comes.

import type { Element } from 'ltx';
import type { Log } from '../log.ts';
import { type Begun, ClientNegotiation, ledgerWaits } from './client-negotiation.ts';
import { ClientQuestions } from './client-questions.ts';
import { type ClientListener, ClientStream, type ClientStreamOptions, type Closed } from './client-stream.ts';
import { Fences } from './fences.ts';
import { Incoming } from './incoming.ts';
import type { Link } from './link.ts';
import { NS_CARBONS, NS_DISCO_INFO, NS_MAM, NS_PING, NS_SID, NS_SM } from './namespaces.ts';
import { OtherResources } from './other-resources.ts';
import { Outgoing } from './outgoing.ts';
import { uncover } from './returned.ts';
import type { SendResult } from './session.ts';
import { linkOf, type SessionMemory, watched } from './session-memory.ts';
import { childOf, elementsOf, isStanza } from './stanza.ts';
import { readError } from './stanza-error.ts';
import type { Skipped } from './stanza-limits.ts';
import { countNear, readCount } from './stream-count.ts';
import { forStream, tag } from './xml-writer.ts';

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

/** Its start tag says so; a text may say anything. */
const goingPresence = /^<presence[^>]* type="unavailable"/;
/** Stands on disk while the session is unavailable: whoever finds it again shows it again. No entry's key has a blank. */
const hiding = 'presence unavailable';

export class ClientSession implements ClientListener {
  /** Full JID, once it is bound. */
  jid = '';
  /** When the server last said anything (ms). */
  heardAt: number;
  /** It has shown itself, and not gone. */
  isAvailable = false;
  /** Unavailable by what is on disk, when it was found; it may have shown itself since, in a connection that ended before the answer. */
  mayBeSeen = false;
  readonly opened: Promise<Opened>;
  readonly #options: ClientSessionOptions;
  readonly #link: string;
  readonly #stream: ClientStream;
  readonly #in: Incoming;
  readonly #out: Outgoing;
  readonly #questions: ClientQuestions;
  readonly #negotiation: ClientNegotiation;
  readonly #fences: Fences;
  readonly #others: OtherResources;
  #told: (opened: Opened) => void = () => {};
  #isOpen = false;
  #hasArchive: boolean | null;
  #hasCarbons = false;
  #wasHidden = false;
  readonly #isLedgerAwaited: () => boolean;

  constructor(given: ClientSessionOptions) {
    const { memory, isAwaited } = watched(given.memory);
    const options = { ...given, memory };
    const { user, resource, mustResume, events, log, clock } = options;
    this.#options = options;
    this.#isLedgerAwaited = isAwaited;
    this.#link = linkOf(user);
    this.#hasArchive = options.hasArchive;
    this.heardAt = clock.now();
    this.opened = new Promise((resolve) => {
      this.#told = resolve;
    });
    this.#others = new OtherResources(user);
    const write = (text: string) => this.#stream.write(text);
    const drop = (reason: string) => this.#stream.drop(reason);
    const isClosed = () => this.#stream.isClosed;
    const fault = (fault: unknown) => this.#notWritten(fault);
    const written = () => this.#out.settled();
    this.#questions = new ClientQuestions(user);
    this.#in = new Incoming({ user, link: this.#link, memory, events, isClosed, write, drop, fault, clock, log });
    this.#out = new Outgoing({ link: this.#link, memory, write, confirm: (done) => this.#confirm(done) });
    this.#fences = new Fences({ clock, isClosed, drop, written, ask: () => this.ping() });
    this.#negotiation = new ClientNegotiation({
      ...{ user, resource, mustResume, memory, log, write, questions: this.#questions },
      begun: (begun) => this.#begun(begun),
      failed: (closed) => this.#fail(closed),
      fault,
    });
    this.#stream = new ClientStream(options, this);
  }

  /** Bare JID. */
  get user(): string {
    return this.#options.user;
  }

  get stands(): boolean {
    return this.#isOpen && !this.#stream.isClosed;
  }

  /** `isReturn`: its id is the key, and an error to it is the answer. */
  send(stanza: string, key: string, isReturn = false): Promise<SendResult> {
    if (!this.stands) return Promise.resolve({ kind: 'lost' });
    return this.#out.send(forStream(stanza), key, isReturn);
  }

  /** Shows itself, or goes (unavailable); resolves when the server has processed it, and sent all that it causes. */
  async show(presence: string): Promise<boolean> {
    const goes = goingPresence.test(presence);
    this.isAvailable = !goes;
    // What stands on disk stays there: placed anew, and not counted, it would be gone.
    if (goes && !this.#wasHidden) this.#out.note(forStream(presence), hiding);
    else this.#out.tell(forStream(presence));
    this.#wasHidden ||= goes;
    const isDone = await this.#fences.pass();
    if (isDone) this.mayBeSeen = false;
    if (goes) this.#others.forget();
    else if (isDone) this.appeared();
    return isDone;
  }

  /** The server has processed a presence of it; what has hidden it since counts more. */
  appeared(): void {
    if (!this.isAvailable || !this.#wasHidden) return;
    this.#wasHidden = false;
    this.#out.forget(hiding);
  }

  /** Ends the session in order: all that the server has sent is accepted and acknowledged before. False where that did not come about. */
  async leave(): Promise<boolean> {
    if ((this.isAvailable || this.mayBeSeen) && !(await this.show('<presence type="unavailable"/>'))) return false;
    if (!(await this.#in.finish()) || !(await this.#fences.pass())) return false;
    await this.#options.memory.read(this.#link, '', 0);
    this.#stream.end();
    return true;
  }

  /** The connection is given up, the session is not: what is accepted is acknowledged first. */
  async suspend(): Promise<void> {
    if (this.stands) await this.#in.stop();
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
    this.#fences.pause();
    this.#stream.pause();
  }

  resume(): void {
    this.#fences.resume();
    this.#stream.resume();
  }

  onFeatures(features: Element): void {
    this.#negotiation.features(features);
  }

  onElement(element: Element): void {
    this.heardAt = this.#options.clock.now();
    const { name, attrs } = element;
    if (attrs.xmlns === NS_SM) this.#nonza(element);
    else if (isStanza(element)) {
      if (this.#in.isCounted) this.#count(element);
      else if (name === 'iq') this.#questions.isAnswer(element);
    }
  }

  onSkipped({ outline, bytes, reason }: Skipped): void {
    if (!this.#in.isCounted || !isStanza(outline)) return;
    const { from, to, id, type } = outline.attrs;
    const what = { name: outline.name, from, to, id, type, bytes, reason };
    this.#in.take({ kind: 'skipped', what });
  }

  onClosed(closed: Closed): void {
    this.#in.close();
    this.#out.lost();
    this.#fences.lost();
    const isOurs = closed.condition === 'timeout' && this.#isLedgerAwaited();
    this.#told({ kind: 'failed', closed: isOurs ? ledgerWaits : closed });
    if (this.#isOpen) this.#options.onClosed(closed);
  }

  #nonza(element: Element): void {
    const { name, attrs } = element;
    const h = readCount(attrs.h);
    if (name === 'a' && h !== null) this.#heardAck(countNear(h, this.#out.written));
    else if (name === 'r') this.#in.asked();
    else this.#negotiation.answered(element, h);
  }

  #begun({ jid, epoch, isNew, isAnother, received, processed }: Begun): void {
    const { user, memory, events } = this.#options;
    this.jid = jid;
    this.#in.begin(epoch, received, isNew);
    const written = isNew ? memory.read(this.#link, epoch, 0) : null;
    if (isAnother) events.onMissed(user, () => {});
    this.#once(Promise.all([written, this.#out.begin(processed)]), () => {
      this.#wasHidden = this.#out.has(hiding);
      // Only one that has shown itself is ever kept by a server.
      this.isAvailable = !isNew && !this.#wasHidden;
      this.mayBeSeen = !isNew && this.#wasHidden;
      this.#equip(isNew);
    });
  }

  /** What the server has for this account, and copies of what others of the user's resources send and get. */
  #equip(isNew: boolean): void {
    if (this.#stream.isClosed) return;
    if (this.#hasArchive === null)
      this.#ask('get', tag('query', { xmlns: NS_DISCO_INFO }), (answer) => {
        const features = elementsOf(childOf(answer, 'query', NS_DISCO_INFO) ?? answer).map(({ attrs }) => attrs.var);
        this.#hasArchive = features.includes(NS_MAM) && features.includes(NS_SID);
      });
    // One that was resumed, too: made just for handing back, it was never asked for them.
    if (this.#options.carbons) this.wantCarbons();
    void this.#fences.pass().then((isThere) => {
      if (!isThere) return this.#stream.drop('no answer while the session was made');
      this.#isOpen = true;
      this.#stream.settle();
      this.#told({ kind: 'open', resumed: !isNew, hasArchive: this.#hasArchive });
    });
  }

  /** Copies of what the user's other resources send and get. */
  wantCarbons(): void {
    if (this.#hasCarbons) return;
    this.#hasCarbons = true;
    this.#ask('set', tag('enable', { xmlns: NS_CARBONS }), (answer) => {
      if (answer.attrs.type === 'result') return;
      const { condition, text } = readError(answer);
      this.#options.log.warn({ event: 'client.no-carbons', user: this.user, condition, text });
    });
  }

  /** What follows comes to a session that stands. */
  isMade(): void {
    this.#in.isMade();
  }

  #count(stanza: Element): void {
    const { attrs, name } = stanza;
    if (name === 'iq' && this.#questions.isAnswer(stanza)) return this.#in.take({ kind: 'hole' });
    if (name === 'message' && attrs.type === 'error' && this.#out.refused(attrs.id ?? '', readError(stanza)))
      return this.#in.take({ kind: 'hole' });
    if (name === 'presence') this.#others.heard(stanza, this.jid);
    const { user, target } = this.#options;
    const original = name === 'message' ? uncover(stanza, user, target.domain) : null;
    const seen = name === 'message' && !original && this.#others.haveSeen(stanza);
    this.#in.take({ kind: 'stanza', stanza: original ?? stanza, arrival: { seen } });
  }

  #heardAck(h: number): void {
    if (!this.#out.acknowledged(h)) return this.#stream.drop('the server counts more stanzas than it was sent');
    this.#fences.counted(h);
  }

  /** A server sends what it has to a session in order: its answer to a question, whatever it says, comes behind the errors before it. */
  #confirm(done: () => void): void {
    const limit = this.#fences.limit('a ping was not answered');
    this.#ask('get', tag('ping', { xmlns: NS_PING }), () => {
      limit.cancel();
      done();
    });
  }

  #ask(type: 'get' | 'set', payload: string, done: (answer: Element) => void): void {
    this.#out.tell(this.#questions.ask(type, type === 'get' ? this.#options.user : undefined, payload, done));
  }

  /** What the ledger cannot keep does not count: another connection begins from what it has. */
  #once<T>(kept: Promise<T>, then: (value: T) => void): void {
    kept.then(then).catch((fault) => this.#notWritten(fault));
  }

  #notWritten(fault: unknown): void {
    this.#stream.drop(`not written: ${String(fault)}`);
  }

  #fail(closed: Closed | null): void {
    this.#told(closed ? { kind: 'failed', closed } : { kind: 'gone' });
    this.#stream.end();
  }
}
