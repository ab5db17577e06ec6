// What an operator does to entries over the admin API: retry, return, discard; what is refused, and what stands in the audit.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Entry } from '../../src/ledger/ledger.ts';
import { requestKey } from '../../src/ledger/repeat.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { type AdminSide, type Answer, ask, secretBody, startMoved } from './admin-side.ts';

const bob = 'bob@example.com';
let side: AdminSide;

beforeEach(async () => {
  side = await startMoved(bob);
});
afterEach(() => side.close());

const act = (name: string, keys: string[], reason?: string): Promise<Answer> =>
  ask(side.url, `/api/v1/ledger/${name}`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ keys, reason }),
  });
const entry = async (key: string) => (await side.ledger.do('entry', { key }))[0]!;
const seqOf = async (key: string) => (await entry(key)).seq;
const audit = async () =>
  (await side.ledger.do('audit', { limit: 99 })).filter(({ what }) => what.startsWith('entry.'));

async function dead(draft: Parameters<AdminSide['write']>[0] = {}): Promise<string> {
  const key = await side.write(draft);
  await side.ledger.do('refused', { seq: await seqOf(key), at: 5, condition: 'not-acceptable', text: 'too large' });
  return key;
}

async function parked(draft: Parameters<AdminSide['write']>[0] = {}): Promise<string> {
  const key = await side.write(draft);
  await side.ledger.do('parked', { seq: await seqOf(key), at: 5 });
  return key;
}

test('a retried entry is sent again, before what came after it, and the audit says who, what and why', async () => {
  const key = await dead();
  const later = await side.write({});
  const { body } = await act('retry', [key], 'the broker was set wrongly');
  expect(body.items).toEqual([{ key, done: true, user: bob, state: 'accepted' }]);
  expect(await audit()).toMatchObject([
    { who: 'admin', what: 'entry.retry', user: bob, reason: 'the broker was set wrongly' },
  ]);
  expect((await audit())[0]?.detail).toBe(`${key} (dead, not-acceptable)`);
  const sent: string[] = [];
  side.send = async (entry: Entry) => {
    sent.push(entry.key);
    return { kind: 'delivered' };
  };
  side.obstacle = null;
  await act('retry', [await dead({ peer: 'carol@example.com' })]);
  await act('retry', [await dead()]);
  await waitUntil(() => sent.includes(later));
  expect(sent.indexOf(key)).toBeLessThan(sent.indexOf(later));
  const shown = await ask(side.url, `/api/v1/ledger/${key}`);
  expect(shown.body.acts).toMatchObject([{ who: 'admin', what: 'entry.retry', reason: 'the broker was set wrongly' }]);
});

test('what is handed back goes as it came, with its key and its own time, in the order of the keys', async () => {
  const keys = [await parked(), await dead(), await side.write({})];
  const { body } = await act('return', keys, 'the phone is lost');
  expect(body.items).toEqual(keys.map((key) => ({ key, done: true, user: bob, state: 'returned' })));
  expect(side.givenBack).toEqual(
    keys.map((key) => ({
      ...{ user: bob, key, at: Date.UTC(2026, 0, 2, 3, 4, 5), ends: false },
      stanza: `<message><body>${secretBody}</body></message>`,
    })),
  );
  expect((await audit()).map(({ what, reason }) => [what, reason])).toEqual(
    keys.map(() => ['entry.return', 'the phone is lost']),
  );
});

test('what is on its way is waited for, and not handed back once the broker has it', async () => {
  const puback = Promise.withResolvers<{ kind: 'delivered' }>();
  side.send = () => puback.promise;
  side.obstacle = null;
  const key = await side.write({});
  const asked = act('return', [key]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  puback.resolve({ kind: 'delivered' });
  expect((await asked).body.items).toMatchObject([{ done: false, state: 'acked' }]);
  expect(side.givenBack).toEqual([]);
});

test('what is on its way and comes back unanswered is handed back, and not sent again', async () => {
  const answer = Promise.withResolvers<{ kind: 'lost' }>();
  const sent: string[] = [];
  side.send = (entry) => {
    sent.push(entry.key);
    return answer.promise;
  };
  side.obstacle = null;
  const key = await side.write({});
  const looks = vi.spyOn(side.ledger, 'do');
  const asked = act('return', [key]);
  // By then it has been asked, for the entry was looked for: a loss that comes before that is sent again, as it must be.
  await waitUntil(() => looks.mock.calls.some(([what]) => what === 'entry'));
  await Promise.all(looks.mock.results.map(({ value }) => value));
  await new Promise((resolve) => setImmediate(resolve));
  looks.mockRestore();
  answer.resolve({ kind: 'lost' });
  expect((await asked).body.items).toMatchObject([{ done: true, state: 'returned' }]);
  const other = await side.write({});
  await waitUntil(() => sent.includes(other));
  expect(sent.filter((one) => one === key)).toHaveLength(1);
});

test('an entry that stays unanswered is left alone, and the operator told so', async () => {
  side.send = () => new Promise(() => {});
  side.obstacle = null;
  const key = await side.write({});
  const { body } = await act('return', [key]);
  expect(body.items).toMatchObject([{ key, done: false, text: expect.stringContaining('not answered yet') }]);
  expect(side.givenBack).toEqual([]);
});

test('while something is done about the user on the server nothing of the user is handed back by hand', async () => {
  const key = await side.write({});
  const shown = Promise.withResolvers<void>();
  const isAsked = Promise.withResolvers<void>();
  side.show = async () => {
    isAsked.resolve();
    await shown.promise;
    return { kind: 'processed' };
  };
  await side.devices.heard(bob, 'phone', { online: true });
  await ask(side.url, `/api/v1/users/${bob}/legacy-login`, {
    ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ legacyLogin: 'notify', reason: 'gives the user its turn' }),
  });
  await isAsked.promise;
  expect((await act('return', [key])).body.items).toMatchObject([
    { done: false, text: expect.stringContaining('just being attached or detached; try again') },
  ]);
  shown.resolve();
  await waitUntil(async () => (await act('return', [key])).body.items[0].done);
  expect(side.givenBack.map((stanza) => stanza.key)).toEqual([key]);
});

const serverSays = [
  { answer: { kind: 'refused', condition: 'bad-request', text: 'no stanza' }, from: 'parked', state: 'accepted' },
  { answer: { kind: 'wait', condition: 'resource-constraint', text: '' }, from: 'dead', state: 'dead' },
  { answer: { kind: 'lost' }, from: 'parked', state: 'dead' },
  { answer: { kind: 'lost' }, from: 'dead', state: 'dead' },
] as const;
test.each(serverSays)('an entry that was $from and got $answer.kind is $state', async ({ answer, from, state }) => {
  const key = await (from === 'dead' ? dead() : parked());
  side.giveBack = async () => answer;
  const { body } = await act('return', [key]);
  expect(body.items).toMatchObject([{ key, done: false, state, text: expect.any(String) }]);
  expect(await audit()).toEqual([]);
  // Nothing but a lost answer leaves it open whether the server has it: then it must not be published any more.
  const condition = answer.kind === 'lost' ? 'returning' : from === 'dead' ? 'not-acceptable' : undefined;
  expect((await entry(key)).condition).toBe(condition);
  if (answer.kind === 'lost')
    expect((await act('retry', [key])).body.items).toMatchObject([
      { done: false, text: expect.stringContaining('the legacy side may have it') },
    ]);
  side.giveBack = async () => ({ kind: 'processed' });
  expect((await act('return', [key])).body.items).toMatchObject([{ done: true, state: 'returned' }]);
  expect(side.givenBack.map((stanza) => stanza.key)).toEqual([key, key]);
});

test('discarding needs a reason; the app whose message it was is told, and nobody hears a body', async () => {
  const request = { lane: 'toXmpp', topic: undefined, original: undefined, id: 'm1' } as const;
  const key = await side.write({ ...request, requestKey: requestKey({ user: bob, id: 'm1' }) });
  const gone = await dead({ ...request, id: 'm2' });
  expect((await act('discard', [key])).status).toBe(400);
  const { body } = await act('discard', [key, gone], 'a test account');
  expect(body.items).toMatchObject([{ done: true, state: 'discarded' }, { done: true }]);
  expect(await entry(key)).toMatchObject({ condition: 'operator', text: 'a test account' });
  expect(side.published.map(({ topic, payload }) => [topic, JSON.parse(payload).id])).toEqual([
    ['chat/bob/in/error', 'm1'],
  ]);
  expect(JSON.stringify(side.published)).not.toContain(secretBody);
});

test('a parked entry that is discarded lets the next one of its conversation go; another act does not', async () => {
  const sent: string[] = [];
  side.send = async (entry) => {
    sent.push(entry.key);
    return sent.length === 1 ? { kind: 'parked', holds: true } : { kind: 'delivered' };
  };
  side.obstacle = null;
  const first = await side.write({});
  await waitUntil(async () => (await entry(first)).state === 'parked');
  const second = await side.write({});
  const third = await side.write({});
  await act('discard', [third], 'a test');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(sent).toEqual([first]);
  await act('discard', [first], 'a test');
  await waitUntil(() => sent.includes(second));
  expect(sent).toEqual([first, second]);
});

test('nothing is retried for a user whose apps are not served', async () => {
  const key = await dead({ user: 'carol@example.com' });
  expect((await act('retry', [key])).body.items).toMatchObject([
    { done: false, state: 'dead', text: expect.stringContaining('carol@example.com is not open to apps') },
  ]);
});

const wrong = [
  { why: 'no keys', body: { keys: [] } },
  { why: 'too many keys', body: { keys: Array.from({ length: 101 }, (_, index) => `k-${index}`) } },
  { why: 'a key twice', body: { keys: ['k-1', 'k-1'] } },
  { why: 'an unknown field', body: { keys: ['k-1'], force: true } },
];
test.each(wrong)('$why is refused', async ({ body }) => {
  const headers = { 'content-type': 'application/json' };
  const answer = await ask(side.url, '/api/v1/ledger/retry', { method: 'POST', headers, body: JSON.stringify(body) });
  expect(answer.status).toBe(400);
});

test('a key the ledger does not know is answered for itself', async () => {
  const key = await dead();
  const { body } = await act('retry', ['nonsense', key]);
  expect(body.items).toMatchObject([
    { key: 'nonsense', done: false, text: 'the ledger has no such entry' },
    { key, done: true },
  ]);
});
