// What shadow found out, on the admin side: the report, and a new beginning. Structure only; what was said is not in it.

import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Report, ShadowView } from '../shadow/report.ts';
import { count, type Route, rfc3339, shape, text, time } from './route.ts';
import { operator } from './users-api.ts';

export interface ShadowParts {
  shadow: { report: Report };
  ledger: Ledger;
  clock: Clock;
}

const rows = (properties: Parameters<typeof shape>[0]) => ({ type: 'array', items: shape(properties) });
const outline = { type: 'string', description: 'Names of elements, namespaces and attributes; no text, no value.' };
const path = { type: 'string', description: '{namespace}name/inner@attribute; #text stands for text.' };
const reportShape = shape({
  since: { ...time, description: 'Counted since then: the start of the gateway, or the last reset.' },
  stanzas: shape({ in: count, out: count }),
  equal: count,
  different: count,
  failed: count,
  copies: shape({ published: count, dropped: count }),
  mappings: rows({ mapping: text, channel: text, stanzas: count, equal: count }),
  elements: rows({ namespace: text, name: text, stanzas: count, kept: count }),
  losses: rows({
    ...{ path, namespace: text },
    kind: { type: 'string', description: 'lost, changed, added, or refused: an app could not say it.' },
    dir: { type: 'string', description: 'in: to the user; out: from its legacy clients.' },
    stanzas: count,
    samples: rows({ at: time, user: text, outline }),
  }),
  rules: rows({ rule: text, about: text, stanzas: count }),
  users: rows({ user: text, stanzas: count, different: count, lastAt: time }),
  beyond: { ...count, description: 'Names and users that found no room in the lists.' },
});

export function shadowRoutes({ shadow, ledger, clock }: ShadowParts): Route[] {
  const path = '/api/v1/shadow';
  return [
    {
      method: 'GET',
      path,
      summary: 'What would be lost: messages of users in shadow, translated there and back and compared.',
      query: {
        user: { type: 'string', maxLength: 3071, description: "Only this user's row and samples; a bare JID." },
        namespace: { type: 'string', maxLength: 1000, description: 'Only elements and losses of this namespace.' },
      },
      answers: { 200: { description: 'The report.', schema: reportShape } },
      handle: ({ query }) => {
        const { user, namespace } = query as { user?: string; namespace?: string };
        return { status: 200, body: viewOf(shadow.report.view({ user, namespace })) };
      },
    },
    {
      method: 'DELETE',
      path,
      summary: 'Forgets what was counted; the report begins anew.',
      answers: { 200: { description: 'The empty report.', schema: reportShape } },
      async handle() {
        await ledger.do('audited', { at: clock.now(), who: operator, what: 'shadow.reset' });
        shadow.report.reset(clock.now());
        return { status: 200, body: viewOf(shadow.report.view()) };
      },
    },
  ];
}

function viewOf(view: ShadowView): unknown {
  return {
    ...view,
    since: rfc3339(view.since),
    users: view.users.map((row) => ({ ...row, lastAt: rfc3339(row.lastAt) })),
    losses: view.losses.map((loss) => ({
      ...loss,
      samples: loss.samples.map((sample) => ({ ...sample, at: rfc3339(sample.at) })),
    })),
  };
}
