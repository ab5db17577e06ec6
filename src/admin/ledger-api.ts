// The ledger and the audit on the admin side: what became of each message, and who did what. Never a body.

import type { Custody, EntryView, Lane, Ledger, State } from '../ledger/ledger.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import {
  type Answer,
  type Asked,
  count,
  listOf,
  numberCursor,
  paging,
  type Route,
  rfc3339,
  type Schema,
  shape,
  text,
  time,
} from './route.ts';

export interface LedgerParts {
  ledger: Ledger;
  /** The prepared (RFC 7622) bare JID, or null if it is none. */
  prepare: (jid: string) => string | null;
}

/** So many lines of a user's audit are searched for those about one entry. */
const auditDepth = 1000;
const lanes: Lane[] = ['toMqtt', 'toXmpp'];
const states: State[] = ['accepted', 'sent', 'acked', 'settled', 'parked', 'dead', 'returned', 'discarded'];
const custodies: Custody[] = ['sole', 'copy'];
const timesOfEntry = ['at', 'acceptedAt', 'sentAt', 'ackedAt', 'appAckedAt', 'endedAt', 'expiresAt'] as const;

const sometimes = [
  'position',
  'acts',
  'id',
  'topic',
  'mapping',
  'condition',
  'text',
  'sentAt',
  'ackedAt',
  'appAckedAt',
  'endedAt',
  'expiresAt',
];
const entryShape = shape(
  {
    key: text,
    seq: count,
    lane: { type: 'string', enum: lanes },
    state: { type: 'string', enum: states },
    user: text,
    peer: text,
    channel: text,
    id: { type: 'string', description: "The sender's id." },
    custody: { type: 'string', enum: custodies },
    topic: text,
    mapping: text,
    condition: { type: 'string', description: 'Why it is dead, parked or discarded.' },
    text,
    position: {
      ...shape({ n: count, link: text, epoch: text }, ['link', 'epoch']),
      description: 'Where it stood on the link to the legacy server; link and epoch are known while the epoch lasts.',
    },
    archived: { type: 'boolean', description: 'Its repeats are told by the id that the archive gave it.' },
    late: {
      type: 'boolean',
      description: 'It came by a way that makes second copies: observed, carbon, delayed, flushed or archived.',
    },
    attempts: count,
    ...Object.fromEntries(timesOfEntry.map((name) => [name, time])),
  },
  sometimes,
);
const actShape = shape({ at: time, who: text, what: text, reason: text }, ['reason']);
const entryWithActs = shape(
  {
    ...(entryShape.properties as Record<string, Schema>),
    acts: { type: 'array', items: actShape, description: 'What operators did to it, the oldest first.' },
  },
  sometimes,
);
const countsOfLane = shape(Object.fromEntries(states.map((state) => [state, count])));
const auditShape = shape({ id: count, at: time, who: text, what: text, user: text, reason: text, detail: text }, [
  'user',
  'reason',
  'detail',
]);
const userFilter: Schema = { type: 'string', description: 'Only of this bare JID.' };

export function ledgerRoutes(parts: LedgerParts): Route[] {
  const { ledger } = parts;
  const path = '/api/v1/ledger';
  return [
    {
      method: 'GET',
      path,
      summary: 'Entries of the ledger, the oldest first, without bodies.',
      query: {
        ...paging(numberCursor),
        lane: { type: 'string', enum: lanes },
        user: userFilter,
        state: { type: 'string', enum: [...states, 'waiting'], description: 'waiting = accepted, sent and acked.' },
        id: { type: 'string', maxLength: 256, description: "Only with this sender's id; reads the whole ledger." },
        before: { ...time, description: `Only accepted before this time (${time.description}).` },
      },
      answers: { 200: { description: 'A page of entries.', schema: listOf(entryShape) } },
      handle: ({ query }) => listEntries(parts, query),
    },
    {
      method: 'GET',
      path: `${path}/counts`,
      summary: 'How many entries are in each state.',
      answers: {
        200: { description: 'By lane and state.', schema: shape({ toMqtt: countsOfLane, toXmpp: countsOfLane }) },
      },
      handle: async () => ({ status: 200, body: await ledger.do('counts', {}) }),
    },
    {
      method: 'GET',
      path: `${path}/{key}`,
      summary: 'One entry, without its body.',
      params: { key: { type: 'string', maxLength: 64 } },
      answers: { 200: { description: 'The entry.', schema: entryWithActs } },
      handle: async ({ params: { key = '' } }) => {
        const [entry] = await ledger.do('entry', { key });
        return entry
          ? { status: 200, body: { ...viewEntry(entry), acts: await actsOn(ledger, entry) } }
          : refuse('item-not-found', `the ledger has no entry ${key}`);
      },
    },
    {
      method: 'GET',
      path: '/api/v1/audit',
      summary: 'Who did what and why, the newest first.',
      query: { ...paging(numberCursor), user: userFilter },
      answers: { 200: { description: 'A page of the audit.', schema: listOf(auditShape) } },
      handle: ({ query }) => listAudit(parts, query),
    },
  ];
}

async function listEntries(parts: LedgerParts, query: Asked['query']): Promise<Answer | Refusal> {
  const user = filterOf(parts, query.user);
  if (isRefusal(user)) return user;
  const before = query.before === undefined ? undefined : Date.parse(String(query.before));
  if (Number.isNaN(before)) return refuse('bad-request', 'before must be a time such as 2026-03-01T09:30:00Z');
  const limit = Number(query.limit);
  const entries = await parts.ledger.do('entries', {
    lane: query.lane as Lane | undefined,
    state: query.state as State | 'waiting' | undefined,
    user,
    id: query.id === undefined ? undefined : String(query.id),
    before,
    limit: limit + 1,
    after: Number(query.cursor ?? 0),
  });
  return pageOf(entries, limit, (entry) => entry.seq, viewEntry);
}

async function listAudit(parts: LedgerParts, query: Asked['query']): Promise<Answer | Refusal> {
  const user = filterOf(parts, query.user);
  if (isRefusal(user)) return user;
  const limit = Number(query.limit);
  const before = query.cursor === undefined ? undefined : Number(query.cursor);
  const rows = await parts.ledger.do('audit', { user, before, limit: limit + 1 });
  return pageOf(
    rows,
    limit,
    (row) => row.id,
    (row) => ({ ...row, at: rfc3339(row.at) }),
  );
}

/** One row more than asked for was fetched: it tells whether there is a next page. */
function pageOf<Row>(rows: Row[], limit: number, numberOf: (row: Row) => number, view: (row: Row) => unknown): Answer {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = rows.length > limit && last !== undefined ? String(numberOf(last)) : null;
  return { status: 200, body: { items: page.map(view), next } };
}

function filterOf({ prepare }: LedgerParts, user: string | number | undefined): string | undefined | Refusal {
  if (user === undefined) return undefined;
  return prepare(String(user)) ?? refuse('jid-malformed', `"${String(user).slice(0, 200)}" is not a JID`);
}

function viewEntry(entry: EntryView) {
  const times = timesOfEntry.flatMap((name) => (entry[name] === undefined ? [] : [[name, rfc3339(entry[name])]]));
  return { ...entry, ...Object.fromEntries(times) };
}

/** Among what was done to its user last. */
async function actsOn(ledger: Ledger, { key, user }: EntryView) {
  const rows = await ledger.do('audit', { user, limit: auditDepth });
  return rows
    .filter(({ what, detail }) => what.startsWith('entry.') && detail?.startsWith(`${key} `))
    .map(({ at, who, what, reason }) => ({ at: rfc3339(at), who, what, reason }))
    .reverse();
}
