// The commands that act on entries, and the one that tells an entry's life: what they print, do, and refuse.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type AdminSide, secretBody, startMoved, token } from '../admin/admin-side.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { crossfade } from './command.ts';

const bob = 'bob@example.com';
let side: AdminSide;

beforeEach(async () => {
  side = await startMoved(bob);
});
afterEach(() => side.close());

const run = (...args: string[]) =>
  crossfade(['ledger', ...args], {
    ...{ cwd: side.dir, env: { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token } },
  });
const entry = async (key: string) => (await side.ledger.do('entry', { key }))[0]!;
const states = (keys: string[]) => Promise.all(keys.map(async (key) => (await entry(key)).state));

async function dead(draft: Parameters<AdminSide['write']>[0] = {}): Promise<string> {
  const key = await side.write(draft);
  const { seq } = await entry(key);
  await side.ledger.do('refused', { seq, at: Date.now(), condition: 'not-acceptable', text: 'packet too large' });
  return key;
}

test('one entry is acted on at once, by its key', async () => {
  const keys = [await dead(), await dead(), await dead()];
  expect(await run('retry', keys[0]!)).toEqual({ code: 0, out: `${keys[0]} is accepted again\n`, err: '' });
  expect(await run('return', keys[1]!)).toEqual({
    ...{ code: 0, out: `${keys[1]} is handed back to the legacy server\n`, err: '' },
  });
  expect((await run('discard', keys[2]!)).code).toBe(64);
  expect((await run('discard', keys[2]!, '--reason', 'a test')).out).toBe(`${keys[2]} is discarded\n`);
  expect(await states(keys)).toEqual(['accepted', 'returned', 'discarded']);
  const again = await run('retry', keys[2]!);
  expect(again).toEqual({ code: 1, out: '', err: `crossfade: ${keys[2]}: it is neither parked nor dead\n` });
  const json = JSON.parse((await run('retry', keys[2]!, '--json')).out);
  expect(json).toMatchObject({ act: 'retry', done: 0, items: [{ key: keys[2], done: false, state: 'discarded' }] });
});

test('several are only listed, with the command that does it; --yes does it', async () => {
  const keys = [await dead(), await dead({ peer: 'carol@example.com' })];
  const other = await dead({ user: 'eve@example.com' });
  const dry = await run('discard', '--user', bob, '--reason', "a tester's account");
  expect(dry.code).toBe(0);
  expect(dry.out).toMatch(new RegExp(`^${keys[0]} {2}toMqtt {2}${bob} {2}alice@example.com {2}dead {3}sole `, 'm'));
  expect(dry.out).toContain('2 entries would be discarded.\nNobody else has 2 of them: they would be lost.\n');
  expect(dry.err).toBe(
    `Nothing was changed. To do it:\n  crossfade ledger discard --user ${bob} --reason 'a tester'\\''s account' --yes\n`,
  );
  expect(dry.out).not.toContain(other);
  expect(await states(keys)).toEqual(['dead', 'dead']);
  const done = await run('discard', '--user', bob, '--reason', "a tester's account", '--yes');
  expect(done).toEqual({ code: 0, out: '2 entries discarded\n', err: '' });
  expect(await states([...keys, other])).toEqual(['discarded', 'discarded', 'dead']);
  expect(await run('discard', '--user', bob, '--reason', 'x', '--yes')).toEqual({
    ...{ code: 0, out: '', err: 'no entry fits that can be discarded\n' },
  });
});

test('the command to copy never holds the token', async () => {
  const keys = [await dead(), await dead()];
  const { err } = await run('retry', ...keys, '--token', token);
  expect(err).toContain(`crossfade ledger retry ${keys.join(' ')} --yes`);
  expect(err).not.toContain(token);
});

test('what could not be done is listed with the reason, and the exit code says so', async () => {
  const keys = [await dead(), await side.write({ custody: 'copy' })];
  const { code, out, err } = await run('return', ...keys, '--yes');
  expect({ code, err }).toEqual({ code: 1, err: 'crossfade: 1 of 2 entries were left as they are\n' });
  expect(out).toMatch(/^1 entry handed back to the legacy server$/m);
  expect(out).toMatch(new RegExp(`^${keys[1]} {2}${bob} {2}accepted {2}somebody else has it, too`, 'm'));
});

test('return by a filter takes what nobody else has, in the order in which it came', async () => {
  const keys = [await dead(), await side.write({}), await dead()];
  await side.write({ custody: 'copy' });
  const acked = await side.write({});
  await side.ledger.do('answered', { seq: (await entry(acked)).seq, at: 5 });
  expect((await run('return', '--user', bob, '--yes')).out).toBe('3 entries handed back to the legacy server\n');
  expect(side.givenBack.map(({ key }) => key)).toEqual(keys);
});

test('--older chooses by age', async () => {
  const key = await dead();
  expect((await run('retry', '--older', '1h')).err).toBe('no entry fits that can be accepted again\n');
  const twoHoursAgo = vi.spyOn(systemClock, 'now').mockReturnValue(Date.now() - 7_200_000);
  const old = await dead();
  twoHoursAgo.mockRestore();
  const listed = (await run('list', '--older', '1h', '--json')).out;
  expect(JSON.parse(listed).map((entry: { key: string }) => entry.key)).toEqual([old]);
  expect(JSON.parse((await run('retry', '--older', '1h', '--yes', '--json')).out)).toMatchObject({ done: 1 });
  expect(await states([key, old])).toEqual(['dead', 'accepted']);
});

const usage = [
  { args: ['retry'], err: 'name the keys, or choose by' },
  { args: ['retry', 'k-1', 'k-2', '--user', bob], err: 'but not both' },
  { args: ['retry', '--older', 'yesterday'], err: 'a number with a unit' },
  { args: ['return', '--all'], err: '--all and --offline go together' },
  { args: ['return', '--offline', 'k-1'], err: '--all and --offline go together' },
  { args: ['return', '--all', '--offline', '--user', bob], err: 'name no keys' },
  { args: ['discard', '--state', 'dead'], err: "required option '--reason <text>' not specified" },
  { args: ['retry', '--state', 'settled'], err: 'Allowed choices are parked, dead' },
];
test.each(usage)('ledger $args is wrong usage: "$err"', async ({ args, err }) => {
  const ended = await run(...args);
  expect(ended).toMatchObject({ code: 64, out: '' });
  expect(ended.err).toContain(err);
});

test("show tells a message's whole life in the order of its times, and what an operator did", async () => {
  const position = { link: 'gw/example.com', epoch: 'e1', n: 7 };
  const key = await dead({ id: 'm1', position, archiveKey: 'archive-key-of-22-chars' });
  await run('retry', key, '--reason', 'the limit was raised');
  side.send = async () => ({ kind: 'delivered' });
  side.obstacle = null;
  await run('retry', await dead());
  await waitUntil(async () => (await entry(key)).state === 'acked');
  await side.ledger.do('appAcked', { user: bob, keys: [key], at: Date.now() + 1 });
  const { out } = await run('show', key);
  const when = String.raw`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z {2}`;
  const moments = out.split('\n').filter((line) => new RegExp(when).test(line));
  expect(moments.map((line) => line.slice(26))).toEqual([
    'written by its sender, by its own time stamp',
    'accepted: on disk, then acknowledged',
    'admin: retry (the limit was raised)',
    'the broker took it (attempt 1)',
    'an app acknowledged it',
  ]);
  expect(out).toMatch(/^A message from alice@example.com to the apps of bob@example.com$/m);
  expect(out).toMatch(/^position {2}7 on gw\/example.com, epoch e1$/m);
  expect(out).toMatch(/^topic {5}chat\/bob\/in\/message$/m);
  expect(out).toMatch(/^archive {3}its repeats are told by the id the archive gave it$/m);
  expect(out).not.toContain(secretBody);
  expect((await run('show', key, '--json')).out).not.toContain(secretBody);
});

test("show finds by the sender's id as well, and tells of every message that has it", async () => {
  const keys = [await side.write({ id: 'same' }), await dead({ id: 'same', user: 'eve@example.com' })];
  const { out, err } = await run('show', 'same');
  expect(out.match(/^key .*$/gm)).toEqual(keys.map((key) => `key      ${key}`));
  expect(err).toBe('\n2 entries have this id\n');
  expect(JSON.parse((await run('show', 'same', '--json')).out)).toMatchObject(keys.map((key) => ({ key })));
  expect(await run('show', 'none')).toMatchObject({
    ...{ code: 1, out: '', err: expect.stringContaining("neither as a key nor as a sender's id") },
  });
});
