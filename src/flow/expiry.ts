// Messages that expire, because their sender or the operator has said when: ended as discarded, in one commit with what tells the sender.

import { type Clock, every, type Timer } from '../clock.ts';
import type { Conversation, Draft, Expired, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { formatAt } from '../mqtt/message.ts';
import type { Topics } from '../mqtt/topic.ts';
import { refuse } from '../refusal.ts';
import { errorReply } from '../xmpp/stanza-error.ts';
import { parseStanza } from '../xmpp/xml-reader.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';
import type { Deliver } from './deliver.ts';

const lookEveryMs = 1_000;
const batch = 500;
/** An entry that is out has so long to be answered, which is worth more than its time. */
const patienceMs = 3_000;
/** So long the broker has for what the apps have acknowledged while we were away, and so long it is waited for itself. */
const ackMs = 5_000;
const brokerMs = 60_000;
const refusal = refuse('remote-server-timeout', 'this message has expired before it could be delivered');

export interface ExpiryParts {
  ledger: Ledger;
  deliver: Pick<Deliver, 'apart'>;
  topics: Topics;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** The ledger cannot go on. */
  fault: (error: unknown) => void;
}

export class Expiry {
  readonly #parts: ExpiryParts;
  #timer: Timer | undefined;
  /** Runs while apps may have acknowledged what we have not heard of. */
  #hearing: Timer | undefined;
  /** When that ends at the latest, however often the connection comes and goes. */
  #until = 0;
  #stopped = false;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock, fault } = this.#parts;
    this.brokerDown();
    this.#timer = every(clock, lookEveryMs, () => this.#look(), fault);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#hearing?.cancel();
  }

  brokerUp(): void {
    this.#hear(ackMs);
  }

  brokerDown(): void {
    this.#hear(brokerMs);
  }

  #hear(ms: number): void {
    if (this.#stopped) return;
    const { clock } = this.#parts;
    if (!this.#hearing) this.#until = clock.now() + brokerMs;
    this.#hearing?.cancel();
    this.#hearing = clock.after(Math.max(0, Math.min(ms, this.#until - clock.now())), () => {
      this.#hearing = undefined;
    });
  }

  /** Ends all that is due but what is unanswered; that gets its turn when we look again. */
  async #look(): Promise<void> {
    const { ledger, clock } = this.#parts;
    for (let ended = batch; ended === batch && !this.#stopped; ) {
      const lane = this.#hearing ? ('toXmpp' as const) : undefined;
      const due = await ledger.do('expired', { now: clock.now(), limit: batch, lane });
      const counts = await Promise.all(byConversation(due).map((entries) => this.#end(entries)));
      ended = counts.reduce((sum, count) => sum + count, 0);
    }
  }

  async #end({ lane, user, peer, seqs }: Conversation & { seqs: number[] }): Promise<number> {
    const ended = await this.#parts.deliver.apart({ lane, user, peer }, patienceMs, async () => {
      const freed = await this.#write(seqs);
      return { value: freed.length, freed };
    });
    return ended ?? 0;
  }

  /** Answers with those that it has ended: of what was out, and had to be awaited, some may have been answered. */
  async #write(seqs: number[]): Promise<number[]> {
    const { ledger, clock, metrics, log, fault } = this.#parts;
    const at = clock.now();
    const due = await ledger.do('expired', { now: at, limit: seqs.length, among: seqs });
    const ends = due.map((entry) => {
      const notice = entry.appHas ? undefined : this.#notice(entry);
      const { seq, user, lane, id } = entry;
      let end: Promise<void> | undefined;
      // Else, after a crash between the two, its sender would be told once more.
      ledger.together(() => {
        if (notice) ledger.accept(notice).outcome.catch(fault);
        end = ledger.do('expire', { seqs: [seq], at });
      });
      if (!entry.appHas) {
        metrics.expired.inc({ lane });
        log.info({ event: 'entry.expired', user, lane, id, told: notice !== undefined });
      }
      return end;
    });
    await Promise.all(ends);
    return due.map(({ seq }) => seq);
  }

  /** For whoever has sent it: an entry, too, since it may not be there. Undefined where nobody waits for an answer, or it is one. */
  #notice(entry: Expired): ((key: string) => Draft) | undefined {
    const { topics, clock } = this.#parts;
    const { user, peer, id, channel, original } = entry;
    const at = clock.now();
    const common = { user, peer, id, at, channel: 'error', custody: 'copy' } as const;
    if (channel === 'error' || id === undefined) return undefined;
    if (entry.lane === 'toXmpp') {
      const { name: condition, text } = refusal;
      const topic = topics.toUser(user, 'error');
      return (key) => ({
        ...{ ...common, lane: 'toMqtt', topic },
        payload: JSON.stringify({ id, condition, text, key, at: formatAt(at) }),
      });
    }
    const stanza = channel === 'message' && original !== undefined ? parseStanza(original) : null;
    const reply = stanza && errorReply(stanza, refusal);
    const payload = reply && writeStanza(reply);
    return typeof payload === 'string' ? () => ({ ...common, lane: 'toXmpp', payload }) : undefined;
  }
}

function byConversation(due: Expired[]): (Conversation & { seqs: number[] })[] {
  const found = new Map<string, Conversation & { seqs: number[] }>();
  for (const { lane, user, peer, seq } of due) {
    const name = JSON.stringify([lane, user, peer]);
    const known = found.get(name);
    if (known) known.seqs.push(seq);
    else found.set(name, { lane, user, peer, seqs: [seq] });
  }
  return [...found.values()];
}
