// `user show`: a user's standing told in sentences; which fact makes which sentence, and that nothing is made up.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { explainConversation, explainUser } from '../../src/cli/user-explain.ts';
import type { ConversationItem, UserView } from '../../src/cli/user-view.ts';
import { wrap } from '../../src/cli/words.ts';
import { type AdminSide, move, secretBody, startAdminSide, token } from '../admin/admin-side.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { crossfade } from './command.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
const before = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const plain: UserView = {
  ...{ jid: 'bob@example.com', phase: 'mqtt', version: 1, moving: null, app: 'none', acks: false },
  ...{
    attached: null,
    changedAt: null,
    linkUp: true,
    ledgerFault: null,
    observed: false,
    locked: false,
    work: { state: 'idle' },
  },
  ...{ lastMove: null, own: null, devices: [], waiting: { toMqtt: 0, toXmpp: 0 }, conversations: [], more: false },
  lastEntries: { toMqtt: null, toXmpp: null },
  ...{ archive: null, legacyLogin: null, notifiedAt: null },
};
const own = {
  ...{ added: true, name: 'Weather', mqttUsername: 'bot%40gw', subscriptions: 'ask', listed: false, profile: {} },
  contacts: { see: 1, asking: 2, seen: 0, asked: 0 },
};
const talk: ConversationItem = {
  ...{ lane: 'toMqtt', peer: 'alice@example.com', accepted: 0, sent: 0, acked: 0, parked: 0, dead: 0, sole: 0 },
  ...{ since: before(7200), why: null },
};
const pilot = { to: 'mqtt', at: before(180), who: 'admin', reason: 'pilot', outcome: 'done', endedAt: before(179) };
const phone = { client: 'phone', online: true, seenAt: before(60) };
const moving = { from: 'mqtt', step: 'return' };

const sentences: [over: Partial<UserView>, told: string][] = [
  [{}, 'bob@example.com is in phase mqtt: the app has the conversation.'],
  [{ phase: 'shadow' }, 'and nobody notices.'],
  [
    { jid: 'bot@gw.example.com', own },
    'It was added by an operator; contacts know it as "Weather". 1 contact sees it, and it sees 0; 2 more wait for an answer. A request is given to its app.',
  ],
  [{ legacyLogin: 'deny' }, 'Legacy clients of this user may not log in while the user is in phase mqtt.'],
  [{ notifiedAt: before(120) }, 'One was told of the move 2 minutes ago.'],
  [{ lastMove: pilot }, 'The last move, to mqtt, was asked for 3 minutes ago by admin (pilot), and is done.'],
  [
    { lastMove: { ...pilot, outcome: 'failed', why: 'there is no such account' } },
    'failed 2 minutes ago: there is no such account.',
  ],
  [
    { phase: 'legacy', moving, lastMove: { ...pilot, to: 'legacy', outcome: 'under way' } },
    'A move from mqtt to legacy, asked for 3 minutes ago by admin (pilot), is under way, at the step return: what no app has acknowledged is handed back.',
  ],
  [{ work: { state: 'link-down' } }, 'The link to the legacy server is down; it goes on by itself'],
  [{ work: { state: 'in-line' } }, 'It is in line'],
  [
    {
      work: {
        ...{ state: 'retrying', attempt: 3, condition: 'resource-constraint', text: 'too many sessions' },
        ...{ failedAt: before(12), retryAt: before(-18) },
      },
    },
    'did not do it 12 seconds ago, at attempt 3 (resource-constraint: too many sessions); it is tried again in 18 seconds.',
  ],
  [
    { attached: { jid: 'bob@example.com/mqtt', shown: 'xa' }, locked: true },
    'On the legacy server the gateway holds the session bob@example.com/mqtt (shown as xa) and legacy clients may not log in.',
  ],
  [
    { attached: { jid: 'bob@example.com/mqtt', shown: 'xa' }, linkUp: false },
    'the session bob@example.com/mqtt (shown as xa), as far as is known: the link to it is down.',
  ],
  [{ phase: 'shadow', observed: true }, 'the gateway gets copies of what the user sends and receives.'],
  [{}, 'there is nothing for this user at the moment.'],
  [{ linkUp: false }, 'The link to the legacy server is down.'],
  [
    { ledgerFault: 'the disk is full: make room' },
    'ledger cannot be written, so that nothing can be done for this user: the disk is full: make room.',
  ],
  [{ devices: [phone], app: 'here', acks: true }, 'Online: phone; its apps acknowledge what they get.'],
  [
    { devices: [{ ...phone, online: false }], app: 'away' },
    'No device is online; the last, phone, was seen 1 minute ago',
  ],
  [{ devices: [{ ...phone, online: false }], app: 'unknown' }, 'is not known yet'],
  [{}, 'No device is known.'],
  [{}, 'Nothing waits.'],
  [
    {
      conversations: [
        { ...talk, accepted: 2, parked: 1, sole: 3 },
        { ...talk, lane: 'toXmpp', dead: 1 },
      ],
      more: true,
    },
    'More than 4 messages are open: 2 to be sent, 1 parked and 1 refused for good; 3 of them nobody else has.',
  ],
  [
    { archive: { at: before(60), gapSince: before(60), missed: null } },
    'What came since 2026-03-01T11:59:00.000Z may be missing, and is asked for from the archive.',
  ],
  [
    {
      archive: { at: before(60), gapSince: null, missed: { from: before(7200), to: before(60), reason: 'no-archive' } },
    },
    'between 2026-03-01T10:00:00.000Z and 2026-03-01T11:59:00.000Z may be missing for good: there is no archive (1 minute ago).',
  ],
  [
    { lastEntries: { toMqtt: before(86_400), toXmpp: before(3) } },
    'The last message came to the apps 1 day ago and from the apps 3 seconds ago.',
  ],
];
test.each(sentences)('%j makes the sentence "%s"', (over, told) => {
  expect(explainUser({ ...plain, ...over }, now).join(' ')).toContain(told);
});

test('of what is not there nothing is told', () => {
  const told = explainUser({ ...plain, phase: 'legacy' }, now).join(' ');
  expect(told).toBe(
    'bob@example.com is in phase legacy: everything is on XMPP, and the gateway does nothing for this user. No device is known. Nothing waits.',
  );
});

const reasons: [over: Partial<ConversationItem>, why: string | null][] = [
  [{ accepted: 1, why: { kind: 'closed', obstacle: 'broker-down' } }, 'the broker is not connected'],
  [{ accepted: 1, why: { kind: 'closed', obstacle: 'link-down' } }, 'the link to the legacy server is down'],
  [{ accepted: 1, why: { kind: 'closed', obstacle: 'offline-window' } }, 'the broker holds as many as it may'],
  [{ accepted: 1, why: { kind: 'closed', obstacle: 'something new' } }, 'something new'],
  [{ parked: 1, why: { kind: 'parked', since: before(60) } }, 'nobody has subscribed; parked 1 minute ago'],
  [
    { accepted: 1, why: { kind: 'retrying', reason: 'PUBACK 151', attempts: 2, until: before(-9) } },
    'not taken at attempt 2: PUBACK 151; tried again in 9 seconds',
  ],
  [{ sent: 1, why: { kind: 'in-flight', since: before(5) } }, 'one is on its way since 5 seconds ago'],
  [{ acked: 1 }, 'settled when the broker has it safely and an app has it'],
  [{ dead: 1, condition: 'not-acceptable' }, 'an operator decides'],
  [{ accepted: 1 }, null],
];
test.each(reasons)('a conversation with %j waits because: %s', (over, why) => {
  const told = explainConversation({ ...talk, ...over }, now);
  if (why === null) expect(told.why).toBeNull();
  else expect(told.why).toContain(why);
});

test('a conversation is told by who, how much and since when', () => {
  expect(explainConversation({ ...talk, accepted: 2, dead: 1, condition: 'not-acceptable' }, now).head).toBe(
    'from alice@example.com: 2 to be sent and 1 refused for good (not-acceptable), the oldest came 2 hours ago',
  );
  expect(explainConversation({ ...talk, lane: 'toXmpp', sent: 1 }, now).head).toMatch(/^to alice@example\.com: /);
});

test('lines are broken between words, and a long word is not', () => {
  expect(wrap('one two three-and-more four', 8)).toEqual(['one two', 'three-and-more', 'four']);
  expect(wrap('one two three')).toEqual(['one two three']);
});

let side: AdminSide;
beforeEach(async () => {
  side = await startAdminSide();
});
afterEach(() => side.close());

test('a parked message, its reason and its devices stand there, and no body', async () => {
  await move(side.url, plain.jid, { phase: 'mqtt', reason: 'pilot group' });
  await waitUntil(() => side.users.get(plain.jid)?.moving === undefined);
  side.send = async () => ({ kind: 'parked', holds: true });
  side.obstacle = null;
  const key = await side.write({});
  await waitUntil(async () => (await side.ledger.do('entry', { key }))[0]?.state === 'parked');
  const env = { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token };
  const { code, out } = await crossfade(['user', 'show', plain.jid], { cwd: side.dir, env });
  expect(code).toBe(0);
  expect(out).toContain('by admin (pilot group), and is done.\n');
  expect(out).toMatch(/^ {2}1 message is open: 1 parked; 1 of them nobody else has\.$/m);
  expect(out).toMatch(/^from alice@example\.com: 1 parked, the oldest came /m);
  expect(out).toMatch(/^ {4}nobody has subscribed; parked /m);
  expect(out).not.toContain(secretBody);
  const json = await crossfade(['user', 'show', plain.jid, '--json'], { cwd: side.dir, env });
  expect(JSON.parse(json.out).conversations[0]).toMatchObject({ parked: 1, sole: 1, why: { kind: 'parked' } });
});
