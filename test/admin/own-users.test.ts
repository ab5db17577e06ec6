// Users of the component's own domain on the admin side: added, changed, removed; and what is refused, row by row.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminSide, ask, startAdminSide } from './admin-side.ts';

let side: AdminSide;
beforeEach(async () => {
  side = await startAdminSide(['bot@gw.example.com']);
});
afterEach(() => side.close());

const pathOf = (jid: string) => `/api/v1/users/${encodeURIComponent(jid)}`;
const json = { 'content-type': 'application/json' };
const put = (jid: string, body: unknown) =>
  ask(side.url, pathOf(jid), { method: 'PUT', headers: json, body: JSON.stringify(body) });
const remove = (jid: string, reason = 'over') => ask(side.url, `${pathOf(jid)}?reason=${reason}`, { method: 'DELETE' });
const get = (path: string) => ask(side.url, path);

test('an address is added at once, changed by the same request, and removed; each is in the audit', async () => {
  const added = await put('News@GW.example.com', {
    reason: 'news',
    subscriptions: 'accept',
    profile: { name: 'The News' },
  });
  expect(added).toMatchObject({
    status: 201,
    body: {
      ...{ jid: 'news@gw.example.com', added: true, listed: false, name: 'The News', subscriptions: 'accept' },
      ...{ mqttUsername: 'news%40gw%2Eexample%2Ecom', profile: { name: 'The News' } },
      contacts: { see: 0, asking: 0, seen: 0, asked: 0 },
    },
  });
  expect(side.users.get('news@gw.example.com')).toMatchObject({ own: true, phase: 'mqtt' });
  const changed = await put('news@gw.example.com', {
    reason: 'as usual',
    subscriptions: null,
    listed: true,
    profile: { name: null },
  });
  expect(changed).toMatchObject({
    status: 200,
    body: { name: 'news', subscriptions: 'ask', listed: true, profile: {} },
  });
  expect((await get(pathOf('news@gw.example.com'))).body).toMatchObject({ phase: 'mqtt', own: { listed: true } });
  expect(await remove('news@gw.example.com')).toMatchObject({ status: 200, body: { jid: 'news@gw.example.com' } });
  expect((await get(pathOf('news@gw.example.com'))).status).toBe(404);
  const { body } = await get('/api/v1/audit?user=news@gw.example.com');
  expect(body.items.map(({ what, reason }: { what: string; reason: string }) => [what, reason])).toEqual([
    ['user.remove', 'over'],
    ['user.set', 'as usual'],
    ['user.add', 'news'],
  ]);
});

test('what the configuration declares may be given a profile, whose picture is not shown', async () => {
  const data = Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(60_000)]).toString('base64');
  const { status, body } = await put('bot@gw.example.com', {
    reason: 'logo',
    profile: { avatar: { type: 'image/gif', data } },
  });
  expect({ status, added: body.added, profile: body.profile }).toEqual({
    ...{ status: 200, added: false },
    profile: { avatar: { type: 'image/gif', bytes: 60_006 } },
  });
  expect((await get(pathOf('alice@example.com'))).status).toBe(404);
});

test('contacts are listed page by page, and counted', async () => {
  for (const [contact, sees] of [
    ['a@example.com', 'yes'],
    ['b@example.com', 'asks'],
    ['c@example.com', 'approved'],
  ] as const)
    await side.own.setStanding('bot@gw.example.com', contact, { sees });
  await side.own.setStanding('bot@gw.example.com', 'a@example.com', { sees: 'yes', seen: 'yes' });
  const path = `${pathOf('bot@gw.example.com')}/contacts`;
  const first = (await get(`${path}?limit=2`)).body;
  expect(first.items).toEqual([
    { contact: 'a@example.com', subscription: 'both', asks: false, approved: false, asked: false },
    { contact: 'b@example.com', subscription: 'none', asks: true, approved: false, asked: false },
  ]);
  const second = (await get(`${path}?limit=2&cursor=${first.next}`)).body;
  expect([second.items.map(({ contact }: { contact: string }) => contact), second.next]).toEqual([
    ['c@example.com'],
    null,
  ]);
  expect((await get(pathOf('bot@gw.example.com'))).body.own.contacts).toEqual({ see: 1, asking: 1, seen: 1, asked: 0 });
});

test('who still has messages is not removed, and goes on', async () => {
  await put('news@gw.example.com', { reason: 'news' });
  await side.write({ user: 'news@gw.example.com' });
  const refused = await remove('news@gw.example.com');
  expect(refused).toMatchObject({ status: 409, body: { type: 'urn:crossfade:problem:conflict' } });
  expect(refused.body.detail).toContain('news@gw.example.com still has one open entry');
  expect(refused.body.detail).toContain('crossfade ledger discard --user news@gw.example.com');
  expect(side.users.isOpen('news@gw.example.com')).toBe(true);
});

const longAvatar = {
  type: 'image/gif',
  data: Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(70_000)]).toString('base64'),
};
const bad: [what: string, jid: string, body: Record<string, unknown>, status: number, detail: string][] = [
  ['no reason', 'news@gw.example.com', {}, 400, 'reason'],
  [
    'an address of the users’ domain',
    'alice@example.com',
    { reason: 'x' },
    409,
    '"alice@example.com" is not an address such as name@gw.example.com',
  ],
  [
    'a slash before the domain',
    'a/b@gw.example.com',
    { reason: 'x' },
    400,
    'for this name write a\\2fb@gw.example.com (XEP-0106)',
  ],
  ['a space', 'two words@gw.example.com', { reason: 'x' }, 400, 'write two\\20words@gw.example.com'],
  ['a resource', 'bot@gw.example.com/desk', { reason: 'x' }, 409, 'is not an address such as name@gw.example.com'],
  ['the domain alone', 'gw.example.com', { reason: 'x' }, 409, 'is not an address such as name@gw.example.com'],
  ['another policy', 'news@gw.example.com', { reason: 'x', subscriptions: 'deny' }, 400, 'subscriptions'],
  [
    'an unknown field of the profile',
    'news@gw.example.com',
    { reason: 'x', profile: { phone: '1' } },
    400,
    'a profile has no phone',
  ],
  [
    'a picture that is too large',
    'news@gw.example.com',
    { reason: 'x', profile: { avatar: longAvatar } },
    413,
    'the avatar has 70006 bytes; 65536 are allowed',
  ],
  [
    'the account of the gateway',
    'gateway@gw.example.com',
    { reason: 'x' },
    409,
    "would share the gateway's own account",
  ],
];
test.each(bad)('%s is refused, and nobody is added', async (_, jid, body, status, detail) => {
  const before = side.users.size;
  const answer = await put(jid, body);
  expect(answer.status).toBe(status);
  expect(answer.body.detail).toContain(detail);
  expect(side.users.size).toBe(before);
});

test('what is not there, or is declared, cannot be removed', async () => {
  expect((await remove('nobody@gw.example.com')).status).toBe(404);
  const declared = await remove('bot@gw.example.com');
  expect(declared.status).toBe(409);
  expect(declared.body.detail).toContain('take it out of xmpp.component.users');
});
