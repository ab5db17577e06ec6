// The users on the admin side: lists, one user, and the move to another phase.

import type { Ledger } from '../ledger/ledger.ts';
import type { Devices } from '../migration/devices.ts';
import type { Moves } from '../migration/moves.ts';
import { type Phase, phases } from '../migration/phase.ts';
import { nameOfShown } from '../migration/shown.ts';
import type { User, Users } from '../migration/users.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import {
  type Answer,
  type Asked,
  count,
  flag,
  listOf,
  paging,
  type Route,
  rfc3339,
  shape,
  text,
  time,
} from './route.ts';

export interface UsersParts {
  users: Users;
  devices: Devices;
  moves: Moves;
  ledger: Ledger;
  /** The prepared (RFC 7622) bare JID, or null if it is none. */
  prepare: (jid: string) => string | null;
  /** Whether the topics of this bare JID would belong to the gateway's own account at the broker. */
  isReserved: (jid: string) => boolean;
}

/** Waiting entries are counted up to here: one user must not keep the ledger from its commits. */
const maxCounted = 1000;
/** Whoever holds the token is the operator. */
const operator = 'admin';

const summary = {
  jid: text,
  phase: { type: 'string', enum: phases },
  version: { type: 'integer', description: 'Counts the changes of phase.' },
  moving: {
    type: ['object', 'null'],
    description: 'The move that is under way.',
    properties: { from: text, step: text },
    required: ['from', 'step'],
  },
  attached: {
    type: ['object', 'null'],
    description: 'The session on the legacy server.',
    properties: {
      jid: text,
      shown: {
        type: ['string', 'null'],
        description:
          'Its presence: available, away, chat, dnd or xa; silent without any, for sending only; null while that is being changed.',
      },
    },
    required: ['jid', 'shown'],
  },
  app: { type: 'string', enum: ['none', 'away', 'here', 'unknown'] },
  acks: { type: 'boolean', description: "The user's apps acknowledge with out/ack." },
  changedAt: {
    ...time,
    type: ['string', 'null'],
    description: `${time.description}; null for addresses of the configuration`,
  },
};
const userShape = shape({
  ...summary,
  devices: { type: 'array', items: shape({ client: text, online: flag, seenAt: time }) },
  waiting: {
    ...shape({ toMqtt: count, toXmpp: count }),
    description: `Entries on their way, counted up to ${maxCounted} each.`,
  },
});
const jidParameter = { jid: { type: 'string', description: 'The bare JID, percent-encoded.' } };
const phaseChange = {
  type: 'object',
  properties: {
    phase: { type: 'string', description: `One of ${phases.join(', ')}; not all are available yet.` },
    reason: { type: 'string', minLength: 1, maxLength: 1000, description: 'Why; kept in the audit.' },
  },
  required: ['phase', 'reason'],
  additionalProperties: false,
};

export function usersRoutes(parts: UsersParts): Route[] {
  const path = '/api/v1/users/{jid}';
  return [
    {
      method: 'GET',
      path: '/api/v1/users',
      summary: 'The known users, ordered by JID.',
      query: { ...paging({ type: 'string', maxLength: 3071 }), phase: { type: 'string', enum: phases } },
      answers: { 200: { description: 'A page of users.', schema: listOf(shape(summary)) } },
      handle: ({ query }) => listUsers(parts, query),
    },
    {
      method: 'GET',
      path,
      summary: 'One user.',
      params: jidParameter,
      answers: { 200: { description: 'The user.', schema: userShape } },
      handle: async ({ params }) => {
        const user = findUser(parts, params.jid ?? '');
        return isRefusal(user) ? user : { status: 200, body: await viewUser(parts, user) };
      },
    },
    {
      method: 'PUT',
      path: `${path}/phase`,
      summary: 'Moves a user to a phase, or back; makes the user known.',
      params: jidParameter,
      body: phaseChange,
      answers: {
        200: { description: 'The user stands there already, or the move was done at once.', schema: userShape },
        202: { description: 'The move is under way: `moving` becomes null when it has ended.', schema: userShape },
      },
      handle: (asked) => move(parts, asked),
    },
  ];
}

async function move(parts: UsersParts, { params, body }: Asked): Promise<Answer | Refusal> {
  const jid = preparedUser(parts, params.jid ?? '');
  if (isRefusal(jid)) return jid;
  // Back is allowed: the account may have been given its name later.
  if (body.phase !== 'legacy' && parts.isReserved(jid))
    return refuse(
      'not-acceptable',
      `${jid} would share the gateway's own account at the broker; give the gateway another one (mqtt.username)`,
    );
  const user = await parts.moves.request({
    jid,
    phase: String(body.phase),
    reason: String(body.reason),
    who: operator,
  });
  if (isRefusal(user)) return user;
  const view = await viewUser(parts, user);
  return { status: view.moving ? 202 : 200, body: view };
}

function preparedUser({ prepare }: UsersParts, jid: string): string | Refusal {
  const bare = prepare(jid);
  return bare?.includes('@') ? bare : refuse('jid-malformed', `"${jid.slice(0, 200)}" is not the JID of a user`);
}

function findUser(parts: UsersParts, jid: string): User | Refusal {
  const bare = preparedUser(parts, jid);
  return isRefusal(bare) ? bare : (parts.users.get(bare) ?? refuse('item-not-found', `${bare} is not known here`));
}

function summarize({ devices }: UsersParts, user: User) {
  const { jid, phase, version, moving = null, attached, acks, changedAt } = user;
  return {
    jid,
    phase,
    version,
    moving,
    // Without an epoch it is only what the last session was shown as.
    attached:
      attached && attached.epoch !== ''
        ? { jid: attached.jid, shown: attached.shown === undefined ? null : nameOfShown(attached.shown) }
        : null,
    app: devices.statusOf(jid),
    acks,
    changedAt: changedAt === 0 ? null : rfc3339(changedAt),
  };
}

async function viewUser(parts: UsersParts, user: User) {
  const { ledger, devices } = parts;
  const [toMqtt, toXmpp] = await Promise.all(
    (['toMqtt', 'toXmpp'] as const).map((lane) =>
      ledger.do('entries', { lane, user: user.jid, state: 'waiting', limit: maxCounted }),
    ),
  );
  return {
    // After the await: as the user stands when the answer leaves.
    ...summarize(parts, user),
    devices: devices.list(user.jid).map(({ client, online, seenAt }) => ({ client, online, seenAt: rfc3339(seenAt) })),
    waiting: { toMqtt: toMqtt?.length ?? 0, toXmpp: toXmpp?.length ?? 0 },
  };
}

function listUsers(parts: UsersParts, { limit, cursor = '', phase }: Asked['query']): Answer {
  const found = firstAfter(parts.users.all(), String(cursor), Number(limit) + 1, phase as Phase | undefined);
  const page = found.slice(0, Number(limit));
  const next = found.length > page.length ? (page.at(-1)?.jid ?? null) : null;
  return { status: 200, body: { items: page.map((user) => summarize(parts, user)), next } };
}

/** The `limit` first users behind `cursor`, in order: one pass over all, without sorting a million for a page of a hundred. */
function firstAfter(all: Iterable<User>, cursor: string, limit: number, phase?: Phase): User[] {
  const inOrder = (a: User, b: User) => (a.jid < b.jid ? -1 : 1);
  let found: User[] = [];
  let last: string | undefined;
  for (const user of all) {
    if (user.jid <= cursor || (phase !== undefined && user.phase !== phase)) continue;
    if (last !== undefined && user.jid > last) continue;
    found.push(user);
    if (found.length < 2 * limit) continue;
    found = found.sort(inOrder).slice(0, limit);
    last = found.at(-1)?.jid;
  }
  return found.sort(inOrder).slice(0, limit);
}
