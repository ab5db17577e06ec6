// The users of the component's own domain on the admin side: added, changed and removed while the gateway runs, and their contacts.

import type { OwnChange, OwnUser } from '../migration/own-users.ts';
import { changeProfile } from '../migration/profile.ts';
import { nameOfStanding, type SubscriptionPolicy, subscriptionPolicies } from '../migration/subscription.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { type OwnViewParts, ownProperties, viewOwn } from './own-view.ts';
import { type Answer, type Asked, flag, listOf, paging, type Route, shape, text } from './route.ts';
import { operator } from './users-api.ts';

export interface OwnUsersApiParts extends OwnViewParts {
  /** The prepared (RFC 7622) bare JID, or null if it is none. */
  prepare: (jid: string) => string | null;
  /** Whether the topics of this bare JID would belong to the gateway's own account at the broker. */
  isReserved: (jid: string) => boolean;
}

/** An avatar of 64 KiB is 86 KiB of base64. */
const bodyLimit = 128 * 1024;
const jidParameter = { jid: { type: 'string', description: 'The bare JID, percent-encoded.' } };
const reason = { type: 'string', minLength: 1, maxLength: 1000, description: 'Why; kept in the audit.' };

const changedShape = shape({ jid: text, ...ownProperties });

const change = {
  type: 'object',
  properties: {
    subscriptions: {
      type: ['string', 'null'],
      enum: [...subscriptionPolicies, null],
      description: 'Null: what the configuration says.',
    },
    listed: flag,
    profile: {
      type: 'object',
      additionalProperties: true,
      description:
        'Fields to be changed: name, about, url, email, organization, and avatar {type, data (base64)}; null takes one away.',
    },
    reason,
  },
  required: ['reason'],
  additionalProperties: false,
};

export function ownUsersRoutes(parts: OwnUsersApiParts): Route[] {
  const path = '/api/v1/users/{jid}';
  const described = { description: 'The user.', schema: changedShape };
  return [
    {
      method: 'PUT',
      path,
      summary: "Adds an address on the component's own domain, or changes what is set for it; counts at once.",
      params: jidParameter,
      body: change,
      bodyLimit,
      answers: { 200: { ...described, description: 'It was there.' }, 201: { ...described, description: 'Added.' } },
      handle: (asked) => put(parts, asked),
    },
    {
      method: 'DELETE',
      path,
      summary: "Removes an address on the component's own domain that was added; refused while messages wait.",
      params: jidParameter,
      query: { reason },
      answers: { 200: described },
      handle: (asked) => remove(parts, asked),
    },
    {
      method: 'GET',
      path: `${path}/contacts`,
      summary: "The contacts of an address on the component's own domain, ordered by JID.",
      params: jidParameter,
      query: paging({ type: 'string', maxLength: 3071 }),
      answers: { 200: { description: 'A page of contacts.', schema: listOf(contactShape) } },
      handle: (asked) => listContacts(parts, asked),
    },
  ];
}

const contactShape = shape({
  contact: text,
  subscription: {
    type: 'string',
    enum: ['none', 'to', 'from', 'both'],
    description: 'As in rosters (RFC 6121 §2.1.2.5).',
  },
  asks: { ...flag, description: 'The contact waits for an answer.' },
  approved: { ...flag, description: 'Its request will be granted when it comes.' },
  asked: { ...flag, description: 'The user waits for an answer.' },
});

async function put(parts: OwnUsersApiParts, { params, body }: Asked): Promise<Answer | Refusal> {
  const { own, isReserved } = parts;
  const jid = ownAddress(parts, params.jid ?? '');
  if (isRefusal(jid)) return jid;
  if (isReserved(jid))
    return refuse(
      'not-acceptable',
      `${jid} would share the gateway's own account at the broker; give the gateway another one (mqtt.username)`,
    );
  const decide = (now: OwnUser | undefined): OwnChange | Refusal => {
    const profile = body.profile === undefined ? undefined : changeProfile(now?.profile ?? {}, body.profile);
    if (isRefusal(profile)) return profile;
    return {
      ...('subscriptions' in body && {
        subscriptions: (body.subscriptions ?? undefined) as SubscriptionPolicy | undefined,
      }),
      ...(body.listed !== undefined && { listed: body.listed === true }),
      ...(profile && { profile }),
    };
  };
  const changed = await own.put(jid, decide, { who: operator, reason: String(body.reason) });
  if (isRefusal(changed)) return changed;
  const { user, isNew } = changed;
  return { status: isNew ? 201 : 200, body: { jid, ...viewOwn(parts, user) } };
}

async function remove(parts: OwnUsersApiParts, { params, query }: Asked): Promise<Answer | Refusal> {
  const jid = ownAddress(parts, params.jid ?? '');
  if (isRefusal(jid)) return jid;
  if (query.reason === undefined) return refuse('bad-request', 'querystring must have required property reason');
  const user = parts.own.get(jid);
  const view = user && viewOwn(parts, user);
  const removed = await parts.own.remove(jid, { who: operator, reason: String(query.reason) });
  return isRefusal(removed) ? removed : { status: 200, body: { jid, ...view } };
}

function listContacts(parts: OwnUsersApiParts, { params, query }: Asked): Answer | Refusal {
  const jid = ownAddress(parts, params.jid ?? '');
  if (isRefusal(jid)) return jid;
  if (!parts.own.get(jid)) return refuse('item-not-found', `${jid} is not known here`);
  const { limit, cursor = '' } = query;
  const behind = [...parts.own.contacts(jid)].filter(([contact]) => contact > String(cursor));
  const page = behind.sort(([one], [other]) => (one < other ? -1 : 1)).slice(0, Number(limit));
  const items = page.map(([contact, standing]) => ({
    contact,
    subscription: nameOfStanding(standing),
    asks: standing.sees === 'asks',
    approved: standing.sees === 'approved',
    asked: standing.seen === 'asked',
  }));
  const next = behind.length > page.length ? (page.at(-1)?.[0] ?? null) : null;
  return { status: 200, body: { items, next } };
}

/** Prepared, or what is wrong with it, and how it is written instead. */
function ownAddress({ own, prepare }: OwnUsersApiParts, jid: string): string | Refusal {
  return own.refusal(jid) ?? prepare(jid) ?? refuse('jid-malformed', `"${jid.slice(0, 200)}" is no JID`);
}
