// One visit to a user's archive (XEP-0313): a client logs in, reads what is new, and goes. It never sends presence, so nothing is
// delivered to it, and nobody is told of it.

import type { Element } from 'ltx';
import type { Timer } from '../clock.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { archiveQuery, readPage, type Wish } from './archive-query.ts';
import { bindTo, readBound } from './client-negotiation.ts';
import { ClientQuestions } from './client-questions.ts';
import { type ClientListener, ClientStream, type ClientStreamOptions, type Closed } from './client-stream.ts';
import { prepareBare } from './jid.ts';
import { NS_CLIENT, NS_DELAY, NS_FORWARD, NS_MAM } from './namespaces.ts';
import { childOf, elementsOf } from './stanza.ts';
import { errorReply } from './stanza-error.ts';
import { writeElement, writeStanza } from './xml-writer.ts';

export interface VisitOptions extends ClientStreamOptions {
  login: NonNullable<ClientStreamOptions['login']>;
  /** Bare JID. */
  user: string;
  /** What is new; `end`: nothing, only where the archive ends is asked for. */
  wish: Wish;
  /** The results, in order, each with the archive's time as a delay stamp of the server. */
  onMessage: (message: Element) => void;
  /** A stanza over a limit. */
  onSkipped: () => void;
}

export type Visited =
  /** `next`: what is new at the next visit. */
  | { kind: 'read'; next: Wish }
  /** The archive does not know the place any more. */
  | { kind: 'unknown' }
  | { kind: 'no-archive'; condition: string; isRefusal: boolean }
  | { kind: 'closed'; closed: Closed };

const pageMax = 100;
const answerMs = 30_000;
/** Of an empty archive everything is new. */
const beginning: Wish = { since: 0 };

export class ArchiveVisit implements ClientListener {
  /** Never rejects. */
  readonly result: Promise<Visited>;
  readonly #options: VisitOptions;
  readonly #questions: ClientQuestions;
  readonly #stream: ClientStream;
  readonly #told: (visited: Visited) => void;
  #wish: Wish;
  #queryId = '';
  #limit?: Timer;

  constructor(options: VisitOptions) {
    this.#options = options;
    this.#wish = options.wish;
    const { promise, resolve } = Promise.withResolvers<Visited>();
    this.result = promise;
    this.#told = resolve;
    this.#questions = new ClientQuestions(options.user);
    this.#stream = new ClientStream(options, this);
  }

  cancel(): void {
    this.#stream.drop('stopped');
  }

  onFeatures(): void {
    this.#ask(undefined, bindTo(), (answer) => {
      const bound = readBound(answer);
      if (typeof bound !== 'string') return this.#end({ kind: 'closed', closed: bound });
      this.#stream.settle();
      this.#read();
    });
  }

  onElement(element: Element): void {
    if (element.attrs.xmlns !== undefined && element.attrs.xmlns !== NS_CLIENT) return;
    if (element.name === 'message') this.#message(element);
    else if (element.name === 'iq' && !this.#questions.isAnswer(element)) this.#asked(element);
  }

  onSkipped(): void {
    this.#options.onSkipped();
  }

  onClosed(closed: Closed): void {
    this.#limit?.cancel();
    this.#told({ kind: 'closed', closed });
  }

  #read(): void {
    const { user } = this.#options;
    const max = this.#wish === 'end' ? 1 : pageMax;
    this.#queryId = crypto.randomUUID();
    const [query] = elementsOf(archiveQuery({ user, queryId: this.#queryId, wish: this.#wish, max }));
    this.#ask(user, writeElement(query!), (answer) => this.#answered(answer));
  }

  #answered(answer: Element): void {
    const page = readPage(answer);
    if (page.kind === 'unknown' && this.#wish !== 'end') return this.#end({ kind: 'unknown' });
    if (page.kind !== 'page') return this.#end({ ...page, kind: 'no-archive' });
    const { last, isComplete } = page;
    const next = last === undefined ? this.#wish : { after: last };
    const isOver = isComplete || this.#wish === 'end' || isSame(next, this.#wish);
    this.#wish = next;
    if (isOver) this.#end({ kind: 'read', next: next === 'end' ? beginning : next });
    else this.#read();
  }

  /** Only a result for the question that is open. */
  #message(stanza: Element): void {
    const { user, target, wish, onMessage } = this.#options;
    const { from = user } = stanza.attrs;
    const result = childOf(stanza, 'result', NS_MAM);
    if (wish === 'end' || !result || result.attrs.queryid !== this.#queryId || prepareBare(from) !== user) return;
    const forwarded = childOf(result, 'forwarded', NS_FORWARD);
    const message = forwarded && elementsOf(forwarded).find(({ attrs }) => attrs.xmlns === NS_CLIENT);
    if (!forwarded || message?.name !== 'message') return;
    delete message.attrs.xmlns;
    message.parent = null;
    const stamp = childOf(forwarded, 'delay', NS_DELAY)?.attrs.stamp;
    if (stamp) message.c('delay', { xmlns: NS_DELAY, from: target.domain, stamp });
    onMessage(message);
  }

  /** Of a client; a server that pings gets an answer, which is all it wants. */
  #asked(iq: Element): void {
    const reply = errorReply(iq, refuse('service-unavailable'));
    const written = reply && writeStanza(reply);
    if (typeof written === 'string') this.#stream.write(written);
  }

  #ask(to: string | undefined, payload: string | Refusal, done: (answer: Element) => void): void {
    if (isRefusal(payload)) return this.#end({ kind: 'no-archive', condition: payload.condition, isRefusal: true });
    this.#limit?.cancel();
    this.#limit = this.#options.clock.after(answerMs, () => this.#stream.drop('the archive does not answer'));
    this.#stream.write(this.#questions.ask('set', to, payload, done));
  }

  #end(visited: Visited): void {
    this.#told(visited);
    this.#stream.end();
  }
}

function isSame(one: Wish, other: Wish): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
