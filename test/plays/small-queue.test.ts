// Play: the gateway stands still and the server's queue for it is small; what does not fit is caught up from the archive (DESIGN §4).

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const unacked = 5;
const fromAlice = Array.from({ length: 30 }, (_, n) => `meanwhile ${n + 1}`);
const fromDesk = Array.from({ length: 3 }, (_, n) => `from the desk ${n + 1}`);

let stage: Stage;
let alice: Contact;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob', 'carol'], legacy: { archive: true, maxUnacked: unacked } });
  alice = await stage.contact('alice');
  await stage.gateway.logged({ event: 'broker.restarted' });
});
afterAll(() => stage?.strike());

/** Alice and the desk write while the gateway stands still, more than the server keeps for it. */
async function writeMeanwhile(jid: string, desk: Contact): Promise<void> {
  const before = (await stage.server.log()).length;
  stage.gateway.pause();
  try {
    for (const body of fromAlice) alice.say(jid, body);
    await desk.hears(fromAlice.at(-1)!);
    for (const body of fromDesk) desk.say('alice@example.com', body);
    await alice.hears(({ from, body }) => from.startsWith(jid) && body === fromDesk.at(-1));
    expect((await stage.server.log()).slice(before)).toContain(`has not acknowledged ${unacked} stanzas`);
  } finally {
    stage.gateway.resume();
  }
}

/** Every side has everything once, in order, and nothing may be missing. */
async function everythingOnce(jid: string, phone: App, desk: Contact): Promise<void> {
  alice.say(jid, 'after');
  await Promise.all([phone.hears('message', { body: 'after' }), desk.hears('after')]);
  const user = await stage.gateway.userWhen(jid, ({ archive }) => (archive as { gapSince: unknown }).gapSince === null);
  const said = phone.all().map(({ body, direction }) => `${direction} ${body}`);
  const expected = ['before', ...fromAlice, 'after'].map((body) => `received ${body}`);
  expect(said.filter((one) => one.startsWith('received'))).toEqual(expected);
  expect(said.filter((one) => one.startsWith('sent'))).toEqual(fromDesk.map((body) => `sent ${body}`));
  expect(desk.bodies('alice@example.com')).toEqual(['before', ...fromAlice, 'after']);
  expect(alice.bodies(jid)).toEqual(fromDesk);
  expect(user.archive).toMatchObject({ missed: null });
  expect(stage.gateway.log.items.filter(({ event }) => event === 'gateway.gap')).toEqual([]);
  expect((await stage.gateway.entries(jid)).filter(({ state }) => state === 'dead')).toEqual([]);
}

test('in dual with the app away: what was not even observed comes to the app when it is back, all of it once', async () => {
  const jid = 'bob@example.com';
  const desk = await stage.contact('bob/desk', { carbons: true });
  const phone = await stage.app('bob', 'phone');
  await stage.gateway.move(jid, 'dual');
  alice.say(jid, 'before');
  await Promise.all([phone.hears('message', { body: 'before' }), desk.hears('before')]);
  await phone.leave();
  await stage.gateway.userWhen(jid, ({ attached, observed }) => attached === null && observed === true);

  await writeMeanwhile(jid, desk);
  await stage.gateway.userWhen(jid, ({ archive }) => (archive as { gapSince: unknown }).gapSince !== null);
  await phone.arrive();
  await phone.hears('message', { body: fromDesk.at(-1) });
  await everythingOnce(jid, phone, desk);
});

test('in mqtt with a desk beside the app: what only the desk got comes to the app as well, all of it once', async () => {
  const jid = 'carol@example.com';
  const desk = await stage.contact('carol/desk', { carbons: true });
  const phone = await stage.app('carol', 'phone');
  await stage.gateway.move(jid, 'mqtt');
  alice.say(jid, 'before');
  await Promise.all([phone.hears('message', { body: 'before' }), desk.hears('before')]);

  await writeMeanwhile(jid, desk);
  await phone.hears('message', { body: fromDesk.at(-1) });
  await everythingOnce(jid, phone, desk);
});
