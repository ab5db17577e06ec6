// What expires is not sent any more, ends as discarded, and its sender is told by an entry; what is in time goes with its time.

import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { Deliver } from '../../src/flow/deliver.ts';
import { Expiry } from '../../src/flow/expiry.ts';
import type { Answer, Road } from '../../src/flow/road.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { makeTopics } from '../../src/mqtt/topic.ts';
import { prepareBare } from '../../src/xmpp/jid.ts';
import { draft, localLedger } from '../ledger/bench.ts';
import type { Gate } from '../ledger/local-engine.ts';
import { TurnedClock } from '../migration/stage.ts';
import { bob, type CoreStage, type CoreStageOptions, setCoreStage, startsAt } from './core-stage.ts';

let stage: CoreStage;
const set = async (options: CoreStageOptions) => {
  stage = await setCoreStage(options);
};
afterEach(async () => {
  await stage?.end();
});

const message = (id: string) => ({ id, to: 'alice@example.com', type: 'chat', body: id });
const fromAlice = (id: string, more = '') =>
  `<message from='alice@example.com/a' to='${bob}' type='chat' id='${id}'><body>hi</body>${more}</message>`;
const entry = async (id: string) => (await stage.ledger.do('entry', { id }))[0];
const told = (channel: string) =>
  stage.published.filter(({ topic }) => topic === `chat/bob/in/${channel}`).map(({ payload }) => JSON.parse(payload));
const sessionComes = () => {
  stage.server.up = true;
  stage.core.linkUp(true);
};
const brokerComes = () => {
  stage.core.brokerUp();
  stage.core.brokerBooted(startsAt - 3_600_000);
};
const away = { isAttached: false };

test('a message of an app that waits beyond its time is not sent; the app is told, and what follows in the conversation goes', async () => {
  await set(away);
  stage.server.up = false;
  brokerComes();
  await stage.says(message('m1'), { expiresIn: 60 });
  await stage.says(message('m2'));
  stage.now += 61_000;
  await expect.poll(() => told('error')).toMatchObject([{ id: 'm1', condition: 'remote-server-timeout' }]);
  expect(told('error')[0].key).toEqual(expect.any(String));
  expect(
    (await stage.ledger.do('entries', { state: 'discarded' })).map(({ id, condition }) => [id, condition]),
  ).toEqual([['m1', 'expired']]);
  sessionComes();
  await expect.poll(() => stage.sent.some((text) => text.includes('<body>m2</body>'))).toBe(true);
  expect(stage.sent.some((text) => text.includes('<body>m1</body>'))).toBe(false);
});

test('one that is in time is sent, and nobody is told anything', async () => {
  await set(away);
  stage.server.up = false;
  await stage.says(message('m1'), { expiresIn: 60 });
  stage.now += 59_000;
  sessionComes();
  await expect.poll(() => stage.sent.some((text) => text.includes('<body>m1</body>'))).toBe(true);
  stage.now += 3_600_000;
  await expect.poll(async () => (await entry('m1'))?.state).toBe('settled');
  expect(told('error')).toEqual([]);
});

test("the operator's time holds where the sender has set none, or a longer one", async () => {
  await set({ ...away, expireAfterMs: 60_000 });
  stage.server.up = false;
  await stage.says(message('m1'));
  await stage.says(message('m2'), { expiresIn: 3_600 });
  await stage.says(message('m3'), { expiresIn: 30 });
  const all = await stage.ledger.do('entries', { lane: 'toXmpp' });
  expect(all.map(({ expiresAt }) => expiresAt! - startsAt)).toEqual([60_000, 60_000, 30_000]);
  // What the other devices are told of them waits as long as any message.
  const copies = await stage.entries();
  expect(copies.map(({ expiresAt }) => expiresAt! - startsAt)).toEqual([60_000, 60_000, 60_000]);
});

test('without a time of either nothing expires', async () => {
  await set(away);
  stage.server.up = false;
  await stage.says(message('m1'));
  await stage.arrives(fromAlice('c1'));
  stage.now += 10 * 365 * 86_400_000;
  expect(await stage.ledger.do('expired', { now: stage.now, limit: 9 })).toEqual([]);
});

test('a contact whose message the apps did not take in time gets it back as an error; a copy of it is ended without a word', async () => {
  await set({ expireAfterMs: 60_000 });
  await stage.arrives(fromAlice('c1'));
  await stage.arrives(fromAlice('c2'), { seen: true });
  await stage.arrives(
    fromAlice('c3', "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2026-06-01T00:00:00Z'/>"),
  );
  stage.now += 61_000;
  const errors = () => stage.sent.filter((text) => /type=['"]error['"]/.test(text));
  await expect.poll(errors).toHaveLength(1);
  expect(errors()[0]).toMatch(/id=['"]c1['"]/);
  expect(errors()[0]).toContain('remote-server-timeout');
  expect(errors()[0]).toMatch(/to=['"]alice@example.com\/a['"]/);
  const states = await Promise.all(
    ['c1', 'c2', 'c3'].map(async (id) => (await stage.ledger.do('entry', { id })).at(0)?.state),
  );
  expect(states).toEqual(['discarded', 'discarded', 'discarded']);
});

const acknowledges = (keys: string[]) =>
  new Promise<void>((accepted) => {
    const payload = Buffer.from(JSON.stringify({ keys, device: 'phone' }));
    stage.core.toXmpp.receive({ topic: 'chat/bob/out/ack', payload, qos: 1, retain: false }, accepted);
  });

test.each([
  [true, 91],
  [false, undefined],
])(
  'what goes to the broker bears what is left of its time if the apps acknowledge (%s): else nobody would know that the broker has dropped it',
  async (acks, expiresIn) => {
    await set({ expireAfterMs: 90_500 });
    await stage.crashes();
    if (acks) await acknowledges([]);
    await stage.arrives(fromAlice('c1'));
    brokerComes();
    await expect.poll(() => told('message').length).toBeGreaterThan(0);
    expect(stage.published.find(({ topic }) => topic === 'chat/bob/in/message')?.expiresIn).toBe(expiresIn);
  },
);

test('a message that expired while the gateway was away is not sent when it comes back', async () => {
  await set(away);
  stage.server.up = false;
  await stage.says(message('m1'), { expiresIn: 60 });
  await stage.core.stop(0);
  stage.now += 61_000;
  await stage.crashes();
  brokerComes();
  sessionComes();
  await expect.poll(() => told('error').map(({ id }) => id)).toEqual(['m1']);
  expect(stage.sent.some((text) => text.includes('m1'))).toBe(false);
});

test('what an app has does not hold up the conversation, if its time ends before it could go to a restarted broker again', async () => {
  await set({ expireAfterMs: 60_000 });
  brokerComes();
  await stage.arrives(fromAlice('c1'));
  await expect.poll(() => told('message')).toHaveLength(1);
  await acknowledges([told('message')[0].key]);
  stage.core.brokerDown();
  stage.now += 61_000;
  stage.core.brokerUp();
  stage.core.brokerBooted(stage.now);
  await stage.arrives(fromAlice('c2'));
  await expect.poll(() => told('message').map(({ id }) => id)).toContain('c2');
  await expect.poll(async () => (await entry('c1'))?.state).toBe('settled');
  expect(stage.sent.filter((text) => /type=['"]error['"]/.test(text))).toEqual([]);
});

interface ExpiryOptions {
  db?: DatabaseSync;
  gate?: Gate;
  mayGo?: boolean;
}

/** An expiry over a ledger of its own, whose commits `gate` sees. */
async function setExpiry({ db = new DatabaseSync(':memory:'), gate, mayGo = true }: ExpiryOptions = {}) {
  const ledger = localLedger(db, gate);
  const clock = new TurnedClock();
  const answers: ((answer: Answer) => void)[] = [];
  const road: Road = {
    ...{ window: 10, mayGo: () => mayGo, obstacle: () => null, gaveUp: () => {} },
    send: (_entry, answered) => void answers.push(answered),
  };
  const parts = { ledger, clock, metrics: makeMetrics(), log: silentLog };
  const deliver = new Deliver({ ...parts, roads: { toMqtt: road, toXmpp: road }, hasDeviceOnline: () => true });
  const fault = (error: unknown) => {
    throw error;
  };
  const topics = makeTopics({ root: 'chat', domain: 'example.com', prepare: prepareBare });
  const expiry = new Expiry({ ...parts, deliver, topics, fault });
  await deliver.start();
  expiry.start();
  const end = async () => {
    expiry.stop();
    await deliver.stop(0);
  };
  return { ledger, clock, answers, end };
}

test('what is answered while its end is on the way has not expired: nobody is told that it has', async () => {
  const { ledger, clock, answers, end } = await setExpiry();
  await ledger.accept(() => draft({ lane: 'toXmpp', id: 'm1', expiresAt: clock.now() + 1_500 })).outcome;
  await clock.turn(2_500);
  answers[0]!({ kind: 'delivered' });
  await clock.turn(2_000);
  const entries = await ledger.do('entries', {});
  expect(entries.map(({ id, lane, state }) => [id, lane, state])).toEqual([['m1', 'toXmpp', 'settled']]);
  await end();
});

test('the end of an entry and what tells its sender are in one commit, even if 4,095 other calls come between', async () => {
  const commits: { told: number; ended: number }[] = [];
  const db = new DatabaseSync(':memory:');
  const gate: Gate = async (step) => {
    if (step !== 'answer') return;
    const count = (where: string) => Number(db.prepare(`SELECT count(*) AS n FROM entry WHERE ${where}`).get()?.n);
    commits.push({ told: count("channel = 'error'"), ended: count("condition = 'expired'") });
  };
  const { ledger, clock, end } = await setExpiry({ db, gate, mayGo: false });
  const expiresAt = clock.now() + 1_500;
  for (const id of ['m1', 'm2', 'm3'])
    await ledger.accept(() => draft({ lane: 'toXmpp', peer: `${id}@example.com`, id, expiresAt })).outcome;
  const accept = ledger.accept.bind(ledger);
  ledger.accept = (...drafts) => {
    const accepting = accept(...drafts);
    for (let n = 0; n < 4_095; n++) ledger.note('outForgotten', { link: 'l', keys: [] });
    return accepting;
  };
  await clock.turn(10_000);
  expect(commits.at(-1)).toEqual({ told: 3, ended: 3 });
  expect(commits.filter(({ told, ended }) => told !== ended)).toEqual([]);
  await end();
});
