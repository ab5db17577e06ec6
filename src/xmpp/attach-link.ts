// The gateway's half of the attach protocol (docs/attach-protocol.md, DESIGN §4) for one server host over one component.

import { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { AckWindow } from './ack-window.ts';
import { type Arriving, readEnvelope, readSkipped } from './attach-envelope.ts';
import type { Answer, Component } from './component.ts';
import { NS_ATTACH } from './namespaces.ts';
import type { Arrival, Position, SendResult, StanzaHandler } from './session.ts';
import { childOf, elementsOf } from './stanza.ts';
import { readError, refusalOf, type StanzaError, sendResultOf } from './stanza-error.ts';
import type { Skipped } from './xml-reader.ts';
import { forEnvelope, tag } from './xml-writer.ts';

export interface AttachLinkOptions {
  component: Component;
  /** The server host: prepared. */
  host: string;
  log: Log;
  clock: Clock;
  /** Where the ledger stands on this link; absent the first time. */
  from?: { epoch: string; h: number };
}

export interface LinkUp {
  /** Same epoch as before: sessions are alive, and what was not acked comes again. Else all sessions are gone. */
  resumed: boolean;
  epoch: string;
  /** How many sessions the server holds for us. */
  sessions: number;
}

/** A stanza that was not taken over: over a limit, or nothing that can be handed on. Its refusal is to be recorded, then acked. */
export interface SkippedArrival {
  /** Prepared bare JID; the server's host where the envelope has no valid address. */
  user: string;
  position: Position;
  /** The inner stanza's, where they were read. */
  name?: string;
  from?: string;
  id?: string;
  bytes: number;
  reason: Skipped['reason'] | 'malformed' | 'fault';
}

export interface AttachRequest {
  /** Local part. */
  user: string;
  resource: string;
  carbons: boolean;
  /** The session's first presence: a finished stanza. */
  presence?: string;
}

type No = { kind: 'refused' | 'wait'; condition: string; text: string };
/** `jid` is what the server gave, which may not be what was asked for. */
export type Attached = { kind: 'attached'; jid: string } | No | { kind: 'lost' };
/** `returned`: how many stanzas with n > h the server took back. */
export type Detached = { kind: 'detached'; epoch: string; h: number; returned: number } | No | { kind: 'lost' };

const version = '1';
/** A server without the module may get it any time; asking is cheap. */
const askAgainMs = 60_000;

const hints: Record<string, string> = {
  'service-unavailable': 'load crossfade_attach on the VirtualHost of the server',
  'feature-not-implemented': 'load crossfade_attach on the VirtualHost of the server',
  forbidden: 'name this component in crossfade_components on the server',
};

export class AttachLink {
  /** Names the link in the ledger. */
  readonly name: string;
  onUp: (up: LinkUp) => void = () => {};
  onDown: () => void = () => {};
  /** The stanza is alone (parent null), its root without `xmlns`: `getNS()` gives undefined and means jabber:client. */
  onStanza: StanzaHandler = () => {};
  onSkipped: (skipped: SkippedArrival, accepted: () => void) => void = () => {};
  onDetached: (detached: { jid: string; reason: string; h: number }) => void = () => {};
  readonly #component: Component;
  readonly #host: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #leave: () => void;
  #epoch: string | undefined;
  #window: AckWindow;
  #up = false;
  #left = false;
  #expected = 1;
  #ackDue = false;
  #askAgain: Timer | null = null;

  constructor(options: AttachLinkOptions) {
    this.#component = options.component;
    this.#host = options.host;
    this.#log = options.log;
    this.#clock = options.clock;
    this.name = `${options.component.domain}/${options.host}`;
    this.#epoch = options.from?.epoch;
    this.#window = new AckWindow(options.from?.h ?? 0);
    this.#leave = this.#component.add({
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

  /** '' before the first welcome. */
  get epoch(): string {
    return this.#epoch ?? '';
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
  giveBack({
    to,
    key,
    stamp,
    stanza,
  }: {
    to: string;
    key: string;
    stamp: string;
    stanza: string;
  }): Promise<SendResult> {
    return this.#ask(tag('return', { xmlns: NS_ATTACH, to, key, stamp }, forEnvelope(stanza)), (answer) => {
      if (typeof answer === 'string') return { kind: 'lost' };
      return answer.attrs.type === 'result' ? { kind: 'processed' } : refusalOf(readError(answer));
    });
  }

  /** Ends a session; all that is accepted until now is acked in the same write, so that the server takes back no more than it must. */
  detach(jid: string): Promise<Detached> {
    if (this.#ackDue) this.#writeAck();
    return this.#ask(tag('detach', { xmlns: NS_ATTACH, jid }), (answer): Detached => {
      if (typeof answer === 'string') return { kind: 'lost' };
      const detached = childOf(answer, 'detached', NS_ATTACH);
      if (answer.attrs.type === 'error' || detached === undefined) return refusalOf(readError(answer));
      return {
        kind: 'detached',
        epoch: this.epoch,
        h: count(detached.attrs.h),
        returned: count(detached.attrs.returned),
      };
    });
  }

  /** Lets go of the component; the server keeps the sessions until its resume timeout. */
  closeLink(): void {
    if (this.#ackDue) this.#writeAck();
    this.#left = true;
    this.#leave();
    this.#down();
  }

  #hello(): void {
    const epoch = this.#epoch;
    const h = epoch === undefined ? undefined : this.#window.h;
    const hello = tag('hello', { xmlns: NS_ATTACH, v: version, epoch, h });
    this.#component.ask(this.#host, 'set', hello, (answer) => {
      if (answer === 'lost' || this.#left) return;
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
    const resumed = epoch === this.#epoch;
    const h = resumed && attrs.h === undefined ? this.#window.h : count(attrs.h);
    if (!resumed) this.#window = new AckWindow(h);
    this.#window.acceptAll(h);
    this.#epoch = epoch;
    this.#expected = h + 1;
    this.#up = true;
    if (this.#window.h > h) this.#ackSoon();
    this.#log.info({ event: 'attach.up', link: this.name, resumed, epoch, h, sessions: count(attrs.sessions) });
    this.onUp({ resumed, epoch, sessions: count(attrs.sessions) });
  }

  /** Own-domain addresses work without the module; so the connection stays, and hello is tried again after a while. */
  #refused({ condition, text }: StanzaError): void {
    const hint = hints[condition] ?? 'look into the log of the server';
    this.#log.error(
      { event: 'attach.refused', link: this.name, condition, text, hint },
      `attach refused: ${condition}; ${hint}`,
    );
    this.#askAgain = this.#clock.after(askAgainMs, () => this.#hello());
  }

  #down(): void {
    this.#askAgain?.cancel();
    this.#ackDue = false;
    if (!this.#up) return;
    this.#up = false;
    this.onDown();
  }

  /** The answer read at its place in the stream. An unanswered iq ends the connection: what it was comes again with its key. */
  #ask<T>(payload: string, read: (answer: Answer) => T): Promise<T> {
    return new Promise((resolve) => {
      if (!this.#up) {
        resolve(read('lost'));
        return;
      }
      this.#component.ask(this.#host, 'set', payload, (answer) => {
        resolve(read(answer));
        if (answer === 'timeout') this.#component.drop('an iq of the attach protocol was not answered');
      });
    });
  }

  #takes(stanza: Element): boolean {
    if (stanza.name !== 'message' || stanza.attrs.from !== this.#host) return false;
    const inside = stanza.children[0];
    if (!(inside instanceof Element) || inside.attrs.xmlns !== NS_ATTACH) return false;
    if (inside.name === 'd') this.#arrive(readEnvelope(inside, this.#host));
    else if (inside.name === 'detached') {
      const { jid = '', reason = '', h } = inside.attrs;
      this.onDetached({ jid, reason, h: count(h) });
    }
    return true;
  }

  #takesSkipped(skipped: Skipped): boolean {
    const inside = skipped.outline.children[0];
    if (skipped.outline.attrs.from !== this.#host || !(inside instanceof Element)) return false;
    if (!inside.is('d', NS_ATTACH)) return false;
    this.#arrive(readSkipped(inside, this.#host, skipped));
    return true;
  }

  #arrive({ epoch, n, user, content }: Arriving): void {
    // Before the welcome nothing has a place; it comes again after it.
    if (!this.#up || !this.#counts(epoch, n)) return;
    const window = this.#window;
    if (window.has(n)) return;
    const accepted = () => {
      if (window.accept(n) && window === this.#window) this.#ackSoon();
    };
    const position: Position = { link: this.name, epoch, n };
    if (content.kind === 'hole') accepted();
    else if (content.kind === 'skipped') this.onSkipped({ ...content.what, user, position }, accepted);
    else this.#hand(content.stanza, { ...content.arrival, user, position }, accepted);
  }

  /** A handler that throws has not taken the stanza; it must not block the link, so it counts as refused. */
  #hand(stanza: Element, arrival: Arrival & { position: Position }, accepted: () => void): void {
    try {
      this.onStanza(stanza, arrival, accepted);
    } catch (fault) {
      this.#log.error({ event: 'attach.fault', link: this.name, n: arrival.position.n, fault: String(fault) });
      const { from, id } = stanza.attrs;
      const { user, position } = arrival;
      this.onSkipped({ user, position, name: stanza.name, from, id, bytes: 0, reason: 'fault' }, accepted);
    }
  }

  /** Is this the number that comes next? If not, something is lost: only a new connection gets it again. */
  #counts(epoch: string, n: number): boolean {
    if (epoch !== this.#epoch || n !== this.#expected) {
      const gap = { event: 'attach.gap', link: this.name, epoch, n, expected: this.#expected };
      this.#log.error(gap, 'the numbers of the server do not follow each other');
      this.#component.drop('a gap in the attach link');
      return false;
    }
    this.#expected = n + 1;
    return true;
  }

  #ackSoon(): void {
    if (this.#ackDue || !this.#up) return;
    this.#ackDue = true;
    setImmediate(() => {
      if (this.#ackDue) this.#writeAck();
    });
  }

  #writeAck(): void {
    this.#ackDue = false;
    const ack = tag('a', { xmlns: NS_ATTACH, epoch: this.#epoch, h: this.#window.h });
    this.#component.ask(this.#host, 'set', ack, (answer) => {
      if (answer === 'lost' || (answer !== 'timeout' && answer.attrs.type === 'result')) return;
      this.#component.drop(answer === 'timeout' ? 'an ack was not answered' : 'an ack was refused');
    });
  }
}

function readSent(answer: Answer): SendResult {
  return typeof answer === 'string' ? { kind: 'lost' } : sendResultOf(answer);
}

function readAttached(result: Element | undefined): Attached {
  const { jid, condition = 'undefined-condition', type = 'wait', text = '' } = result?.attrs ?? {};
  if (result?.is('attached', NS_ATTACH) && jid) return { kind: 'attached', jid };
  return { kind: type === 'wait' ? 'wait' : 'refused', condition, text };
}

function count(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
