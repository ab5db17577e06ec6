// What machines ask: is the process alive, are the links up, what was counted, what can be asked.

import type { Ledger } from '../ledger/ledger.ts';
import type { Verified } from '../ledger/verifier.ts';
import type { Metrics } from '../metrics.ts';
import { phases } from '../migration/phase.ts';
import type { Work } from '../migration/reconcile.ts';
import type { User, Users } from '../migration/users.ts';
import { type Answer, flag, type Route, shape } from './route.ts';

/** The links and the ledger, as they are now. */
export interface Health {
  component: boolean;
  attach: boolean;
  mqtt: boolean;
  ledger: boolean;
}

export interface HealthParts {
  users: Users;
  ledger: Ledger;
  metrics: Metrics;
  health(): Health;
  version: string;
  verifier: { readonly last: Verified | undefined };
  /** What is being done for a user on the legacy server. */
  workOn(user: User): Work;
}

const readiness = shape(
  {
    ...{ ready: flag, component: flag, attach: flag, mqtt: flag, ledger: flag },
    text: { type: 'string', description: 'Why the ledger cannot be written, and what to do.' },
  },
  ['text'],
);

export function healthRoutes(parts: HealthParts): Route[] {
  return [
    {
      method: 'GET',
      path: '/healthz',
      summary: 'The process is alive.',
      open: true,
      answers: { 200: { description: 'Alive.', schema: shape({ alive: flag, version: { type: 'string' } }) } },
      handle: () => ({ status: 200, body: { alive: true, version: parts.version } }),
    },
    {
      method: 'GET',
      path: '/readyz',
      summary: 'Both links stand and the ledger can be written.',
      open: true,
      answers: {
        200: { description: 'Ready.', schema: readiness },
        503: { description: 'Not ready; what is false is down.', schema: readiness },
      },
      handle: () => {
        const { component, attach, mqtt, ledger } = parts.health();
        const ready = component && attach && mqtt && ledger;
        const text = parts.ledger.trouble ?? undefined;
        return { status: ready ? 200 : 503, body: { ready, component, attach, mqtt, ledger, text } };
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      summary: 'The metrics, in the text format of Prometheus.',
      answers: { 200: { description: 'Prometheus text.', schema: null } },
      handle: () => scrape(parts),
    },
  ];
}

/** What is a level and not a count is read at the scrape. */
async function scrape({ users, ledger, metrics, health, verifier, workOn }: HealthParts): Promise<Answer> {
  for (const [lane, states] of Object.entries(await ledger.do('counts', {}))) {
    for (const [state, n] of Object.entries(states)) metrics.ledgerEntries.set({ lane: lane as 'toMqtt', state }, n);
  }
  account(metrics, verifier.last);
  const byPhase = new Map<string, number>(phases.map((phase) => [phase, 0]));
  const byWork = new Map<string, number>(['running', 'in-line', 'retrying', 'link-down'].map((kind) => [kind, 0]));
  for (const user of users.all()) {
    byPhase.set(user.phase, (byPhase.get(user.phase) ?? 0) + 1);
    const { kind } = workOn(user);
    if (kind !== 'idle') byWork.set(kind, (byWork.get(kind) ?? 0) + 1);
  }
  for (const [phase, n] of byPhase) metrics.users.set({ phase }, n);
  for (const [work, n] of byWork) metrics.usersToDo.set({ work }, n);
  const { ledger: writable, ...links } = health();
  for (const [link, up] of Object.entries(links)) metrics.linkUp.set({ link }, up ? 1 : 0);
  metrics.ledgerWritable.set(writable ? 1 : 0);
  metrics.ledgerUncommitted.set(ledger.uncommittedBytes);
  return { status: 200, body: await metrics.registry.metrics(), type: metrics.registry.contentType };
}

/** What the last check of everything has found; a fault that names no lane counts for both. */
function account(metrics: Metrics, last: Verified | undefined): void {
  if (!last) return;
  for (const lane of ['toMqtt', 'toXmpp'] as const) {
    const of = last.faults.filter((fault) => (fault.lane ?? lane) === lane);
    metrics.ledgerImbalance.set(
      { lane },
      of.reduce((sum, { count }) => sum + count, 0),
    );
  }
  metrics.ledgerVerified.set(last.at / 1000);
}
