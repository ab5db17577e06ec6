// Play: dual, with the app here, away and here again, beside a legacy device: everything comes to each exactly once (DESIGN §5, §8).

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';
import { waitFor } from '../harness/wait-for.ts';

const stages = servers.flatMap((kind) => [
  { name: kind.name, kind, attach: 'module' as const },
  { name: `${kind.name}, client sessions`, kind, attach: 'client' as const },
]);

describe.each(stages)('$name:', ({ kind, attach }) => {
  let stage: Stage;
  let alice: Contact;

  beforeAll(async () => {
    stage = await setStage({
      ...{ kind, attach },
      accounts: ['alice', 'bob', 'carol', 'dave'],
      legacy: { archive: true, resumeTimeout: 1 },
    });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  const said = (phone: App) => phone.all().map(({ body, direction }) => `${direction} ${body}`);

  /** The app's last device has gone, and the gateway acts on it. Without the module only the archive tells what comes then. */
  async function away(jid: string, phone: App): Promise<void> {
    await phone.leave();
    await waitFor(async () =>
      expect(await stage.gateway.user(jid)).toMatchObject({ attached: null, observed: attach === 'module' }),
    );
  }

  test('with the app here and away by turns, each message comes once to the app and once to the legacy device', async () => {
    const jid = 'bob@example.com';
    const desk = await stage.contact('bob/desk', { carbons: true });
    const phone = await stage.app('bob', 'phone');
    await stage.gateway.move(jid, 'dual');
    alice.say(jid, 'one');
    await Promise.all([phone.hears('message', { body: 'one', copy: true }), desk.hears('one')]);
    desk.say('alice@example.com', 'two', 'b2');
    await phone.hears('message', { body: 'two', direction: 'sent', copy: true });

    await away(jid, phone);
    alice.say(jid, 'three');
    await desk.hears('three');
    desk.say('alice@example.com', 'four', 'b4');
    await alice.hears('four');

    await phone.arrive();
    await phone.hears('message', { body: 'four', direction: 'sent', copy: true });
    alice.say(jid, 'five');
    await Promise.all([phone.hears('message', { body: 'five' }), desk.hears('five')]);
    phone.say('alice@example.com', 'six', 'b6');
    await phone.hears('message', { body: 'six', direction: 'sent' });
    await alice.hears('six');
    expect(said(phone)).toEqual([
      'received one',
      'sent two',
      'received three',
      'sent four',
      'received five',
      'sent six',
    ]);
    expect(desk.bodies('alice@example.com')).toEqual(['one', 'three', 'five']);
    await waitFor(() => expect(desk.carbons()).toEqual(['>six']));
    expect(alice.bodies(jid)).toEqual(['two', 'four', 'six']);
  });

  test('what came offline while the app was away comes to it once, by whatever ways', async () => {
    const jid = 'carol@example.com';
    const phone = await stage.app('carol', 'phone');
    await stage.gateway.move(jid, 'dual');
    await away(jid, phone);
    alice.say(jid, 'to nobody');
    const observed = attach === 'module' ? [{ custody: 'copy', late: true }] : [];
    await waitFor(async () => expect(await stage.gateway.entries(jid)).toMatchObject(observed));
    await phone.arrive();
    await phone.hears('message', { body: 'to nobody' });
    await waitFor(async () => expect((await stage.gateway.user(jid)).attached).not.toBeNull());
    alice.say(jid, 'to the app');
    await phone.hears('message', { body: 'to the app' });
    expect(said(phone)).toEqual(['received to nobody', 'received to the app']);
  });

  if (attach === 'client') return;

  test('with the app away the gap of an outage stays open, and is closed when the app comes', async () => {
    const jid = 'dave@example.com';
    const desk = await stage.contact('dave/desk');
    const phone = await stage.app('dave', 'phone');
    await stage.gateway.move(jid, 'dual');
    alice.say(jid, 'before');
    await phone.hears('message', { body: 'before' });
    await away(jid, phone);
    await stage.gateway.kill9();
    await waitFor(async () => expect(await stage.server.log()).toMatch(/ended \(expired\)/));
    alice.say(jid, 'meanwhile');
    await desk.hears('meanwhile');
    await stage.gateway.start();
    await waitFor(async () => expect(await stage.gateway.user(jid)).toMatchObject({ observed: true }));
    expect((await stage.gateway.user(jid)).archive).toMatchObject({ gapSince: expect.any(String), missed: null });
    await phone.arrive();
    await phone.hears('message', { body: 'meanwhile', copy: true });
    await waitFor(async () => expect((await stage.gateway.user(jid)).archive).toMatchObject({ gapSince: null }));
    expect(said(phone)).toEqual(['received before', 'received meanwhile']);
  });
});
