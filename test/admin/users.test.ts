// The users on the admin side: lists, one user, moves.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
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
  await vi.waitUntil(async () => (await get(bob)).body.moving === null);
  const { body } = await get(bob);
  expect(body.attached).toEqual({ jid: 'bob@example.com/mqtt', shown: 'xa' });
  expect((await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'again' })).status).toBe(200);
});

test('a session of an epoch that is over is not shown, and one whose presence is being changed is', async () => {
  await move(side.url, 'bob@example.com', { phase: 'mqtt', reason: 'pilot' });
  await vi.waitUntil(async () => (await get(bob)).body.moving === null);
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
  });
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
  await vi.waitUntil(async () => (await get(bob)).body.moving === null);
  const { body } = await get('/api/v1/audit?user=BOB@example.com&limit=1');
  expect(body.items).toMatchObject([{ what: 'move.done', who: 'crossfade', user: 'bob@example.com' }]);
  const second = await get(`/api/v1/audit?user=bob@example.com&limit=1&cursor=${body.next}`);
  expect(second.body).toMatchObject({
    items: [{ what: 'user.move', who: 'admin', reason: 'pilot group', detail: 'mqtt' }],
    next: null,
  });
  expect((await get('/api/v1/audit?user=carol@example.com')).body.items).toEqual([]);
});
