// Catch-up: what is in the archive and not here comes, once; what may be missing is said (DESIGN §4).

import { afterEach, expect, test } from 'vitest';
import type { Log } from '../../src/log.ts';
import { waitFor } from '../harness/wait-for.ts';
import { bob, type CoreStage, type CoreStageOptions, session, setCoreStage, startsAt } from './core-stage.ts';
import { PlayedArchive } from './played-archive.ts';

const second = 1_000;
let stage: CoreStage;
let archive: PlayedArchive;
let logged: Record<string, unknown>[];

async function set(options: CoreStageOptions = {}): Promise<void> {
  archive = new PlayedArchive();
  logged = [];
  const hear = (fields: Record<string, unknown>) => void logged.push(fields);
  const log = { info: hear, warn: hear, error: hear, debug: hear } as unknown as Log;
  stage = await setCoreStage({ log, onSend: (stanza, to) => archive.hear(stanza, to), ...options });
}
afterEach(() => stage?.end());

const chat = (n: number | string, more = '') =>
  `<message xmlns='jabber:client' from='alice@example.com/desk' to='${bob}' type='chat' id='m${n}'><body>${n}</body>${more}</message>`;
const withId = (n: number | string) => chat(n, `<stanza-id xmlns='urn:xmpp:sid:0' by='${bob}' id='s${n}'/>`);

/** Said to the user now: archived, and delivered live or not. */
async function said(n: number, isLive: boolean): Promise<void> {
  stage.now += second;
  archive.add(`s${n}`, stage.now, chat(n));
  if (isLive) await stage.arrives(withId(n));
}
const mark = () => stage.ledger.do('mark', { user: bob });
const bodies = async () => (await stage.shown()).map(({ body }) => body);
const gaps = () => logged.filter(({ event }) => event === 'gateway.gap');
const closed = () => waitFor(async () => expect((await mark())?.gapAt).toBeUndefined());
/** The session stands, and the archive's end is known. */
const attached = () => waitFor(async () => expect((await mark())?.id).toBeDefined());

test('what the server archived while it had no session of ours comes, in order, with its own time, as a copy', async () => {
  await set();
  await said(1, true);
  await said(2, false);
  await said(3, false);
  const thirdAt = stage.now;
  stage.now += 3_600 * second;
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['1', '2', '3']);
  expect((await stage.shown()).at(-1)).toMatchObject({
    copy: true,
    direction: 'received',
    at: new Date(thirdAt).toISOString(),
  });
  expect(await stage.entries()).toMatchObject([
    { custody: 'sole' },
    { custody: 'copy', late: true },
    { custody: 'copy' },
  ]);
  expect(await mark()).toMatchObject({ id: 's3', at: thirdAt });
  expect(gaps()).toEqual([]);
});

test('a long gap is closed page by page, and each page moves the mark', async () => {
  await set();
  await said(0, true);
  for (let n = 1; n <= 250; n++) await said(n, false);
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(Array.from({ length: 251 }, (_, n) => String(n)));
  expect(archive.asked).toEqual(['s0', 's100', 's200']);
});

test('what comes live while the gap is open does not move the mark, and is shown once', async () => {
  await set();
  await said(1, true);
  await said(2, false);
  archive.isMute = true;
  stage.restartsServer();
  await said(3, true);
  expect(await mark()).toMatchObject({ id: 's1', gapAt: expect.any(Number) });
  archive.isMute = false;
  await closed();
  expect((await bodies()).sort()).toEqual(['1', '2', '3']);
});

test('a catch-up that broke off goes on from the last page after a crash', async () => {
  await set();
  await said(0, true);
  for (let n = 1; n <= 150; n++) await said(n, false);
  archive.refuse = () => (archive.asked.length > 1 ? 'internal-server-error' : null);
  stage.restartsServer();
  await waitFor(async () => expect(await mark()).toMatchObject({ id: 's100', gapAt: expect.any(Number) }));
  await stage.crashes();
  archive.refuse = undefined;
  archive.asked.length = 0;
  stage.core.linkUp(true);
  await closed();
  expect(archive.asked).toEqual(['s100']);
  expect(await bodies()).toHaveLength(151);
});

test('a place that the archive has forgotten: the time is asked for, and what may be missing is said and kept', async () => {
  await set();
  await said(1, true);
  const firstAt = stage.now;
  stage.now += 600 * second;
  await said(2, false);
  await said(3, false);
  archive.items.shift();
  archive.items.shift();
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['1', '3']);
  expect(gaps()).toMatchObject([{ user: bob, reason: 'mark-unknown', from: new Date(firstAt).toISOString() }]);
  expect(await mark()).toMatchObject({ id: 's3', missed: { from: firstAt, to: stage.now, reason: 'mark-unknown' } });
});

test('without an archive the time that may be missing is said, once for each gap', async () => {
  await set({ hasArchive: false });
  stage.now += 60 * second;
  stage.restartsServer();
  await closed();
  await waitFor(() => expect(gaps()).toMatchObject([{ reason: 'no-archive', from: new Date(startsAt).toISOString() }]));
  expect(await stage.metrics.registry.metrics()).toMatch(/crossfade_gaps_total\{reason="no-archive"\} 1/);
  expect(archive.asked).toEqual([]);
});

test('what may be missing, and was written down when the gateway died, is said by the next one: all of it, and once', async () => {
  await set({ hasArchive: false, isAttached: false });
  for (const to of [startsAt + 60 * second, startsAt + 90 * second]) {
    await stage.ledger.do('gapOpened', { user: bob, at: to });
    const missed = { from: to - 10 * second, to, reason: 'no-archive' };
    await stage.ledger.do('caughtUp', { user: bob, gapAt: to, place: { at: to }, missed, done: true });
  }
  expect(gaps()).toEqual([]);
  await stage.crashes();
  const told = [60, 90].map((s) => ({ user: bob, to: new Date(startsAt + s * second).toISOString() }));
  expect(gaps()).toMatchObject(told);
  await stage.crashes();
  expect(gaps()).toHaveLength(2);
});

test('an archive that refuses is asked again, and after five times it is said that messages may be missing', async () => {
  await set();
  await said(1, true);
  await said(2, false);
  archive.refuse = () => 'forbidden';
  stage.restartsServer();
  await closed();
  expect(archive.asked).toHaveLength(5);
  expect(gaps()).toMatchObject([{ reason: 'archive-refused' }]);
});

test('an archive that says to wait is asked until it answers', async () => {
  await set();
  await said(1, true);
  await said(2, false);
  let refusals = 0;
  archive.refuse = () => (++refusals <= 7 ? 'resource-constraint' : null);
  archive.errorType = 'wait';
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['1', '2']);
  expect(gaps()).toEqual([]);
});

test('the end of an archive that refuses is asked for five times, and no more', async () => {
  await set({ isAttached: false });
  archive.refuse = () => 'forbidden';
  stage.core.linkUp(true);
  await waitFor(() => expect(archive.asked).toHaveLength(5));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(archive.asked).toHaveLength(5);
  expect(gaps()).toEqual([]);
});

test('a user just moved gets nothing of what is older: the mark is set to the archive’s end', async () => {
  await set({ isAttached: false });
  archive.add('s1', startsAt - 5_000 * second, chat(1));
  archive.add('s2', startsAt - 4_000 * second, chat(2));
  stage.core.linkUp(true);
  await attached();
  expect(await mark()).toEqual({ id: 's2', at: startsAt - 4_000 * second });
  expect(await bodies()).toEqual([]);
  await said(3, false);
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['3']);
});

test('copies that the server could not queue open a gap, which the next session closes', async () => {
  await set();
  await said(1, true);
  await said(2, false);
  await new Promise<void>((accepted) => stage.core.missed(bob, accepted));
  await closed();
  expect(await bodies()).toEqual(['1', '2']);
});

test('an answer that does not fit into the server’s queue is asked for in smaller pages until all has come, once', async () => {
  await set();
  await said(0, true);
  for (let n = 1; n <= 30; n++) await said(n, false);
  archive.room = 5;
  await new Promise<void>((accepted) => stage.core.missed(bob, accepted));
  await closed();
  expect(await bodies()).toEqual(Array.from({ length: 31 }, (_, n) => String(n)));
  expect(archive.asked.slice(0, 6)).toEqual(Array(6).fill('s0'));
  expect(gaps()).toEqual([]);
});

test('a change of the session’s presence breaks no catch-up off', async () => {
  await set();
  await said(1, true);
  for (let n = 2; n <= 250; n++) await said(n, false);
  const { attached } = stage.core.users.get(bob)!;
  // While the first page comes.
  archive.refuse = () => {
    if (archive.asked.length === 1) attached!.shown = undefined;
    return null;
  };
  await new Promise<void>((accepted) => stage.core.missed(bob, accepted));
  await waitFor(async () => expect(await bodies()).toHaveLength(101));
  expect((await mark())?.gapAt).toBeDefined();
  attached!.shown = { show: 'xa' };
  await closed();
  expect(await bodies()).toHaveLength(250);
});

test('in dual, with the app away, the gap stays open until there is a session', async () => {
  await set({ phase: 'dual', isAttached: false });
  await said(1, true);
  await said(2, false);
  await new Promise<void>((accepted) => stage.core.missed(bob, accepted));
  expect(archive.asked).toEqual([]);
  expect(await mark()).toMatchObject({ id: 's1', gapAt: expect.any(Number) });
});

test.each([
  ['another query', bob, (id: string) => `${id}x`],
  ['the open query, from a contact', 'alice@example.com/desk', (id: string) => id],
  ['the open query, from another resource of the user', 'bob@example.com/phone', (id: string) => id],
])('a result for %s is not taken', async (_, from, idOf) => {
  await set();
  await said(1, true);
  archive.isMute = true;
  stage.restartsServer();
  const query = await waitFor(() => {
    const id = /queryid="([^"]+)"/.exec(stage.sent.join())?.[1];
    expect(id).toBeDefined();
    return id!;
  });
  await stage.arrives(PlayedArchive.result(idOf(query), { id: 's9', at: startsAt, message: chat(9) }, from));
  expect(await bodies()).toEqual(['1']);
});

test('a message without an id, that came live, comes no second time from the archive', async () => {
  await set();
  await said(1, true);
  const nameless = (more = '') =>
    `<message xmlns='jabber:client' from='alice@example.com/desk' to='${bob}' type='chat'><body>x</body>${more}</message>`;
  stage.now += second;
  archive.add('s2', stage.now, nameless());
  await stage.arrives(nameless(`<stanza-id xmlns='urn:xmpp:sid:0' by='${bob}' id='s2'/>`));
  await said(3, false);
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['1', 'x', '3']);
});

test('two messages with the same id and words stay two, whichever of them came live', async () => {
  await set();
  await said(1, true);
  stage.now += second;
  archive.add('s2', stage.now, chat(1));
  stage.now += second;
  archive.add('s3', stage.now, chat(1));
  stage.restartsServer();
  await closed();
  expect(await bodies()).toEqual(['1', '1', '1']);
});

test('what the app writes to its own user, which the archive has twice, is shown once', async () => {
  await set();
  await said(1, true);
  const note = `<message xmlns='jabber:client' from='${session}' to='${bob}' type='chat' id='a1'><body>a1</body></message>`;
  await stage.says({ id: 'a1', to: bob, body: 'a1', type: 'chat' });
  archive.add('s2', stage.now, note);
  archive.add('s3', stage.now, note);
  stage.restartsServer();
  await closed();
  expect((await stage.shown()).map(({ id }) => id)).toEqual(['m1', 'a1']);
});

test('what the app and a legacy device have said is not told again by the archive', async () => {
  await set();
  await said(1, true);
  const out = (id: string, from: string) =>
    `<message xmlns='jabber:client' from='${from}' to='alice@example.com' type='chat' id='${id}'><body>${id}</body></message>`;
  await stage.says({ id: 'a1', to: 'alice@example.com', body: 'a1', type: 'chat' });
  archive.add('s2', stage.now, out('a1', session));
  await stage.arrives(
    `<message from='${bob}' to='${session}'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>${out('p1', 'bob@example.com/phone')}</forwarded></sent></message>`,
  );
  archive.add('s3', stage.now, out('p1', 'bob@example.com/phone'));
  archive.add('s4', stage.now, out('p2', 'bob@example.com/phone'));
  stage.restartsServer();
  await closed();
  expect((await stage.shown()).map(({ id, direction }) => `${id} ${direction}`)).toEqual([
    'm1 received',
    'a1 sent',
    'p1 sent',
    'p2 sent',
  ]);
});
