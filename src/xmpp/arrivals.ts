// What comes over a link: each stanza in its turn, once, and acknowledged when it is accepted (docs/attach-protocol.md, XEP-0198).

import type { Element } from 'ltx';
import type { Log } from '../log.ts';
import { AckWindow } from './ack-window.ts';
import type { Arriving, SkippedContent } from './attach-envelope.ts';
import type { Arrival, Position, StanzaHandler } from './session.ts';

/**
 * A stanza that was not taken over: over a limit, or nothing that can be handed on. Its refusal is to be recorded, then acked.
 * Without `from` there is nobody to answer: that part was not read, and its `type` neither.
 */
export interface SkippedArrival extends Omit<SkippedContent, 'reason'> {
  /** Prepared bare JID; the server's host where the envelope has no valid address. */
  user: string;
  position: Position;
  reason: SkippedContent['reason'] | 'fault';
}

export type SkippedHandler = (skipped: SkippedArrival, accepted: () => void) => void;

/** Copies for the observer of this user (a prepared bare JID) did not fit into the server's queue: only its archive has them. */
export type MissedHandler = (user: string, accepted: () => void) => void;

/** The link, as its arrivals see it. */
export interface ArrivalsLink {
  readonly name: string;
  readonly onStanza: StanzaHandler;
  readonly onSkipped: SkippedHandler;
  readonly onMissed: MissedHandler;
}

export interface ArrivalsOptions {
  link: ArrivalsLink;
  log: Log;
  from?: { epoch: string; h: number };
  sendAck: (epoch: string, h: number) => void;
  /** Something is lost: only a new connection gets it again. */
  drop: (reason: string) => void;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  #epoch: string | undefined;
  #window: AckWindow;
  #open = false;
  #expected = 1;
  #ackDue = false;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#epoch = options.from?.epoch;
    this.#window = new AckWindow(options.from?.h ?? 0);
  }

  /** Undefined before the first welcome. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** Up to here all is accepted. */
  get h(): number {
    return this.#window.h;
  }

  /** The server has welcomed us, and what comes next has the number `h` + 1. Another epoch begins from nothing. */
  open(epoch: string, h: number): void {
    if (epoch !== this.#epoch) this.#window = new AckWindow(h);
    this.#window.acceptAll(h);
    this.#epoch = epoch;
    this.#expected = h + 1;
    this.#open = true;
    if (this.#window.h > h) this.#ackSoon();
  }

  /** The connection is gone. What is accepted from now on the next hello says. */
  close(): void {
    this.#open = false;
    this.#ackDue = false;
  }

  /** Sends now what would be acked at the end of this turn. */
  ackNow(): void {
    if (!this.#ackDue) return;
    this.#ackDue = false;
    this.#options.sendAck(this.#epoch ?? '', this.#window.h);
  }

  take({ epoch, n, user, content }: Arriving): void {
    // Before the welcome nothing has a place; it comes again after it.
    if (!this.#open || !this.#counts(epoch, n)) return;
    const window = this.#window;
    if (window.has(n)) return;
    const accepted = () => {
      if (window.accept(n) && window === this.#window) this.#ackSoon();
    };
    const { link } = this.#options;
    const position: Position = { link: link.name, epoch, n };
    if (content.kind === 'hole') accepted();
    else if (content.kind === 'missed') link.onMissed(user, accepted);
    else if (content.kind === 'skipped') link.onSkipped({ ...content.what, user, position }, accepted);
    else this.#hand(content.stanza, { ...content.arrival, user, position }, accepted);
  }

  /** A handler that throws has not taken the stanza; it must not block the link, so it counts as refused. */
  #hand(stanza: Element, arrival: Arrival & { position: Position }, accepted: () => void): void {
    const { link, log } = this.#options;
    try {
      link.onStanza(stanza, arrival, accepted);
    } catch (fault) {
      log.error({ event: 'attach.fault', link: link.name, n: arrival.position.n, fault: String(fault) });
      const { from, to, id, type } = stanza.attrs;
      const { user, position, dir } = arrival;
      const skipped = {
        user,
        position,
        name: stanza.name,
        from,
        to,
        id,
        type,
        dir,
        bytes: 0,
        reason: 'fault',
      } as const;
      link.onSkipped(skipped, accepted);
    }
  }

  /** Is this the number that comes next? */
  #counts(epoch: string, n: number): boolean {
    if (epoch !== this.#epoch || n !== this.#expected) {
      const { link, log, drop } = this.#options;
      const gap = { event: 'attach.gap', link: link.name, epoch, n, expected: this.#expected };
      log.error(gap, 'the numbers of the server do not follow each other');
      drop('a gap in the attach link');
      return false;
    }
    this.#expected = n + 1;
    return true;
  }

  #ackSoon(): void {
    if (this.#ackDue || !this.#open) return;
    this.#ackDue = true;
    setImmediate(() => this.ackNow());
  }
}
