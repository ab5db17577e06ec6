// The check of the ledger's account on the admin side.

import { explainFault, type Fault, faultKinds } from '../ledger/account.ts';
import type { Part, Verified } from '../ledger/verifier.ts';
import { refuse } from '../refusal.ts';
import { count, flag, type Route, rfc3339, type Schema, shape, text, time } from './route.ts';

export interface VerifyParts {
  verifier: { verify(part: Part): Promise<Verified>; readonly last: Verified | undefined };
  /** The prepared (RFC 7622) bare JID, or null if it is none. */
  prepare: (jid: string) => string | null;
}

const states = ['accepted', 'sent', 'acked', 'settled', 'parked', 'dead', 'returned', 'discarded'];
const lane: Schema = { type: 'string', enum: ['toMqtt', 'toXmpp'] };
const laneAccount = shape({
  accepted: { ...count, description: 'Ever accepted; of one user or since a time: the entries looked at.' },
  states: shape(Object.fromEntries(states.map((state) => [state, count]))),
  forgotten: { ...count, description: 'Ended, counted in its state, and gone with the history.' },
});
const faultShape = shape(
  {
    kind: { type: 'string', enum: [...faultKinds] },
    count: { ...count, description: 'Entries concerned, or by how many a count is wrong.' },
    lane,
    state: { type: 'string', enum: states },
    user: text,
    keys: { type: 'array', items: text, description: 'Of some of the entries, at most five.' },
    counted: count,
    found: count,
    text: { type: 'string', description: 'What it means, and what to do.' },
  },
  ['lane', 'state', 'user', 'keys', 'counted', 'found'],
);

export function verifyRoutes({ verifier, prepare }: VerifyParts): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/ledger/verify',
      summary:
        'Checks the account of the ledger against its entries: accepted = settled + waiting + parked + dead + returned + discarded.',
      query: {
        user: { type: 'string', description: 'Only entries of this bare JID.' },
        since: { ...time, description: `Only what was accepted from then on (${time.description}).` },
      },
      answers: {
        200: {
          description: 'What was found; `ok` if nothing is wrong.',
          schema: shape({
            ...{ ok: flag, at: time, tookMs: count, checked: count },
            lanes: shape({ toMqtt: laneAccount, toXmpp: laneAccount }),
            faults: { type: 'array', items: faultShape },
            more: { type: 'boolean', description: 'There are more than the hundred that are listed.' },
          }),
        },
      },
      async handle({ query }) {
        const user = query.user === undefined ? undefined : prepare(String(query.user));
        if (user === null) return refuse('jid-malformed', `"${String(query.user).slice(0, 200)}" is not a JID`);
        const since = query.since === undefined ? undefined : Date.parse(String(query.since));
        if (Number.isNaN(since)) return refuse('bad-request', 'since must be a time such as 2026-03-01T09:30:00Z');
        const { at, faults, ...rest } = await verifier.verify({ user, since });
        const explained = faults.map((fault: Fault) => ({ ...fault, text: explainFault(fault) }));
        return { status: 200, body: { ok: faults.length === 0, at: rfc3339(at), ...rest, faults: explained } };
      },
    },
  ];
}
