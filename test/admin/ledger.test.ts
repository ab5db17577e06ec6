// The ledger on the admin side: lists, counts and single entries, and never a body.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminSide, ask, secretBody, startAdminSide } from './admin-side.ts';

let side: AdminSide;
let keys: string[];

beforeAll(async () => {
  side = await startAdminSide();
  keys = [
    await side.write({}),
    await side.write({ user: 'carol@example.com', id: 'shared' }),
    await side.write({ lane: 'toXmpp', topic: undefined, original: undefined }),
    await side.write({ refused: { condition: 'policy-violation', text: 'too large' } }),
  ];
});
afterAll(() => side.close());

const list = [
  { query: '', found: [0, 1, 2, 3] },
  { query: '?lane=toMqtt', found: [0, 1, 3] },
  { query: '?lane=toXmpp', found: [2] },
  { query: '?user=Carol@example.com', found: [1] },
  { query: '?state=waiting', found: [0, 1, 2] },
  { query: '?state=dead', found: [3] },
  { query: '?lane=toXmpp&state=dead', found: [] },
  { query: '?id=shared', found: [1] },
  { query: '?before=2020-01-01T00:00:00Z', found: [] },
  { query: '?before=2999-01-01T00:00:00Z', found: [0, 1, 2, 3] },
];

test.each(list)('the list with "$query"', async ({ query, found }) => {
  const { status, body } = await ask(side.url, `/api/v1/ledger${query}`);
  expect(status).toBe(200);
  expect(body.items.map((entry: { key: string }) => entry.key)).toEqual(found.map((index) => keys[index]));
  expect(body.next).toBeNull();
});

test('a time that is none is refused', async () => {
  expect((await ask(side.url, '/api/v1/ledger?before=yesterday')).status).toBe(400);
});

test('pages follow each other without a gap', async () => {
  const first = await ask(side.url, '/api/v1/ledger?limit=3');
  expect(first.body.items).toHaveLength(3);
  const second = await ask(side.url, `/api/v1/ledger?limit=3&cursor=${first.body.next}`);
  expect(second.body.items.map((entry: { key: string }) => entry.key)).toEqual([keys[3]]);
});

test('one entry has its whole life in readable times', async () => {
  const { body } = await ask(side.url, `/api/v1/ledger/${keys[3]}`);
  expect(body).toEqual({
    key: keys[3],
    seq: expect.any(Number),
    lane: 'toMqtt',
    state: 'dead',
    user: 'bob@example.com',
    peer: 'alice@example.com',
    channel: 'message',
    id: keys[3],
    custody: 'sole',
    mapping: 'rfc6121-message',
    condition: 'policy-violation',
    text: 'too large',
    archived: false,
    late: false,
    acts: [],
    attempts: 0,
    at: '2026-01-02T03:04:05.000Z',
    acceptedAt: expect.stringMatching(/Z$/),
    endedAt: expect.stringMatching(/Z$/),
  });
});

test('counts are per lane and state', async () => {
  const { body } = await ask(side.url, '/api/v1/ledger/counts');
  const none = { sent: 0, acked: 0, settled: 0, parked: 0, returned: 0, discarded: 0 };
  expect(body).toEqual({ toMqtt: { ...none, accepted: 2, dead: 1 }, toXmpp: { ...none, accepted: 1, dead: 0 } });
});

test('no answer ever holds a body, a payload or a stanza', async () => {
  const paths = ['/api/v1/ledger', ...keys.map((key) => `/api/v1/ledger/${key}`), '/api/v1/ledger/counts'];
  paths.push('/api/v1/users', '/api/v1/audit', '/metrics', '/readyz');
  for (const path of paths) {
    const { status, text } = await ask(side.url, path);
    expect({ path, status }).toEqual({ path, status: 200 });
    expect(text).not.toContain(secretBody);
    expect(text).not.toMatch(/"(payload|original|body|stanza)":/);
  }
});
