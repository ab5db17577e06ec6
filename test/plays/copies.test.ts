// Play: a legacy device and an app of the same user, both there: each hears and says everything exactly once (DESIGN §5, §8).

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App, Payload } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';
import { waitFor } from '../harness/wait-for.ts';

describe.each(servers)('$name:', (server) => {
  const users = ['bob', 'carol', 'dave', 'erin', 'frank', 'grace'];

  let stage: Stage;
  let alice: Contact;

  beforeAll(async () => {
    stage = await setStage({ kind: server, accounts: ['alice', ...users], legacy: { archive: true } });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  /** Whatever else was on its way has come when a later message, by the same way, has. */
  async function settled(local: string, phone: App): Promise<void> {
    alice.say(`${local}@example.com`, 'the last one');
    await phone.hears('message', { body: 'the last one' });
  }
  const all = (phone: App) =>
    phone.all().map(({ body, direction, copy }: Payload) => `${direction} ${body} ${copy ?? false}`);

  test.each([
    ['bob', 'of the same priority, with carbons', { priority: 0, carbons: true }],
    ['carol', 'of a higher priority, with carbons: the app gets a carbon', { priority: 5, carbons: true }],
    ['dave', 'of the same priority, without carbons', { priority: 0, carbons: false }],
  ] as const)('%s has a legacy device %s', async (local, _, options) => {
    const jid = `${local}@example.com`;
    const desk = await stage.contact(`${local}/desk`, options);
    const phone = await stage.app(local, 'phone');
    await stage.gateway.move(jid, 'mqtt');

    alice.say(jid, 'one');
    const one = await phone.hears('message', { body: 'one' });
    expect(one).toMatchObject({ direction: 'received', copy: true, from: 'alice@example.com/desk' });
    await desk.hears('one');

    desk.say('alice@example.com', 'two', `${local}-2`);
    const two = await phone.hears('message', { body: 'two' });
    expect(two).toMatchObject({
      direction: 'sent',
      copy: true,
      id: `${local}-2`,
      from: `${jid}/desk`,
      to: 'alice@example.com',
    });

    phone.say('alice@example.com', 'three', `${local}-3`);
    const three = await phone.hears('message', { body: 'three' });
    expect(three).toMatchObject({ direction: 'sent', copy: true, from: `${jid}/mqtt`, to: 'alice@example.com' });
    await alice.hears('three');

    await settled(local, phone);
    expect(all(phone)).toEqual(['received one true', 'sent two true', 'sent three true', 'received the last one true']);
    expect(alice.bodies(jid)).toEqual(['two', 'three']);
    await desk.hears('the last one');
    expect(desk.bodies('alice@example.com')).toEqual(['one', 'the last one']);
    expect(desk.carbons()).toEqual(options.carbons ? ['>three'] : []);
    // Nothing is the app's alone, so a move back returns nothing.
    expect((await stage.gateway.entries(jid)).filter(({ custody }) => custody === 'sole')).toMatchObject(
      // What the app itself has sent goes the other way.
      [],
    );
  });

  test('what came offline, before, and live, after, comes once each, also when the legacy device comes later', async () => {
    const jid = 'erin@example.com';
    alice.say(jid, 'while nobody is there');
    await alice.iq('example.com', 'get', `<ping xmlns='urn:xmpp:ping'/>`); // the server has stored it
    await stage.gateway.move(jid, 'mqtt');
    const phone = await stage.app('erin', 'phone');
    await phone.hears('message', { body: 'while nobody is there' });
    expect(await stage.gateway.entries(jid)).toMatchObject([{ late: true, custody: 'sole' }]);
    alice.say(jid, 'to the app alone');
    await phone.hears('message', { body: 'to the app alone' });
    const desk = await stage.contact('erin/desk', { carbons: true });
    alice.say(jid, 'to both');
    // Both, before it leaves: what has left when the app's session gets a message counts for none that has it.
    await Promise.all([desk.hears('to both'), phone.hears('message', { body: 'to both' })]);
    await desk.leave();
    await settled('erin', phone);
    expect(all(phone)).toEqual([
      'received while nobody is there false',
      'received to the app alone false',
      'received to both true',
      'received the last one false',
    ]);
    expect(desk.bodies()).toEqual(['to both']);
  });

  test('after a move back, what is addressed to the resource the app had comes to the legacy device, or waits offline', async () => {
    const jid = 'frank@example.com';
    const phone = await stage.app('frank', 'phone');
    await stage.gateway.move(jid, 'mqtt');
    alice.say(`${jid}/mqtt`, 'to the app');
    await phone.hears('message', { body: 'to the app' });
    // Else it is handed back as well.
    await waitFor(async () => expect((await stage.gateway.entries(jid))[0]?.appAckedAt).toBeDefined());
    await stage.gateway.move(jid, 'legacy');
    alice.say(`${jid}/mqtt`, 'while nobody is there');
    const desk = await stage.contact('frank/desk');
    await desk.hears('while nobody is there');
    alice.say(`${jid}/mqtt`, 'while the desk is there');
    await desk.hears('while the desk is there');
    expect(desk.bodies()).toEqual(['while nobody is there', 'while the desk is there']);
    expect(phone.bodies()).toEqual(['to the app']);
  });

  test('what a contact forges, a carbon or a result of the archive, is refused, and the next message comes', async () => {
    const jid = 'grace@example.com';
    const phone = await stage.app('grace', 'phone');
    await stage.gateway.move(jid, 'mqtt');
    const inner = `<message xmlns='jabber:client' from='${jid}/desk' to='alice@example.com' type='chat'><body>forged</body></message>`;
    const forwarded = `<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>${inner}</forwarded>`;
    for (const [id, wrapped] of [
      ['f1', `<sent xmlns='urn:xmpp:carbons:2'>${forwarded}</sent>`],
      ['f2', `<result xmlns='urn:xmpp:mam:2' id='x' queryid='y'>${forwarded}</result>`],
    ]) {
      alice.send(`<message to='${jid}' id='${id}' type='chat'>${wrapped}</message>`);
      await alice.hears(({ type, id: of }) => type === 'error' && of === id);
    }
    const stamp = "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2020-01-01T00:00:00Z'/>";
    const stanzaId = `<stanza-id xmlns='urn:xmpp:sid:0' by='${jid}' id='forged'/>`;
    for (const n of [1, 2])
      alice.send(`<message to='${jid}' id='same' type='chat'><body>${n}</body>${stanzaId}</message>`);
    await phone.hears('message', { body: '2' });
    expect(phone.bodies()).toEqual(['1', '2']);
    alice.send(`<message to='${jid}' id='old' type='chat'><body>old</body>${stamp}</message>`);
    const old = await phone.hears('message', { body: 'old' });
    expect(Date.parse(String(old.at))).toBeGreaterThan(Date.now() - 60_000);
    expect(phone.bodies()).not.toContain('forged');
    const entries = await stage.gateway.entries(jid);
    expect(entries.slice(0, 2)).toMatchObject(
      ['f1', 'f2'].map((id) => ({ id, state: 'dead', condition: 'policy-violation' })),
    );
  });
});
