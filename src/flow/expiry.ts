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
  #stopped = false;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock, fault } = this.#parts;
    this.#timer = every(clock, lookEveryMs, () => this.#look(), fault);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Ends all that is due but what is unanswered; that gets its turn when we look again. */
  async #look(): Promise<void> {
    const { ledger, clock } = this.#parts;
    for (let ended = batch; ended === batch && !this.#stopped; ) {
      const due = await ledger.do('expired', { now: clock.now(), limit: batch });
      const counts = await Promise.all(byConversation(due).map((entries) => this.#end(entries)));
      ended = counts.reduce((sum, count) => sum + count, 0);
    }
  }

  async #end(entries: Conversation & { all: Expired[] }): Promise<number> {
    const { lane, user, peer, all } = entries;
    const ended = await this.#parts.deliver.apart({ lane, user, peer }, patienceMs, async () => {
      await this.#write(all);
      return { value: all.length, frees: all.some(({ isParked }) => isParked) };
    });
    return ended ?? 0;
  }

  async #write(all: Expired[]): Promise<void> {
    const { ledger, clock, metrics, log } = this.#parts;
    for (const entry of all) {
      const notice = this.#notice(entry);
      // Handed in together, so in one commit.
      if (notice) ledger.accept(notice).outcome.catch(this.#parts.fault);
      metrics.expired.inc({ lane: entry.lane });
      log.info({
        event: 'entry.expired',
        user: entry.user,
        lane: entry.lane,
        id: entry.id,
        told: notice !== undefined,
      });
    }
    await ledger.do('expire', { seqs: all.map(({ seq }) => seq), at: clock.now() });
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

function byConversation(due: Expired[]): (Conversation & { all: Expired[] })[] {
  const found = new Map<string, Conversation & { all: Expired[] }>();
  for (const entry of due) {
    const { lane, user, peer } = entry;
    const name = JSON.stringify([lane, user, peer]);
    const known = found.get(name);
    if (known) known.all.push(entry);
    else found.set(name, { lane, user, peer, all: [entry] });
  }
  return [...found.values()];
}
