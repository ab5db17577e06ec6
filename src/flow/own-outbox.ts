// What the gateway itself sends in the names of the component's own domain, presence and answers: in order, a bounded part of it
// unanswered, and a later word to the same address in the place of an earlier one.

import type { Element } from 'ltx';
import type { Metrics } from '../metrics.ts';
import type { Session } from '../xmpp/session.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

/** More would only wait in the socket: of a vCard with its picture, and of presence. */
const maxUnansweredBytes = 1024 * 1024;
const maxUnanswered = 500;
/** What anybody can bring about by asking finds no room behind so much. */
const maxWaiting = 20_000;

export interface OwnOutboxParts {
  /** Undefined while the link is down. */
  session(jid: string): Session | undefined;
  metrics: Metrics;
}

interface Waiting {
  from: string;
  make: () => Element | null;
}

export class OwnOutbox {
  readonly #parts: OwnOutboxParts;
  readonly #waiting = new Map<string, Waiting>();
  /** One for all: a new one would begin at the places of all that is gone already. */
  #turns = this.#waiting.entries();
  #unanswered = 0;
  #bytes = 0;

  constructor(parts: OwnOutboxParts) {
    this.#parts = parts;
  }

  /** `make` is called when its turn has come, so it tells how things are then. What stands under `key` already keeps its place. */
  put(key: string, from: string, make: () => Element | null): void {
    this.#waiting.set(key, { from, make });
    this.#drain();
  }

  /** As `put`, of what a stranger may ask for without end: false where there is no room. */
  offer(key: string, from: string, make: () => Element | null): boolean {
    const hasRoom = this.#waiting.size < maxWaiting;
    if (hasRoom) this.put(key, from, make);
    else this.#parts.metrics.ephemeral.inc({ lane: 'toXmpp', result: 'dropped' });
    return hasRoom;
  }

  /** The gateway stops: all of it goes to the socket now. */
  flush(): void {
    while (this.#waiting.size > 0) this.#next();
  }

  #drain(): void {
    while (this.#waiting.size > 0 && this.#unanswered < maxUnanswered && this.#bytes < maxUnansweredBytes) this.#next();
  }

  #next(): void {
    let turn = this.#turns.next();
    if (turn.done) {
      this.#turns = this.#waiting.entries();
      turn = this.#turns.next();
    }
    if (turn.done) return;
    const [key, { from, make }] = turn.value;
    const session = this.#parts.session(from);
    // A link that comes back is told everything anew, and nobody waits for an answer on one that is gone.
    if (!session) return this.#waiting.clear();
    this.#waiting.delete(key);
    const stanza = make();
    const text = stanza && writeStanza(stanza);
    if (typeof text !== 'string') return;
    const bytes = text.length;
    this.#unanswered++;
    this.#bytes += bytes;
    this.#parts.metrics.ephemeral.inc({ lane: 'toXmpp', result: 'passed' });
    void session.send(text, key).then(() => {
      this.#unanswered--;
      this.#bytes -= bytes;
      this.#drain();
    });
  }
}
