// One XEP-0114 stream from connect to close, on @xmpp/component.
//
// component() also brings middleware, iq caller and callee and reconnect; each is no more than listeners on the entity, so
// taking those off leaves the bare connection. An entity is used once and thrown away: nothing of a broken stream lives on in the next.
// What it would do by itself when a stream breaks (close slowly, follow see-other-host, throw at late data) is replaced here.

import { component, type Entity } from '@xmpp/component';
import type { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import { NS_STREAM_ERRORS } from './namespaces.ts';
import { elementsOf } from './stanza.ts';
import type { ReaderLimits, Skipped } from './stanza-limits.ts';
import { XmlFault, XmlReader } from './xml-reader.ts';
import { tag } from './xml-writer.ts';

export interface StreamTarget {
  /** Where the component port is: a host name or address. */
  host: string;
  port: number;
  /** The component's own domain. */
  domain: string;
  secret: string;
}

export interface StreamListener {
  /** The handshake is accepted. Stanzas may follow before this returns to the event loop. */
  onOnline(): void;
  onElement(element: Element): void;
  onSkipped(skipped: Skipped): void;
  /** Once, whatever ended it. `refused`: the server does not accept the secret. */
  onClosed(reason: string, refused: boolean): void;
}

/** From our end until the connection is closed, whatever still comes. */
const goodbyeMaxMs = 6000;
/** Characters of one read from the socket that show that more is waiting. */
const largePiece = 16_384;

/** Opens a stream when made. Never throws; everything is told to the listener. */
export class ComponentStream {
  readonly #entity: Entity;
  readonly #clock: Clock;
  readonly #listener: StreamListener;
  readonly #goodbyeMs: number;
  #closed = false;
  #ending = false;
  #online = false;
  #paused = false;
  #deadline: Timer;
  #gone: Promise<void> | null = null;
  #whenGone = () => {};

  /** `openMs`: for connecting and the server's header; `handshakeMs`: for its answer to the handshake; `goodbyeMs`: of silence, before its end. */
  constructor(
    target: StreamTarget,
    timing: { openMs: number; handshakeMs: number; goodbyeMs: number },
    limits: Partial<ReaderLimits>,
    clock: Clock,
    listener: StreamListener,
  ) {
    this.#clock = clock;
    this.#listener = listener;
    this.#goodbyeMs = timing.goodbyeMs;
    this.#deadline = clock.after(timing.openMs, () => this.close('the server does not answer'));
    const { host, port, domain, secret } = target;
    const entity = component({ service: 'xmpp://component', domain, password: secret });
    entity.removeAllListeners();
    entity.socketParameters = () => ({ host, port });
    entity.timeout = timing.openMs + timing.handshakeMs;
    this.#entity = entity;
    this.#replace(limits);
    this.#listen();
    this.#shakeHands(target, timing.handshakeMs).catch((fault: unknown) => {
      this.close(fault instanceof Error ? fault.message : String(fault));
    });
  }

  /** Hands these pieces to the kernel, all at once; only between onOnline and onClosed. */
  write(...pieces: (Buffer | string)[]): void {
    const { socket } = this.#entity;
    socket?.cork();
    for (const piece of pieces) socket?.write(piece);
    socket?.uncork();
  }

  pause(): void {
    this.#paused = true;
    this.#entity.socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#entity.socket?.resume();
  }

  /**
   * Under load the kernel has more at once than the event loop should be kept from its other work for: commits, PUBACKs.
   * So after each large piece the others have their turn.
   */
  #giveWay(): void {
    this.#entity.socket?.pause();
    setImmediate(() => {
      if (!this.#paused && !this.#closed) this.#entity.socket?.resume();
    });
  }

  /** Destroys the socket; onClosed is called before this returns. */
  close(reason: string, refused = false): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline.cancel();
    const { socket } = this.#entity;
    // Lets go the promises of connect, open and authenticate, and their timers.
    this.#entity.emit('error', new Error(reason));
    socket?.destroy(new Error(reason));
    this.#whenGone();
    this.#listener.onClosed(reason, refused);
  }

  /**
   * Ends the stream in order (RFC 6120 §4.4): the connection is the server's to close. Prosody 0.12.3 throws away what it has not written yet
   * when the end of the connection comes with that of the stream. A server that does not close is left after a time of silence.
   */
  end(): Promise<void> {
    this.#gone ??= this.#end();
    return this.#gone;
  }

  #end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) {
        resolve();
        return;
      }
      const limit = this.#clock.after(goodbyeMaxMs, () => this.close('stopped'));
      this.#whenGone = () => {
        limit.cancel();
        resolve();
      };
      if (this.#online) {
        this.#ending = true;
        this.#awaitEnd();
        this.write('</stream:stream>');
      } else this.close('stopped');
    });
  }

  #awaitEnd(): void {
    this.#deadline.cancel();
    this.#deadline = this.#clock.after(this.#goodbyeMs, () => this.close('stopped'));
  }

  async #shakeHands({ domain, secret }: StreamTarget, handshakeMs: number): Promise<void> {
    const entity = this.#entity;
    await entity.connect('');
    const root = await entity.open({ domain });
    if (this.#closed) return;
    this.#deadline.cancel();
    this.#deadline = this.#clock.after(handshakeMs, () => this.close('the server does not answer the handshake'));
    await entity.authenticate(root.attrs.id ?? '', secret);
  }

  #listen(): void {
    const entity = this.#entity;
    entity.on('connect', () => {
      // A character cut by a chunk border stays whole.
      entity.socket?.setEncoding('utf8');
      entity.socket?.setNoDelay(true);
    });
    entity.on('error', (error: Error) => this.close(error.message));
    entity.on('close', () => this.close('the server closed the stream'));
    entity.on('disconnect', () => this.close('the connection is gone'));
    entity.on('element', (element: Element) => this.#take(element));
  }

  /** The handshake counts at once, not when @xmpp/component's promise comes round: stanzas may follow it in the same chunk. */
  #take(element: Element): void {
    if (this.#closed) return;
    if (this.#online) {
      this.#listener.onElement(element);
    } else if (element.name === 'handshake') {
      this.#online = true;
      this.#deadline.cancel();
      this.#listener.onOnline();
    }
  }

  #replace(limits: Partial<ReaderLimits>): void {
    const entity = this.#entity;
    const onSkipped = (skipped: Skipped) => {
      if (!this.#closed) this.#listener.onSkipped(skipped);
    };
    entity.Parser = class extends XmlReader {
      constructor() {
        super(limits);
        this.on('skipped', onSkipped);
      }
    };
    entity._onData = (data) => {
      if (this.#closed) return;
      if (this.#ending) this.#awaitEnd();
      try {
        entity.parser?.write(data);
        if (data.length >= largePiece) this.#giveWay();
      } catch (fault) {
        this.close(`a fault of our own: ${String(fault)}`);
      }
    };
    entity._onParserError = (fault) => {
      const condition = fault instanceof XmlFault ? fault.condition : 'bad-format';
      this.write(`${tag('stream:error', {}, tag(condition, { xmlns: NS_STREAM_ERRORS }))}</stream:stream>`);
      this.close(`what the server sent is refused: ${fault.message}`);
    };
    entity._onStreamError = (element) => {
      const { condition, text } = readStreamError(element);
      this.close(text === '' ? condition : `${condition} (${text})`, condition === 'not-authorized' && !this.#online);
    };
    entity._end = async () => {};
  }
}

function readStreamError(element: Element): { condition: string; text: string } {
  const parts = elementsOf(element).filter((part) => part.attrs.xmlns === NS_STREAM_ERRORS);
  const text = parts.find((part) => part.name === 'text')?.getText() ?? '';
  return { condition: parts.find((part) => part.name !== 'text')?.name ?? 'undefined-condition', text };
}
