// One client's stream (RFC 6120) from connect to close: TLS, SASL, and then whatever is on it. What a broken one knew is gone with it.

import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { domainToASCII } from 'node:url';
import type { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import { NS_CLIENT, NS_SASL, NS_STREAM_ERRORS, NS_STREAMS, NS_TLS } from './namespaces.ts';
import { type Credential, chooseMechanism, type Mechanism } from './sasl.ts';
import { childOf, elementsOf } from './stanza.ts';
import type { ReaderLimits, Skipped } from './stanza-limits.ts';
import { TagForms } from './tag-forms.ts';
import { XmlFault, XmlReader } from './xml-reader.ts';
import { tag } from './xml-writer.ts';

export interface ClientTarget {
  host: string;
  port: number;
  /** The users' domain, for which the certificate must be. */
  domain: string;
  /** `none` is for loopback: neither encrypted nor verified. */
  security: 'starttls' | 'direct' | 'none';
  /** Authorities to trust instead of the system's, PEM. */
  ca?: string;
}

/** What ended a stream. `unreachable`: there was no XMPP server; `insecure`: TLS; `auth`: the credential. */
export interface Closed {
  by: 'us' | 'unreachable' | 'insecure' | 'auth' | 'stream-error' | 'connection';
  condition: string;
  text: string;
}

export interface ClientListener {
  /** The server's features; with a credential those behind the login, else the last before it. */
  onFeatures(features: Element): void;
  onElement(element: Element): void;
  onSkipped(skipped: Skipped): void;
  /** Once, whatever ended it. */
  onClosed(closed: Closed): void;
}

export interface ClientStreamOptions {
  target: ClientTarget;
  /** Absent: nobody logs in. */
  login?: { user: string; credential: Credential };
  limits: Partial<ReaderLimits>;
  clock: Clock;
}

const openMs = 15_000;
/** Of all client streams: they speak with one server, and what each would remember by itself is as large as the rest of it. */
const forms = new TagForms();

/** About options of its own, where `caFile` is the one. */
const nodesAdvice = /; if the root CA is installed locally.*/;

/** Opens when made. Never throws; everything is told to the listener. */
export class ClientStream {
  readonly #options: ClientStreamOptions;
  readonly #listener: ClientListener;
  #socket: Socket;
  #reader!: XmlReader;
  #deadline: Timer;
  #mechanism: Mechanism | null = null;
  #stage: 'features' | 'proceed' | 'handshake' | 'sasl' | 'open' = 'features';
  #isSecure = false;
  #isLoggedIn = false;
  #isReached = false;
  #isClosed = false;
  #isPaused = false;

  constructor(options: ClientStreamOptions, listener: ClientListener) {
    this.#options = options;
    this.#listener = listener;
    const { host, port, security } = options.target;
    this.#deadline = options.clock.after(openMs, () =>
      this.#close(this.#isReached ? 'connection' : 'unreachable', 'timeout', 'the server does not answer'),
    );
    this.#socket =
      security === 'direct'
        ? connectTls({ host, port, ALPNProtocols: ['xmpp-client'], ...this.#tls() }, () => this.#encrypted())
        : connect({ host, port, noDelay: true }, () => this.#begin());
    this.#hear(security === 'direct' ? 'insecure' : 'unreachable');
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  write(text: string): void {
    if (!this.#isClosed) this.#socket.write(text);
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** The session is negotiated: it may be silent from now on. */
  settle(): void {
    this.#deadline.cancel();
  }

  /** Ends the connection at once; the server keeps a session that can be resumed. */
  drop(text: string): void {
    this.#close('us', 'dropped', text);
  }

  /** Ends the stream, and the session with it; what is written goes out first. */
  end(): void {
    if (this.#isClosed) return;
    this.#socket.end('</stream:stream>');
    this.#close('us', 'ended', 'ended');
  }

  #tls(): ConnectionOptions {
    const { domain, ca } = this.#options.target;
    // Certificates and SNI have A-labels (RFC 6125 §6.4.2).
    return { servername: domainToASCII(domain) || domain, ca };
  }

  #hear(by: Closed['by']): void {
    const socket = this.#socket;
    socket.on('error', (error: NodeJS.ErrnoException) =>
      this.#close(
        this.#isReached && (by !== 'insecure' || this.#isSecure) ? 'connection' : reasonOf(error, by),
        error.code ?? 'error',
        error.message.replace(nodesAdvice, ''),
      ),
    );
    socket.on('close', () => {
      if (socket === this.#socket)
        this.#close(this.#isReached ? 'connection' : 'unreachable', 'closed', 'the connection is gone');
    });
  }

  #encrypted(): void {
    this.#isSecure = true;
    this.#begin();
  }

  /** A stream begins: the first, the one inside TLS, the one behind the login. */
  #begin(): void {
    const decoder = new StringDecoder('utf8');
    const reader = new XmlReader(this.#options.limits, 'stream', forms);
    this.#reader = reader;
    this.#stage = 'features';
    reader.on('element', (element: Element) => this.#guard(() => this.#take(element)));
    reader.on('skipped', (skipped: Skipped) => this.#guard(() => this.#listener.onSkipped(skipped)));
    reader.on('end', () => this.#close('connection', 'closed', 'the server closed the stream'));
    reader.on('error', (fault: Error) => this.#fail(fault));
    this.#socket.removeAllListeners('data');
    this.#socket.on('data', (data: Buffer) => {
      // One that a restart has left behind is fed no more.
      if (!this.#isClosed && this.#reader === reader) this.#guard(() => reader.write(decoder.write(data)));
    });
    const { domain } = this.#options.target;
    const header = tag('stream:stream', { to: domain, version: '1.0', xmlns: NS_CLIENT, 'xmlns:stream': NS_STREAMS });
    this.write(`<?xml version='1.0'?>${header.replace('/>', '>')}`);
  }

  #guard(task: () => void): void {
    try {
      if (!this.#isClosed) task();
    } catch (fault) {
      this.#close('connection', 'internal-server-error', `a fault of our own: ${String(fault)}`);
    }
  }

  #fail(fault: Error): void {
    const condition = fault instanceof XmlFault ? fault.condition : 'bad-format';
    this.write(`${tag('stream:error', {}, tag(condition, { xmlns: NS_STREAM_ERRORS }))}</stream:stream>`);
    this.#close(
      this.#isReached ? 'connection' : 'unreachable',
      condition,
      `what the server sent is refused: ${fault.message}`,
    );
  }

  #take(element: Element): void {
    const { name, attrs } = element;
    if (name === 'error' && attrs.xmlns === NS_STREAMS) this.#streamError(element);
    else if (name === 'features' && attrs.xmlns === NS_STREAMS && this.#stage === 'features') this.#features(element);
    else if (attrs.xmlns === NS_TLS && this.#stage === 'proceed') this.#upgrade(name);
    else if (attrs.xmlns === NS_SASL && this.#stage === 'sasl') this.#sasl(element);
    else if (this.#stage === 'open') this.#listener.onElement(element);
  }

  #features(features: Element): void {
    const { target, login } = this.#options;
    this.#isReached = true;
    if (!this.#isSecure && target.security === 'starttls') {
      if (!childOf(features, 'starttls', NS_TLS))
        return this.#close('insecure', 'policy-violation', 'the server offers no TLS (STARTTLS)');
      this.#stage = 'proceed';
      return this.write(tag('starttls', { xmlns: NS_TLS }));
    }
    if (login && !this.#isLoggedIn) return this.#logIn(features, login);
    this.#stage = 'open';
    this.#listener.onFeatures(features);
  }

  #upgrade(name: string): void {
    if (name !== 'proceed') return this.#close('insecure', 'policy-violation', 'the server refuses TLS');
    // What else came in the clear counts for nothing, another of the same neither.
    this.#stage = 'handshake';
    const plain = this.#socket;
    plain.removeAllListeners('data');
    this.#socket = connectTls({ socket: plain, ...this.#tls() }, () => this.#encrypted());
    this.#hear('insecure');
    if (this.#isPaused) this.#socket.pause();
  }

  #logIn(features: Element, { user, credential }: NonNullable<ClientStreamOptions['login']>): void {
    const offered = elementsOf(childOf(features, 'mechanisms', NS_SASL) ?? features).map((one) => one.getText());
    const mechanism = chooseMechanism(offered, user, credential, this.#isSecure);
    if (!mechanism) {
      const wanted = 'token' in credential ? 'a token (X-OAUTH2)' : 'a password';
      const text = `the server offers no login for ${wanted}, only: ${offered.join(', ') || 'none'}`;
      return this.#close('auth', 'invalid-mechanism', text);
    }
    this.#mechanism = mechanism;
    this.#stage = 'sasl';
    // An empty one would have to be `=` (RFC 6120 §6.4.2); no mechanism here begins so.
    this.write(tag('auth', { xmlns: NS_SASL, mechanism: mechanism.name }, base64(mechanism.first())));
  }

  #sasl(element: Element): void {
    const text = Buffer.from(element.getText(), 'base64').toString();
    const mechanism = this.#mechanism!;
    if (element.name === 'challenge') {
      mechanism.answer(text).then(
        (response) => this.write(tag('response', { xmlns: NS_SASL }, base64(response))),
        (fault: Error) => this.#close('auth', 'malformed-request', fault.message),
      );
    } else if (element.name === 'success') {
      if (!mechanism.isProved(text))
        return this.#close('insecure', 'not-authorized', 'the server does not prove that it knows the account');
      this.#isLoggedIn = true;
      this.#begin();
    } else {
      const parts = elementsOf(element);
      const said = parts.find(({ name }) => name === 'text')?.getText() ?? '';
      this.#close('auth', parts.find(({ name }) => name !== 'text')?.name ?? 'not-authorized', said);
    }
  }

  #streamError(element: Element): void {
    const parts = elementsOf(element).filter((part) => part.attrs.xmlns === NS_STREAM_ERRORS);
    const condition = parts.find((part) => part.name !== 'text')?.name ?? 'undefined-condition';
    this.#close('stream-error', condition, parts.find((part) => part.name === 'text')?.getText() ?? '');
  }

  #close(by: Closed['by'], condition: string, text: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadline.cancel();
    // What `end` has written still goes out.
    if (condition === 'ended') this.#options.clock.after(1_000, () => this.#socket.destroy());
    else this.#socket.destroy();
    this.#listener.onClosed({ by, condition, text });
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Before the handshake is done it is the network; a certificate that does not fit is not. */
function reasonOf({ code = '' }: NodeJS.ErrnoException, by: Closed['by']): Closed['by'] {
  return by === 'insecure' && /^(ECONN|EHOST|ENET|ETIMEDOUT|ENOTFOUND|EAI_)/.test(code) ? 'unreachable' : by;
}
