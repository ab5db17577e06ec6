// What an operator does to entries on the admin side: try again, hand back, discard; many at a time, each answered for itself.

import type { State } from '../ledger/ledger.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { type Answer, type Asked, flag, type Route, type Schema, shape, text } from './route.ts';
import { operator } from './users-api.ts';

const acts = {
  retry: 'Tries parked and dead entries again.',
  return: 'Hands entries that nobody else has back to the legacy server.',
  discard: 'Ends open entries for good; nobody will get them.',
} as const;
type Act = keyof typeof acts;

/** What became of one of the keys; `text`: why not. */
interface Done {
  key: string;
  done: boolean;
  user?: string;
  state?: State;
  text?: string;
}

export interface LedgerActsParts {
  byHand: { order(order: { act: Act; key: string; reason?: string; who: string }): Promise<Done> };
}

/** In one request; a batch must end well within the time that a client waits. */
const maxKeys = 100;

const reason: Schema = { type: 'string', minLength: 1, maxLength: 1000, description: 'Why; kept in the audit.' };
const keys: Schema = {
  type: 'array',
  items: { type: 'string', maxLength: 64 },
  minItems: 1,
  maxItems: maxKeys,
  description: `Up to ${maxKeys} keys; done in this order.`,
};
const doneShape = shape(
  {
    key: text,
    done: flag,
    user: text,
    state: { type: 'string', description: 'As it is now.' },
    text: { type: 'string', description: 'Why it was not done.' },
  },
  ['user', 'state', 'text'],
);

export function ledgerActsRoutes(parts: LedgerActsParts): Route[] {
  return (Object.keys(acts) as Act[]).map((act) => ({
    method: 'POST',
    path: `/api/v1/ledger/${act}`,
    summary: acts[act],
    body: {
      type: 'object',
      properties: { keys, reason },
      required: act === 'discard' ? ['keys', 'reason'] : ['keys'],
      additionalProperties: false,
    },
    answers: {
      200: {
        description: 'What became of each key.',
        schema: shape({ items: { type: 'array', items: doneShape } }),
      },
    },
    handle: ({ body }) => orderAll(parts, act, body),
  }));
}

async function orderAll({ byHand }: LedgerActsParts, act: Act, body: Asked['body']): Promise<Answer | Refusal> {
  const keys = body.keys as string[];
  if (new Set(keys).size < keys.length) return refuse('bad-request', 'a key stands there twice');
  const items: Done[] = [];
  // One after the other: what is handed back arrives in this order.
  for (const key of keys)
    items.push(await byHand.order({ act, key, reason: body.reason as string | undefined, who: operator }));
  return { status: 200, body: { items } };
}
