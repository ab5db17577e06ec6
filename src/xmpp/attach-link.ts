// The gateway's half of the attach protocol (docs/attach-protocol.md, DESIGN §4) for one server host over one component.

import { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { isRefusal } from '../refusal.ts';
import { Arrivals, type MissedHandler, type SkippedHandler } from './arrivals.ts';
import { readEnvelope, readSkipped } from './attach-envelope.ts';
import type { Answer, Component } from './component.ts';
import type { Attached, AttachRequest, Detached, GiveBackRequest, Link, LinkUp } from './link.ts';
import { NS_ATTACH } from './namespaces.ts';
import type { SendResult, StanzaHandler } from './session.ts';
import { alone, childOf, elementsOf } from './stanza.ts';
import { readError, refusalOf, type StanzaError, sendResultOf } from './stanza-error.ts';
import type { Skipped } from './stanza-limits.ts';
import { forEnvelope, tag, writeElement } from './xml-writer.ts';

export type { SkippedArrival } from './arrivals.ts';

export interface AttachLinkOptions {
  component: Component;
  /** The server host: prepared. */
  host: string;
  log: Log;
  clock: Clock;
  /** Where the ledger stands on this link; absent the first time. */
  from?: { epoch: string; h: number };
}

const version = '1';
/** A server without the module may get it any time; asking is cheap. */
const askAgainMs = 60_000;

const hints: Record<string, string> = {
  'service-unavailable':
    "load the module on the users' host of the server (Prosody: crossfade_attach, ejabberd: mod_crossfade_attach)",
  'feature-not-implemented': "load the module that came with this release on the users' host of the server",
  'remote-server-not-found': 'is xmpp.domain right, and is it a host of this server?',
  forbidden:
    'name this component on the server: in crossfade_components (Prosody), or as the component of mod_crossfade_attach (ejabberd)',
};

/** Nothing. */
const lacks = new Set<never>();

export class AttachLink implements Link {
  /** Names the link in the ledger. */
  readonly name: string;
  onUp: (up: LinkUp) => void = () => {};
  onDown: () => void = () => {};
  /** The server does not take the link, and why; it is asked again after a while. */
  onRefused: (reason: string) => void = () => {};
  /** The stanza is alone (parent null), its root without `xmlns`: `getNS()` gives undefined and means jabber:client. */
  onStanza: StanzaHandler = () => {};
  onSkipped: SkippedHandler = () => {};
  /** Nobody listens: it stays unacknowledged and comes again, and the log says so. Accepted unheard, it would be lost without a trace. */
  onMissed: MissedHandler = () => this.#log.error({ event: 'attach.unheard', link: this.name, what: 'missed' });
  onDetached: (detached: { jid: string; reason: string; h: number }) => void = () => {};
  /** Never: sessions stand and fall with the link. */
  onLost: (jid: string) => void = () => {};
  onCopiesLost: (user: string) => void = () => {};
  readonly lacks = lacks;
  readonly #component: Component;
  readonly #host: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #arrivals: Arrivals;
  #up = false;
  #hasArchive = false;
  #askAgain: Timer | null = null;

  constructor(options: AttachLinkOptions) {
    this.#component = options.component;
    this.#host = options.host;
    this.#log = options.log;
    this.#clock = options.clock;
    this.name = `${options.component.domain}/${options.host}`;
    this.#arrivals = new Arrivals({
      link: this,
      log: options.log,
      from: options.from,
      sendAck: (epoch, h) => this.#sendAck(epoch, h),
      drop: (reason) => this.#component.drop(reason),
    });
    this.#component.add({
      onOnline: () => this.#hello(),
      onOffline: () => this.#down(),
      takes: (stanza) => this.#takes(stanza),
      takesSkipped: (skipped) => this.#takesSkipped(skipped),
    });
  }

  /** True between `welcome` and the loss of the connection. */
  get up(): boolean {
    return this.#up;
  }

  /** Whether the accounts of this host have an archive with stable ids. */
  get hasArchive(): boolean {
    return this.#hasArchive;
  }

  /** '' before the first welcome. */
  get epoch(): string {
    return this.#arrivals.epoch ?? '';
  }

  stands(): boolean {
    return this.#up;
  }

  mayHold(epoch: string): boolean {
    return epoch === this.epoch;
  }

  /** Makes sessions, all in one iq; one result each, in order. Attaching twice is harmless. */
  attach(requests: AttachRequest[]): Promise<Attached[]> {
    const payload = requests.map(({ user, resource, carbons, presence }) =>
      tag(
        'attach',
        { xmlns: NS_ATTACH, user, resource, carbons: carbons ? '1' : undefined },
        presence && forEnvelope(presence),
      ),
    );
    return this.#ask(payload.join(''), (answer) => {
      if (typeof answer === 'string') return requests.map(() => ({ kind: 'lost' }));
      if (answer.attrs.type === 'error') return requests.map(() => refusalOf(readError(answer)));
      const results = elementsOf(answer);
      return requests.map((_, at) => readAttached(results[at]));
    });
  }

  /** Sends one finished stanza as an attached session. A repeat with the same key is processed once. */
  send(from: string, stanza: string, key: string): Promise<SendResult> {
    return this.#ask(tag('send', { xmlns: NS_ATTACH, from, key }, forEnvelope(stanza)), readSent);
  }

  /** Hands an undelivered stanza back (`<return/>`); `stamp` is its original time, RFC 3339. */
  giveBack({ to, key, stamp, stanza }: Omit<GiveBackRequest, 'ends'>): Promise<SendResult> {
    return this.#request(tag('return', { xmlns: NS_ATTACH, to, key, stamp }, forEnvelope(stanza)));
  }

  /** Ends a session; all that is accepted until now is acked in the same write, so that the server takes back no more than it must. */
  detach(jid: string): Promise<Detached> {
    this.#arrivals.ackNow();
    return this.#ask(tag('detach', { xmlns: NS_ATTACH, jid }), (answer): Detached => {
      if (typeof answer === 'string') return { kind: 'lost' };
      const detached = childOf(answer, 'detached', NS_ATTACH);
      if (answer.attrs.type === 'error' || detached === undefined) return refusalOf(readError(answer));
      return {
        kind: 'detached',
        h: count(detached.attrs.h),
        returned: count(detached.attrs.returned),
      };
    });
  }

  /** Copies of what the user (a local part) sends and receives, from now on. */
  observe(user: string): Promise<SendResult> {
    return this.#request(tag('observe', { xmlns: NS_ATTACH, user }));
  }

  unobserve(user: string): Promise<SendResult> {
    return this.#request(tag('unobserve', { xmlns: NS_ATTACH, user }));
  }

  /** Refuses legacy clients of the user, and ends those that are there, with this text. */
  async lock(user: string, text: string): Promise<SendResult> {
    const lock = writeElement(new Element('lock', { xmlns: NS_ATTACH, user, kick: '1' }).t(text));
    if (isRefusal(lock)) return { kind: 'refused', condition: lock.condition, text: lock.text };
    return this.#request(lock);
  }

  unlock(user: string): Promise<SendResult> {
    return this.#request(tag('unlock', { xmlns: NS_ATTACH, user }));
  }

  #request(inner: string): Promise<SendResult> {
    return this.#ask(inner, (answer) => {
      if (typeof answer === 'string') return { kind: 'lost' };
      return answer.attrs.type === 'result' ? { kind: 'processed' } : refusalOf(readError(answer));
    });
  }

  #hello(): void {
    const { epoch, h: accepted } = this.#arrivals;
    const h = epoch === undefined ? undefined : accepted;
    const hello = tag('hello', { xmlns: NS_ATTACH, v: version, epoch, h });
    this.#component.ask(this.#host, 'set', hello, (answer) => {
      if (answer === 'lost') return;
      if (answer === 'timeout') {
        this.#component.drop('no answer to hello');
        return;
      }
      const welcome = childOf(answer, 'welcome', NS_ATTACH);
      if (answer.attrs.type === 'error') this.#refused(readError(answer));
      else if (welcome?.attrs.v !== version || !welcome.attrs.epoch) {
        this.#refused({
          type: 'cancel',
          condition: 'feature-not-implemented',
          text: 'the module speaks another version',
        });
      } else this.#welcome(welcome, welcome.attrs.epoch);
    });
  }

  #welcome({ attrs }: Element, epoch: string): void {
    const resumed = epoch === this.#arrivals.epoch;
    const h = resumed && attrs.h === undefined ? this.#arrivals.h : count(attrs.h);
    this.#up = true;
    this.#hasArchive = attrs.archive === '1';
    this.#arrivals.open(epoch, h);
    this.#log.info({ event: 'attach.up', link: this.name, resumed, epoch, h, sessions: count(attrs.sessions) });
    this.onUp({ resumed, missed: !resumed, epoch, sessions: count(attrs.sessions) });
  }

  /** Own-domain addresses work without the module; so the connection stays, and hello is tried again after a while. */
  #refused({ condition, text }: StanzaError): void {
    const hint = hints[condition] ?? 'look into the log of the server';
    const reason = `${condition}${text && ` (${text})`}; ${hint}`;
    this.#log.error({ event: 'attach.refused', link: this.name, condition, text, hint }, `attach refused: ${reason}`);
    this.onRefused(reason);
    this.#askAgain = this.#clock.after(askAgainMs, () => this.#hello());
  }

  #down(): void {
    this.#askAgain?.cancel();
    this.#arrivals.close();
    if (!this.#up) return;
    this.#up = false;
    this.onDown();
  }

  /**
   * The answer read at its place in the stream. An unanswered iq ends the connection, and so does a server that knows of no hello on it
   * (its module was started anew): what it was comes again with its key.
   */
  #ask<T>(payload: string, read: (answer: Answer) => T): Promise<T> {
    return new Promise((resolve) => {
      if (!this.#up) {
        resolve(read('lost'));
        return;
      }
      this.#component.ask(this.#host, 'set', payload, (answer) => {
        const isError = typeof answer !== 'string' && answer.attrs.type === 'error';
        const isForgotten = isError && readError(answer).condition === 'unexpected-request';
        resolve(read(isForgotten ? 'lost' : answer));
        if (answer === 'timeout') this.#component.drop('an iq of the attach protocol was not answered');
        if (isForgotten) this.#component.drop('the server knows of no link on this connection');
      });
    });
  }

  #takes(stanza: Element): boolean {
    if (stanza.name !== 'message' || !this.#isFromServer(stanza)) return false;
    const inside = stanza.children[0];
    if (!(inside instanceof Element) || inside.attrs.xmlns !== NS_ATTACH) return false;
    if (inside.name === 'd') this.#arrivals.take(readEnvelope(inside, this.#host));
    else if (inside.name === 'detached') {
      const { jid = '', reason = '', h } = inside.attrs;
      this.onDetached({ jid, reason, h: count(h) });
    }
    return true;
  }

  #takesSkipped(skipped: Skipped): boolean {
    const inside = skipped.outline.children[0];
    if (!this.#isFromServer(skipped.outline) || !(inside instanceof Element)) return false;
    if (!inside.is('d', NS_ATTACH)) return false;
    this.#arrivals.take(readSkipped(inside, this.#host, skipped));
    return true;
  }

  /** From its host to the component itself, and no error: one of those holds what somebody else had sent. */
  #isFromServer({ attrs: { from, to, type } }: Element): boolean {
    return from === this.#host && to === this.#component.domain && type !== 'error';
  }

  #sendAck(epoch: string, h: number): void {
    this.#component.ask(this.#host, 'set', tag('a', { xmlns: NS_ATTACH, epoch, h }), (answer) => {
      if (answer === 'lost' || (answer !== 'timeout' && answer.attrs.type === 'result')) return;
      this.#component.drop(answer === 'timeout' ? 'an ack was not answered' : 'an ack was refused');
    });
  }
}

function readSent(answer: Answer): SendResult {
  return typeof answer === 'string' ? { kind: 'lost' } : sendResultOf(answer);
}

function readAttached(result: Element | undefined): Attached {
  const { jid, resumed, condition = 'undefined-condition', type = 'wait', text = '' } = result?.attrs ?? {};
  if (result?.is('attached', NS_ATTACH) && jid) return { kind: 'attached', jid: alone(jid), resumed: resumed === '1' };
  return { kind: type === 'wait' ? 'wait' : 'refused', condition, text };
}

function count(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
