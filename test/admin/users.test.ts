// The users on the admin side: lists, one user, moves.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor, waitUntil } from '../harness/wait-for.ts';
import { type AdminSide, ask, move, startAdminSide } from './admin-side.ts';

let side: AdminSide;

beforeEach(async () => {
  side = await startAdminSide(['bot@gw.example.com']);
});
afterEach(() => side.close());

const get = (path: string) => ask(side.url, path);
const bob = '/api/v1/users/bob%40example.com';

test('a move answers 202 while it runs, and the user shows its end', async () => {
  const server = Promise.withResolvers<void>();
  side.attach = async (user) => {
    await server.promise;
    return { kind: 'attached', jid: `${user}/mqtt` };
  };
  const asked = await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  expect(asked).toMatchObject({ status: 202, body: { jid: 'bob@example.com', phase: 'mqtt', version: 1 } });
  expect(asked.body.moving).toEqual({ from: 'legacy', step: 'arrange' });
  expect(asked.body.attached).toBeNull();
  expect((await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'again' })).status).toBe(202);
  server.resolve();
  await waitUntil(async () => (await get(bob)).body.moving === null);
  const { body } = await get(bob);
  expect(body.attached).toEqual({ jid: 'bob@example.com/mqtt', shown: 'xa' });
  expect((await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'again' })).status).toBe(200);
});

test('a session of an epoch that is over is not shown, and one whose presence is being changed is', async () => {
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  await waitUntil(async () => (await get(bob)).body.moving === null);
  const user = side.users.get('bob@example.com')!;
  const jid = 'bob@example.com/mqtt';
  user.attached = { jid, epoch: 'epoch-1' };
  expect((await get(bob)).body.attached).toEqual({ jid, shown: null });
  user.attached = { jid, epoch: '', shown: { show: 'xa' } };
  expect((await get(bob)).body.attached).toBeNull();
  expect((await get('/api/v1/users')).body.items[0]).toMatchObject({ jid: 'bob@example.com', attached: null });
});

test("a user whose topics would belong to the gateway's own account is not moved to them, but may be moved back", async () => {
  const there = await move(side.url, 'Crossfade@example.com', { phase: 'mqtt', reason: 'pilot' });
  expect(there).toMatchObject({ status: 409, body: { type: 'urn:crossfade:problem:not-acceptable' } });
  expect(there.body.detail).toContain("crossfade@example.com would share the gateway's own account");
  expect(there.body.detail).toContain('mqtt.username');
  expect((await get('/api/v1/users/crossfade@example.com')).status).toBe(404);
  expect((await move(side.url, 'crossfade@example.com', { phase: 'legacy', reason: 'back' })).status).toBe(200);
});

test('one user is shown with devices, times and what waits, in exactly the documented fields', async () => {
  await move(side.url, 'bob@example.com', { phase: 'legacy', reason: 'made known' });
  await side.devices.heard('bob@example.com', 'phone', { online: true });
  await side.write({});
  await side.write({ lane: 'toXmpp', topic: undefined, original: undefined });
  const { status, body } = await get(bob);
  expect(status).toBe(200);
  expect(body).toEqual({
    jid: 'bob@example.com',
    phase: 'legacy',
    version: 1,
    moving: null,
    attached: null,
    app: 'here',
    acks: false,
    changedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    devices: [{ client: 'phone', online: true, seenAt: expect.stringMatching(/Z$/) }],
    waiting: { toMqtt: 1, toXmpp: 1 },
    linkUp: true,
    ledgerFault: null,
    observed: false,
    locked: false,
    legacyLogin: null,
    notifiedAt: null,
    work: { state: 'idle' },
    own: null,
    lastMove: {
      ...{ to: 'legacy', who: 'admin', reason: 'made known', outcome: 'done' },
      at: expect.stringMatching(/Z$/),
    },
    conversations: ['toMqtt', 'toXmpp'].map((lane) => ({
      ...{ lane, peer: 'alice@example.com', accepted: 1, sent: 0, acked: 0, parked: 0, dead: 0, sole: 1 },
      since: expect.stringMatching(/Z$/),
      why: { kind: 'closed', obstacle: 'broker-down' },
    })),
    more: false,
    archive: null,
    lastEntries: { toMqtt: expect.stringMatching(/Z$/), toXmpp: expect.stringMatching(/Z$/) },
  });
});

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);
const holdups = [
  {
    answer: { kind: 'retry', reason: 'PUBACK 151' },
    why: { kind: 'retrying', reason: 'PUBACK 151', attempts: 1, until: time },
  },
  { answer: { kind: 'parked', holds: true }, why: { kind: 'parked', since: time } },
  { answer: { kind: 'delivered' }, why: null },
  { answer: null, why: { kind: 'in-flight', since: time } },
] as const;
test.each(holdups)(
  'a conversation whose first entry was answered $answer says why it waits',
  async ({ answer, why }) => {
    await move(side.url, 'bob@example.com', { phase: 'legacy', reason: 'made known' });
    const sent = Promise.withResolvers<void>();
    side.send = async () => {
      sent.resolve();
      return answer ?? new Promise(() => {});
    };
    side.obstacle = null;
    await side.write({});
    await sent.promise;
    await waitFor(async () => expect((await get(bob)).body.conversations[0].why).toEqual(why));
  },
);

test('a move that the server puts off shows what failed and when it is tried again', async () => {
  side.attach = async () => ({ kind: 'wait', condition: 'resource-constraint', text: 'too many sessions' });
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  await waitFor(async () => {
    const { body } = await get(bob);
    expect(body.work).toMatchObject({ state: 'retrying', attempt: 1, failedAt: time, retryAt: time });
    expect((await ask(side.url, '/metrics')).text).toContain('crossfade_users_to_do{work="retrying"} 1');
    expect(body.work).toMatchObject({ condition: 'resource-constraint', text: 'too many sessions' });
    expect(body.lastMove).toMatchObject({ to: 'mqtt', outcome: 'under way', reason: 'pilot' });
  });
});

test('a move that failed says so, with the reason of the server', async () => {
  side.attach = async () => ({ kind: 'refused', condition: 'item-not-found', text: 'there is no such account' });
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  await waitFor(async () =>
    expect((await get(bob)).body.lastMove).toMatchObject({ outcome: 'failed', why: 'there is no such account' }),
  );
});

test('…/phase tells phase and move, and no more', async () => {
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  await waitUntil(async () => (await get(`${bob}/phase`)).body.moving === null);
  const { body } = await get(`${bob}/phase`);
  expect(Object.keys(body)).toEqual([
    'jid',
    'phase',
    'version',
    'moving',
    'attached',
    'app',
    'legacyLogin',
    'acks',
    'changedAt',
  ]);
  expect((await get('/api/v1/users/nobody@example.com/phase')).status).toBe(404);
});

const dryRuns = [
  { jid: 'carol@example.com', phase: 'mqtt', status: 200 },
  { jid: 'carol@example.org', phase: 'mqtt', status: 404 },
  { jid: 'carol', phase: 'mqtt', status: 400 },
  { jid: 'bot@gw.example.com', phase: 'legacy', status: 409 },
  { jid: 'crossfade@example.com', phase: 'mqtt', status: 409 },
  { jid: 'carol@example.com', phase: 'mqqt', status: 400 },
];
test.each(dryRuns)(
  'a dry run for $jid to $phase answers $status as the move would, and changes nothing',
  async (row) => {
    const { jid, phase, status } = row;
    const answer = await move(side.url, jid, { phase, reason: 'a test', dryRun: true });
    expect(answer.status).toBe(status);
    if (status === 200) expect(answer.body).toMatchObject({ jid, phase: 'legacy', version: 0, moving: null });
    expect(side.users.get('carol@example.com')).toBeUndefined();
    expect((await get('/api/v1/audit')).body.items).toEqual([]);
    // The true one answers alike.
    const real = await move(side.url, jid, { phase, reason: 'a test' });
    expect(real.status >= 400 ? real.status : 200).toBe(status);
  },
);

test('a list can be of one pattern', async () => {
  for (const name of ['anna', 'arno', 'bob'])
    await move(side.url, `${name}@example.com`, { phase: 'legacy', reason: 'x' });
  const jids = async (match: string) =>
    (await get(`/api/v1/users?match=${encodeURIComponent(match)}`)).body.items.map(({ jid }: { jid: string }) => jid);
  expect(await jids('a*@example.com')).toEqual(['anna@example.com', 'arno@example.com']);
  expect(await jids('*')).toHaveLength(4);
  expect(await jids('ar?o@*')).toEqual(['arno@example.com']);
});

test('a JID in the path is prepared, so any way of writing it finds the same user', async () => {
  await move(side.url, 'BOB@Example.COM', { phase: 'legacy', reason: 'made known' });
  for (const jid of ['bob@example.com', 'Bob@example.com', 'bob%40EXAMPLE.com', 'bob%40example.com%2Fphone']) {
    expect((await get(`/api/v1/users/${jid}`)).body.jid).toBe('bob@example.com');
  }
});

test('lists come in order, page by page, each user once', async () => {
  const names = ['erin', 'alice', 'dave', 'carol', 'bob'];
  for (const name of names) await move(side.url, `${name}@example.com`, { phase: 'legacy', reason: 'made known' });
  const seen: string[] = [];
  let pages = 0;
  for (let cursor: string | null = ''; cursor !== null; pages++) {
    const query = new URLSearchParams({ limit: '2', ...(cursor === '' ? {} : { cursor }) });
    const { body } = await get(`/api/v1/users?${query}`);
    seen.push(...body.items.map((user: { jid: string }) => user.jid));
    cursor = body.next;
  }
  expect(seen).toEqual([
    'alice@example.com',
    'bob@example.com',
    'bot@gw.example.com',
    'carol@example.com',
    'dave@example.com',
    'erin@example.com',
  ]);
  expect(pages).toBe(3);
});

test('a list can be of one phase', async () => {
  await move(side.url, 'bob@example.com', { phase: 'legacy', reason: 'made known' });
  const jids = async (phase: string) =>
    (await get(`/api/v1/users?phase=${phase}`)).body.items.map((user: { jid: string }) => user.jid);
  expect(await jids('legacy')).toEqual(['bob@example.com']);
  expect(await jids('mqtt')).toEqual(['bot@gw.example.com']);
});

test('a move stands in the audit with who and why, the newest first, page by page', async () => {
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot group' });
  await waitUntil(async () => (await get(bob)).body.moving === null);
  const { body } = await get('/api/v1/audit?user=BOB@example.com&limit=1');
  expect(body.items).toMatchObject([{ what: 'move.done', who: 'crossfade', user: 'bob@example.com' }]);
  const second = await get(`/api/v1/audit?user=bob@example.com&limit=1&cursor=${body.next}`);
  expect(second.body).toMatchObject({
    items: [{ what: 'user.move', who: 'admin', reason: 'pilot group', detail: 'mqtt' }],
    next: null,
  });
  expect((await get('/api/v1/audit?user=carol@example.com')).body.items).toEqual([]);
});
