// What the gateway counts, for Prometheus: every name, unit and label in one place.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  readonly accepted: Counter<'lane'>;
  readonly repeated: Counter<'lane'>;
  readonly refused: Counter<'lane' | 'reason'>;
  readonly heldBack: Counter<'limit'>;
  readonly expired: Counter<'lane'>;
  readonly handedBack: Counter<'result'>;
  readonly answered: Counter<'lane' | 'result'>;
  readonly ephemeral: Counter<'lane' | 'result'>;
  readonly gaps: Counter<'reason'>;
  readonly copies: Counter<'route'>;
  readonly shadowCompared: Counter<'dir' | 'result'>;
  readonly shadowCopies: Counter<'result'>;
  readonly automatic: Counter<'kind'>;
  readonly presencesNotKept: Counter;
  readonly webhooks: Counter<'result'>;
  readonly brokerDropped: Counter;
  readonly inFlight: Gauge<'lane'>;
  readonly linkUp: Gauge<'link'>;
  readonly ledgerWritable: Gauge;
  readonly ledgerEntries: Gauge<'lane' | 'state'>;
  readonly ledgerUncommitted: Gauge;
  readonly ledgerImbalance: Gauge<'lane'>;
  readonly ledgerVerified: Gauge;
  readonly users: Gauge<'phase'>;
  readonly usersToDo: Gauge<'work'>;
}

export function makeMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name: `crossfade_${name}_total`, help, labelNames, registers });
  return {
    registry,
    accepted: counter('accepted', 'Messages written to the ledger', ['lane']),
    repeated: counter('repeated', 'Messages that came again and were known by the ledger', ['lane']),
    refused: counter('refused', 'Messages refused, by reason', ['lane', 'reason']),
    heldBack: counter(
      'held_back',
      'What apps sent too fast, by limit: refused for now (rate, waiting), heard later or replaced by newer (presence)',
      ['limit'],
    ),
    expired: counter('expired', 'Messages discarded because their time was over', ['lane']),
    handedBack: counter(
      'handed_back',
      'Messages handed back to the legacy side by rollbacks and in dual: taken, refused (they wait here), lost (no answer)',
      ['result'],
    ),
    answered: counter('answered', 'Answers of the receiving side: delivered, parked, dead, retried, lost', [
      'lane',
      'result',
    ]),
    ephemeral: counter('ephemeral', 'Chat states and presence passed on, or dropped because nobody is there', [
      'lane',
      'result',
    ]),
    gaps: counter('gaps', 'Users of whom messages may be missing after a catch-up, by reason', ['reason']),
    copies: counter(
      'copies',
      'Copies of messages that made no entry: compared (shadow), wanted by nobody here (unwanted), answers to no query (unasked)',
      ['route'],
    ),
    shadowCompared: counter(
      'shadow_compared',
      'Messages of users in shadow, translated there and back: equal, different, failed',
      ['dir', 'result'],
    ),
    shadowCopies: counter('shadow_copies', 'Copies under the shadow root: published, dropped', ['result']),
    automatic: counter('automatic_answers', 'Requests the gateway answered for its users', ['kind']),
    presencesNotKept: counter(
      'presences_not_kept',
      'Presences of contacts passed on, but beyond what is kept per user',
      [],
    ),
    webhooks: counter('webhooks', 'Calls of the webhook "message waiting": sent, failed, dropped', ['result']),
    brokerDropped: counter('broker_dropped', 'Messages that the broker says it has dropped: a queue was full', []),
    ...makeGauges(registers),
  };
}

/** What is a level and not a count. */
function makeGauges(registers: Registry[]) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name: `crossfade_${name}`, help, labelNames, registers });
  return {
    inFlight: gauge('in_flight', 'Entries sent and not yet answered', ['lane']),
    linkUp: gauge('link_up', '1 while the link stands: component, attach, mqtt', ['link']),
    ledgerWritable: gauge('ledger_writable', '1 while commits succeed', []),
    ledgerEntries: gauge(
      'ledger_entries',
      'Entries in the ledger by state; settled, returned and discarded leave with the history',
      ['lane', 'state'],
    ),
    ledgerUncommitted: gauge('ledger_uncommitted_bytes', 'Bytes taken and not yet on disk; at 2 MiB reading stops', []),
    ledgerImbalance: gauge(
      'ledger_imbalance',
      'Entries and counts that the last check of the ledger found wrong; 0: the account adds up',
      ['lane'],
    ),
    ledgerVerified: gauge('ledger_verified_timestamp_seconds', 'When the whole ledger was checked last', []),
    users: gauge('users', 'Known users by phase', ['phase']),
    usersToDo: gauge(
      'users_to_do',
      'Users for whom something is to be done on the legacy server: running, in-line, retrying, link-down',
      ['work'],
    ),
  };
}
