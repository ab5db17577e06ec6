// What the admin side shows of one user, as schemas: what the API's document says of it, and what may leave at all.

import { phases } from '../migration/phase.ts';
import { legacyLogins } from '../migration/wanted.ts';
import { ownShape } from './own-view.ts';
import { count, flag, type Schema, shape, text, time } from './route.ts';

/** Entries are counted up to here, the oldest first: one user must not keep the ledger from its commits. */
export const maxCounted = 1000;
export const maxConversations = 100;
/** So many of all entries, the newest, are searched for the user's last. */
export const lastDepth = 200_000;

const orNull = (schema: Schema): Schema => ({ ...schema, type: [schema.type, 'null'] });

export const summaryProperties = {
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
  legacyLogin: {
    type: ['string', 'null'],
    enum: [...legacyLogins, null],
    description: 'What was set for this user; null: what the configuration says.',
  },
  acks: { type: 'boolean', description: "The user's apps acknowledge with out/ack." },
  changedAt: {
    ...time,
    type: ['string', 'null'],
    description: `${time.description}; null for addresses of the configuration`,
  },
};

const workShape = shape(
  {
    state: {
      type: 'string',
      enum: ['idle', 'running', 'in-line', 'link-down', 'retrying'],
      description: 'What the gateway does about the user on the legacy server.',
    },
    attempt: count,
    condition: { type: 'string', description: 'Of the last failure.' },
    text,
    failedAt: time,
    retryAt: time,
  },
  ['attempt', 'condition', 'text', 'failedAt', 'retryAt'],
);
const moveShape = shape(
  {
    to: text,
    at: time,
    who: text,
    reason: text,
    outcome: { type: 'string', enum: ['under way', 'done', 'failed'] },
    endedAt: time,
    why: { type: 'string', description: 'Of a failed one.' },
  },
  ['reason', 'endedAt', 'why'],
);
const whyShape: Schema = {
  ...shape(
    {
      kind: { type: 'string', enum: ['in-flight', 'parked', 'retrying', 'closed', 'in-line'] },
      obstacle: {
        type: 'string',
        description: 'broker-down, broker-unknown, not-published, offline-window, link-down, no-session or stopping.',
      },
      reason: text,
      attempts: count,
      since: time,
      until: time,
    },
    ['obstacle', 'reason', 'attempts', 'since', 'until'],
  ),
  type: ['object', 'null'],
  description: 'Why its first entry is not on its way; null where the rest is with the receiving side.',
};
const conversationShape = shape(
  {
    lane: { type: 'string', enum: ['toMqtt', 'toXmpp'] },
    peer: text,
    accepted: count,
    sent: count,
    acked: { type: 'integer', description: 'With the broker, not settled yet.' },
    parked: count,
    dead: count,
    sole: { type: 'integer', description: 'Of all these, the ones that nobody else has and no app has acknowledged.' },
    since: time,
    condition: { type: 'string', description: 'Of the dead.' },
    why: whyShape,
  },
  ['condition'],
);

const archiveShape = shape({
  at: { ...time, description: 'Everything in the archive up to here is known.' },
  gapSince: {
    ...orNull(time),
    description: 'Messages since then may be missing, and are being asked for; null: none.',
  },
  missed: orNull(shape({ from: time, to: time, reason: text })),
});

export const userShape = shape({
  ...summaryProperties,
  linkUp: { type: 'boolean', description: 'The attach link to the legacy server stands.' },
  ledgerFault: {
    ...orNull(text),
    description: 'Why the ledger cannot be written, so that nothing is changed; null: it can.',
  },
  observed: { type: 'boolean', description: 'The server sends copies of what the user sends and receives.' },
  locked: { type: 'boolean', description: 'The server refuses legacy clients of the user.' },
  notifiedAt: {
    ...orNull(time),
    description: 'When a legacy client was told that the user has moved (legacy login notify).',
  },
  work: workShape,
  lastMove: orNull(moveShape),
  own: { ...orNull(ownShape), description: "Of an address on the component's own domain; null for all others." },
  archive: {
    ...orNull(archiveShape),
    description:
      'How far the archive on the legacy server is known; missed: the last time that the archive could not say what had been missed.',
  },
  devices: { type: 'array', items: shape({ client: text, online: flag, seenAt: time }) },
  waiting: {
    ...shape({ toMqtt: count, toXmpp: count }),
    description: `Entries on their way: accepted, sent or acked; the oldest ${maxCounted} open entries are counted.`,
  },
  conversations: {
    type: 'array',
    items: conversationShape,
    description: `Of the oldest ${maxCounted} open entries, at most ${maxConversations}.`,
  },
  more: { type: 'boolean', description: 'There are more open entries than were counted.' },
  lastEntries: {
    ...shape({ toMqtt: orNull(time), toXmpp: orNull(time) }),
    description: `When the last message in each direction was accepted; null if that was before the newest ${lastDepth} entries of all.`,
  },
});
