// What a client session is sent: counted (XEP-0198), and acknowledged as the ledger accepts.

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Arrivals } from './arrivals.ts';
import type { Link } from './link.ts';
import { NS_SM } from './namespaces.ts';
import type { SessionMemory } from './session-memory.ts';
import { onWire } from './stream-count.ts';
import { tag } from './xml-writer.ts';

export interface IncomingParts {
  /** Bare JID. */
  user: string;
  link: string;
  memory: Pick<SessionMemory, 'read'>;
  events: Pick<Link, 'onStanza' | 'onSkipped' | 'onMissed'>;
  isClosed: () => boolean;
  write: (text: string) => void;
  drop: (reason: string) => void;
  /** The ledger does not keep what was read. */
  fault: (fault: unknown) => void;
  clock: Clock;
  log: Log;
}

/** So many stanzas are read without being acknowledged, if the server does not ask. */
const maxUnasked = 32;
const finishMs = 30_000;
/** At a stop, for a disk that does not take what would be acknowledged: then it comes again. */
const stopMs = 1_000;

export class Incoming {
  readonly #parts: IncomingParts;
  readonly #arrivals: Arrivals;
  #epoch = '';
  #isNew = true;
  #received = 0;
  /** Up to here the server was told; and it waits for more. */
  #acked = 0;
  #isOwed = false;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    const { link, events, drop, log } = parts;
    this.#arrivals = new Arrivals({
      link: {
        name: link,
        onStanza: (stanza, arrival, accepted) => {
          const position = arrival.position && { ...arrival.position, isNew: this.#isNew };
          events.onStanza(stanza, { ...arrival, position }, accepted);
        },
        onSkipped: (skipped, accepted) => events.onSkipped(skipped, accepted),
        onMissed: (who, accepted) => events.onMissed(who, accepted),
      },
      ...{ log, drop },
      sendAck: (_, h) => this.#accepted(h),
    });
  }

  /** The session stands on the server: from now on what comes is counted. */
  get isCounted(): boolean {
    return this.#epoch !== '';
  }

  /** `received`: so many stanzas have come in connections before. */
  begin(epoch: string, received: number, isNew: boolean): void {
    this.#epoch = epoch;
    this.#isNew = isNew;
    this.#received = this.#acked = received;
    this.#arrivals.open(epoch, received);
  }

  /** What follows comes to a session that is made. */
  isMade(): void {
    this.#isNew = false;
  }

  take(content: Parameters<Arrivals['take']>[0]['content']): void {
    this.#arrivals.take({ epoch: this.#epoch, n: ++this.#received, user: this.#parts.user, content });
  }

  /** The server wants to know. */
  asked(): void {
    this.#isOwed = this.#acked < this.#received;
    // It has all that it can have now; what is not on disk yet it is told when it is.
    if (this.#arrivals.h <= this.#acked) this.#tell(this.#acked);
    else this.#acknowledgeSoon(this.#arrivals.h);
  }

  /** Resolves when all that has come is accepted and acknowledged; false where that does not come about. */
  async finish(): Promise<boolean> {
    const { clock, isClosed } = this.#parts;
    for (const since = clock.now(); this.#acked < this.#received; ) {
      if (isClosed() || clock.now() - since > finishMs) return false;
      this.#isOwed = true;
      this.#accepted(this.#arrivals.h);
      await new Promise<void>((resolve) => clock.after(10, resolve));
    }
    return true;
  }

  /** Acknowledges what is accepted now. */
  async stop(): Promise<void> {
    const { h } = this.#arrivals;
    if (h <= this.#acked) return;
    const acknowledged = this.#acknowledge(h).catch(() => {});
    await Promise.race([acknowledged, new Promise<void>((resolve) => this.#parts.clock.after(stopMs, resolve))]);
  }

  /** The connection is gone. */
  close(): void {
    this.#arrivals.close();
  }

  #accepted(h: number): void {
    if (h > this.#acked && (this.#isOwed || h - this.#acked >= maxUnasked)) this.#acknowledgeSoon(h);
  }

  #acknowledgeSoon(h: number): void {
    this.#acknowledge(h).catch(this.#parts.fault);
  }

  /** What is no entry is written down as read first: the server refuses an h that goes back. */
  async #acknowledge(h: number): Promise<void> {
    const { memory, link, isClosed } = this.#parts;
    await memory.read(link, this.#epoch, h);
    if (h <= this.#acked || isClosed()) return;
    this.#acked = h;
    if (h === this.#received) this.#isOwed = false;
    this.#tell(h);
  }

  #tell(h: number): void {
    this.#parts.write(tag('a', { xmlns: NS_SM, h: onWire(h) }));
  }
}
