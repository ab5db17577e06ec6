// What the ledger is told of entries that are out: before they go, if they may expire on their way, else once they are unanswered
// for long (docs/decisions/expiry.md).

import type { Clock } from '../clock.ts';
import type { Entry, Ledger } from '../ledger/ledger.ts';
import type { Outbox } from './outbox.ts';
import type { Answer } from './road.ts';

const longMs = 1_000;

export class Sent {
  readonly #ledger: Ledger;
  readonly #clock: Clock;

  constructor(ledger: Ledger, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** What may expire on its way to the legacy server. */
  isDueFirst({ lane, expiresAt, isSent }: Entry): boolean {
    return lane === 'toXmpp' && expiresAt !== undefined && !isSent;
  }

  /** On disk: whatever happens to it now, the ledger knows that the server may have it. False: it is not to be sent any more. */
  async record({ flight }: Outbox, { seq }: Entry): Promise<boolean> {
    if (flight) flight.marked = true;
    return (await this.#ledger.do('sent', { seqs: [seq], at: this.#clock.now() })) > 0;
  }

  /** It was not sent after all. */
  undo({ seq }: Entry): void {
    this.#ledger.note('notSent', { seq });
  }

  /** A no says nothing of the time before, which may have been another session of the server's. */
  failed(entry: Entry, answer: Answer): void {
    if (!this.isDueFirst(entry)) return;
    if (answer.kind === 'lost') entry.isSent = true;
    else this.undo(entry);
  }

  /** Most answers come within milliseconds; only what waits longer is written down as sent, with its attempts. */
  lookAround(flying: Iterable<Outbox>): void {
    const at = this.#clock.now();
    const seqs: number[] = [];
    for (const { flight } of flying) {
      if (!flight || flight.marked || at - flight.since < longMs) continue;
      flight.marked = true;
      seqs.push(flight.entry.seq);
    }
    if (seqs.length > 0) this.#ledger.note('sent', { seqs, at });
  }
}
