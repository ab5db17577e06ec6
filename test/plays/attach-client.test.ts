// Play: a server without our module (attach: client, TLS). Every user is held by a client session, and to everybody it looks the same.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { ejabberd, prosody } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const accounts = ['alice', 'bob', 'carol', 'dave', 'erin'];
/** TLS both ways: after STARTTLS, and from the first byte (XEP-0368). */
const ways = [
  { kind: prosody, security: 'starttls' },
  { kind: ejabberd, security: 'direct' },
] as const;

const text = 'You have moved: get the new app.';

describe.each(ways)('$kind.name, TLS by $security', ({ kind, security }) => {
  let stage: Stage;
  let alice: Contact;
  let app: App;

  beforeAll(async () => {
    const config = { migration: { legacyLoginText: text } };
    stage = await setStage({ kind, accounts, attach: 'client', security, legacy: { tls: true }, config });
    alice = await stage.contact('alice', { carbons: true });
    app = await stage.app('bob', 'phone');
    await stage.gateway.move('bob@example.com', 'mqtt');
  });
  afterAll(() => stage?.strike());

  test('a moved user chats both ways, and the contact sees an ordinary resource', async () => {
    alice.say('bob@example.com', 'hi', 'a1');
    expect(await app.hears('message', { body: 'hi' })).toMatchObject({ id: 'a1', direction: 'received' });
    app.say('alice@example.com', 'yo', 'b1');
    expect(await alice.hears('yo')).toMatchObject({ from: 'bob@example.com/mqtt', id: 'b1', type: 'chat' });
    expect(await stage.gateway.user('bob@example.com')).toMatchObject({
      attached: { jid: 'bob@example.com/mqtt', shown: 'available' },
      work: { state: 'idle' },
    });
  });

  test('with notify a legacy client is told once; deny is refused, since only the module could do it', async () => {
    const jid = 'erin@example.com';
    const steer = (legacyLogin: string) =>
      stage.gateway.api('PUT', `/api/v1/users/${jid}/legacy-login`, { legacyLogin, reason: 'a play' });
    const refused = await steer('deny');
    expect(refused.status).toBe(422);
    expect(refused.body.detail).toMatch(/only the server module/);
    expect(await steer('notify')).toMatchObject({ status: 200 });
    await stage.gateway.move(jid, 'mqtt');
    const desk = await stage.contact('erin/desk', { carbons: true });
    expect(await desk.hears(text)).toMatchObject({ from: 'gw.example.com', to: `${jid}/desk` });
    const tablet = await stage.contact('erin/tablet', { carbons: true });
    alice.say(jid, 'to all of erin', 'n1');
    await tablet.hears('to all of erin');
    expect([desk, tablet].map((one) => one.bodies('gw.example.com').length)).toEqual([1, 0]);
    await stage.gateway.move(jid, 'legacy');
  });

  test('a client that takes the resource keeps it: the session gets another name, and messages go on', async () => {
    const thief = await stage.contact('bob/mqtt', { priority: null });
    const now = await stage.gateway.userWhen('bob@example.com', ({ attached }) => {
      const { jid = '' } = (attached ?? {}) as { jid?: string };
      return jid.startsWith('bob@example.com/mqtt-');
    });
    alice.say('bob@example.com', 'still there?', 'a2');
    await app.hears('message', { body: 'still there?' });
    app.say('alice@example.com', 'yes', 'b2');
    expect((await alice.hears('yes')).from).toBe((now.attached as { jid: string }).jid);
    await thief.leave();
  });

  test('a restart of the server loses nothing, and repeats nothing', async () => {
    const from = app.heard.items.length;
    await stage.server.restart();
    const back = await stage.contact('alice/other');
    back.say('bob@example.com', 'after the restart', 'a3');
    await app.hears('message', { body: 'after the restart' }, { from });
    app.say('alice@example.com', 'seen', 'b3');
    await back.hears('seen');
    expect(app.bodies('alice@example.com')).toEqual(['hi', 'still there?', 'after the restart']);
  });

  test('what was said while the gateway was killed and the server forgot its session comes out of the archive, once', async () => {
    const from = app.heard.items.length;
    const back = await stage.contact('alice/third');
    back.say('bob@example.com', 'the last one before', 'a4');
    await app.hears('message', { body: 'the last one before' }, { from });
    await stage.gateway.kill9();
    await stage.server.restart();
    // Offline storage gets none of it: his desk is there.
    const desk = await stage.contact('bob/desk');
    const writer = await stage.contact('alice/meanwhile');
    const bodies = Array.from({ length: 5 }, (_, n) => `meanwhile ${n}`);
    for (const body of bodies) writer.say('bob@example.com', body, body);
    app.say('alice@example.com', 'while it was away', 'b4');
    await desk.hears(bodies.at(-1)!);
    await desk.leave();
    await stage.gateway.start();
    await writer.hears('while it was away');
    // What is live meanwhile does not wait for the archive.
    await app.hears('message', { body: bodies.at(-1) }, { from });
    writer.say('bob@example.com', 'live again', 'a5');
    await app.hears('message', { body: 'live again' }, { from });
    const heard = () => app.bodies('alice@example.com').slice(-7);
    await expect.poll(heard).toEqual(['the last one before', ...bodies, 'live again']);
  });

  test('a credential that fails ends the move with the reason, and harms nobody else', async () => {
    const answer = await stage.gateway.put('dave@example.com', 'mqtt');
    expect(answer.status).toBeLessThan(300);
    await stage.gateway.moved('dave@example.com');
    const file = join(stage.dir, 'credentials');
    const lines = accounts.map((name) => `${name}:${name === 'erin' ? 'wrong' : stage.password}\n`).join('');
    await writeFile(file, `${lines}nobody:${stage.password}\n`, { mode: 0o600 });
    for (const [name, why] of [
      ['erin', /does not let erin@example.com in: not-authorized/],
      ['nobody', /does not let nobody@example.com in: not-authorized/],
      ['stranger', /has no line for stranger@example.com/],
    ] as const) {
      const user = await stage.gateway.move(`${name}@example.com`, 'mqtt');
      expect(user).toMatchObject({ phase: 'legacy', lastMove: { outcome: 'failed' } });
      expect((user.lastMove as { why: string }).why).toMatch(why);
    }
    const from = app.heard.items.length;
    (await stage.contact('carol')).say('bob@example.com', 'all well', 'c1');
    await app.hears('message', { body: 'all well' }, { from });
  });

  test('a rollback hands back what no app has: readable, with sender and time; a legacy client finds it at its login', async () => {
    // Moved in the play before; no device of his is known, and no legacy client is there.
    (await stage.contact('carol/pc')).say('dave@example.com', 'for dave', 'd1');
    await expect.poll(() => stage.gateway.entries('dave@example.com')).toMatchObject([{ id: 'd1', custody: 'sole' }]);
    await stage.gateway.move('dave@example.com', 'legacy');
    expect((await stage.gateway.entries('dave@example.com')).map(({ state }) => state)).toEqual(['returned']);
    const desk = await stage.contact('dave/late');
    const returned = await desk.hears('carol@example.com: for dave');
    expect(returned.delay).toBeLessThanOrEqual(Date.now());
    (await stage.contact('alice/third')).say('dave@example.com', 'and live', 'a9');
    await desk.hears('and live');
  });
});
