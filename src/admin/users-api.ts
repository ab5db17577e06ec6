// The users on the admin side: lists, one user, and the move to another phase.

import type { Moves } from '../migration/moves.ts';
import { phases } from '../migration/phase.ts';
import type { User, Users } from '../migration/users.ts';
import { legacyLogins } from '../migration/wanted.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { makeGlob } from './glob.ts';
import { type Answer, type Asked, listOf, paging, type Route, shape } from './route.ts';
import { summaryProperties, userShape } from './user-shape.ts';
import { summarize, type UserViewParts, viewUser } from './user-view.ts';

export interface UsersParts extends UserViewParts {
  users: Users;
  moves: Moves;
  /** The prepared (RFC 7622) bare JID, or null if it is none. */
  prepare: (jid: string) => string | null;
  /** Whether the topics of this bare JID would belong to the gateway's own account at the broker. */
  isReserved: (jid: string) => boolean;
}

/** Whoever holds the token is the operator. */
export const operator = 'admin';

const jidParameter = { jid: { type: 'string', description: 'The bare JID, percent-encoded.' } };
const summaryShape = shape(summaryProperties);
const phaseChange = {
  type: 'object',
  properties: {
    phase: { type: 'string', description: `One of ${phases.join(', ')}.` },
    reason: { type: 'string', minLength: 1, maxLength: 1000, description: 'Why; kept in the audit.' },
    dryRun: {
      type: 'boolean',
      description: 'Changes nothing, and answers with the user as it stands, or with the refusal.',
    },
  },
  required: ['phase', 'reason'],
  additionalProperties: false,
};

const loginChange = {
  type: 'object',
  properties: {
    legacyLogin: {
      type: ['string', 'null'],
      description: `One of ${legacyLogins.join(', ')}; null: what the configuration says.`,
    },
    reason: { type: 'string', minLength: 1, maxLength: 1000, description: 'Why; kept in the audit.' },
  },
  required: ['legacyLogin', 'reason'],
  additionalProperties: false,
};

export function usersRoutes(parts: UsersParts): Route[] {
  const path = '/api/v1/users/{jid}';
  return [
    {
      method: 'GET',
      path: '/api/v1/users',
      summary: 'The known users, ordered by JID.',
      query: {
        ...paging({ type: 'string', maxLength: 3071 }),
        phase: { type: 'string', enum: phases },
        match: {
          type: 'string',
          maxLength: 3071,
          description: 'Only JIDs of this pattern: * stands for any text, ? for one character.',
        },
      },
      answers: { 200: { description: 'A page of users.', schema: listOf(summaryShape) } },
      handle: ({ query }) => listUsers(parts, query),
    },
    {
      method: 'GET',
      path,
      summary: 'One user: where it stands, what is under way, what waits and why.',
      params: jidParameter,
      answers: { 200: { description: 'The user.', schema: userShape } },
      handle: async ({ params }) => {
        const user = findUser(parts, params.jid ?? '');
        return isRefusal(user) ? user : { status: 200, body: await viewUser(parts, user) };
      },
    },
    {
      method: 'GET',
      path: `${path}/phase`,
      summary: 'The phase of a user and its move, and no more: cheap to ask while a move is under way.',
      params: jidParameter,
      answers: { 200: { description: 'The user, as in lists.', schema: summaryShape } },
      handle: ({ params }) => {
        const user = findUser(parts, params.jid ?? '');
        return isRefusal(user) ? user : { status: 200, body: summarize(parts, user) };
      },
    },
    {
      method: 'PUT',
      path: `${path}/phase`,
      summary: 'Moves a user to a phase, or back; makes the user known.',
      params: jidParameter,
      body: phaseChange,
      answers: {
        200: {
          description: 'The user stands there already, the move was done at once, or it was a dry run.',
          schema: summaryShape,
        },
        202: { description: 'The move is under way: `moving` becomes null when it has ended.', schema: summaryShape },
      },
      handle: (asked) => move(parts, asked),
    },
    {
      method: 'PUT',
      path: `${path}/legacy-login`,
      summary: "Sets what becomes of a user's legacy clients in phase mqtt; makes the user known.",
      params: jidParameter,
      body: loginChange,
      answers: { 200: { description: 'Written down; the server follows within a second.', schema: summaryShape } },
      handle: (asked) => steer(parts, asked),
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
  const request = { jid, phase: String(body.phase), reason: String(body.reason), who: operator };
  const user = body.dryRun ? parts.moves.preview(request) : await parts.moves.request(request);
  if (isRefusal(user)) return user;
  const view = summarize(parts, user);
  return { status: view.moving && !body.dryRun ? 202 : 200, body: view };
}

async function steer(parts: UsersParts, { params, body }: Asked): Promise<Answer | Refusal> {
  const jid = preparedUser(parts, params.jid ?? '');
  if (isRefusal(jid)) return jid;
  const legacyLogin = body.legacyLogin === null ? null : String(body.legacyLogin);
  const user = await parts.moves.steer({ jid, legacyLogin, reason: String(body.reason), who: operator });
  return isRefusal(user) ? user : { status: 200, body: summarize(parts, user) };
}

function preparedUser({ prepare }: UsersParts, jid: string): string | Refusal {
  const bare = prepare(jid);
  return bare?.includes('@') ? bare : refuse('jid-malformed', `"${jid.slice(0, 200)}" is not the JID of a user`);
}

function findUser(parts: UsersParts, jid: string): User | Refusal {
  const bare = preparedUser(parts, jid);
  return isRefusal(bare) ? bare : (parts.users.get(bare) ?? refuse('item-not-found', `${bare} is not known here`));
}

function listUsers(parts: UsersParts, { limit, cursor = '', phase, match }: Asked['query']): Answer {
  const fits = match === undefined ? () => true : makeGlob(String(match));
  const wanted = (user: User) => (phase === undefined || user.phase === phase) && fits(user.jid);
  const found = firstAfter(parts.users.all(), String(cursor), Number(limit) + 1, wanted);
  const page = found.slice(0, Number(limit));
  const next = found.length > page.length ? (page.at(-1)?.jid ?? null) : null;
  return { status: 200, body: { items: page.map((user) => summarize(parts, user)), next } };
}

/** The `limit` first users behind `cursor`, in order: one pass over all, without sorting a million for a page of a hundred. */
function firstAfter(all: Iterable<User>, cursor: string, limit: number, wanted: (user: User) => boolean): User[] {
  const inOrder = (a: User, b: User) => (a.jid < b.jid ? -1 : 1);
  let found: User[] = [];
  let last: string | undefined;
  for (const user of all) {
    if (user.jid <= cursor || (last !== undefined && user.jid > last) || !wanted(user)) continue;
    found.push(user);
    if (found.length < 2 * limit) continue;
    found = found.sort(inOrder).slice(0, limit);
    last = found.at(-1)?.jid;
  }
  return found.sort(inOrder).slice(0, limit);
}
