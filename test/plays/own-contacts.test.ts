// Play: addresses on the gateway's own domain as contacts of people on legacy clients: subscriptions, presence, probes, vCard, disco,
// added and removed while the gateway runs. Contacts on slixmpp and @xmpp/client; a server that has never heard of our module.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { capabilitiesHash } from '../../src/xmpp/capabilities.ts';
import { crossfade } from '../cli/command.ts';
import type { App, Payload } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, userLevel } from '../harness/stage.ts';
import { bot, setBotStage } from './bot.ts';

describe.each(servers)('$name:', (server) => {
  const service = 'weather\\20service@gw.example.com';
  const pngBase64 = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

  let stage: Stage;
  let gateway: GatewayProcess;
  let alice: Contact;
  let program: App;

  beforeAll(async () => {
    const accounts = { accounts: ['carol', 'dave'], mqttAccounts: [userLevel(service)] };
    ({ stage, gateway, alice, program } = await setBotStage({ kind: server, ...accounts }));
  });
  afterAll(() => stage?.strike());

  const command = (...args: string[]) =>
    crossfade(args, { cwd: stage.dir, env: { CROSSFADE_ADMIN_URL: gateway.adminUrl } });
  const set = async (app: App, wanted: (contacts: Payload[]) => boolean, from = 0) =>
    await app.heard.until(
      (all) =>
        all.slice(from).find(({ payload }) => Array.isArray(payload.contacts) && wanted(payload.contacts as Payload[])),
      'a full set',
    );
  let asked = 0;
  /** What the app is told on in/reply. */
  const ask = async (app: App, request: Payload): Promise<Payload> => {
    const id = `request-${++asked}`;
    app.publish('request', { id, ...request });
    return await app.hears('reply', { id });
  };
  const vCardOf = async (jid: string) => await alice.iq(jid, 'get', `<vCard xmlns='vcard-temp'/>`);

  test('a contact asks, the app is asked and says yes, and the contact sees the app from then on', async () => {
    alice.send(`<presence to='${bot}' type='subscribe' id='ask1'><status>We met in Verona</status></presence>`);
    const request = await program.hears('presence', { type: 'subscribe' });
    expect(request).toMatchObject({ id: 'ask1', from: 'alice@example.com', text: 'We met in Verona' });
    expect(request.key).toMatch(/./);
    expect(await ask(program, { request: 'roster' })).toMatchObject({
      contacts: [{ jid: 'alice@example.com', subscription: 'none', asks: true }],
    });
    expect(alice.presences.items.filter(({ from }) => from === bot)).toEqual([]);

    program.publish('presence', { id: 's1', to: 'alice@example.com', type: 'subscribed' });
    await alice.sees({ from: bot, type: 'subscribed', show: '' });
    await alice.sees({ from: bot, type: '', show: '' });
    expect((await gateway.user(bot)).own).toMatchObject({ contacts: { see: 1, asking: 0, seen: 0, asked: 0 } });
  });

  test('the app asks, the contact says yes, and its presence comes to the app', async () => {
    program.publish('presence', { id: 's2', to: 'alice@example.com', type: 'subscribe' });
    alice.send(`<presence to='${bot}' type='subscribed'/>`);
    const yes = await program.hears('presence', { type: 'subscribed', direction: 'received' });
    expect(yes.from).toBe('alice@example.com');
    alice.send(`<presence><show>dnd</show><status>Composing</status></presence>`);
    await program.hears('presence', { from: 'alice@example.com/desk', show: 'dnd', text: 'Composing' });
    expect(await ask(program, { request: 'roster' })).toMatchObject({
      contacts: [{ jid: 'alice@example.com', subscription: 'both' }],
    });
  });

  test('show, status, going and coming of the app are seen; a probe is answered by the gateway', async () => {
    const before = alice.presences.items.length;
    const presence = `chat/${userLevel(bot)}/presence/${userLevel(bot)}-program`;
    program.publishTo(presence, { online: true, show: 'away', text: 'At lunch' }, { retain: true });
    await alice.sees({ from: bot, type: '', show: 'away' }, before);
    // A second resource comes: her server probes, and she sees what is so now.
    const phone = await stage.legacyClient('alice', { resource: 'phone' });
    const seen = await phone.inbox.first('the bot', ({ name, attrs }) => name === 'presence' && attrs.from === bot);
    expect([seen.getChildText('show'), seen.getChildText('status')]).toEqual(['away', 'At lunch']);
    expect(seen.getChild('x', 'vcard-temp:x:update')?.getChild('photo')?.getText()).toBe('');
    // XEP-0115: what is asked for by that hash has it, and is told of no other.
    const { node, ver, hash } = seen.getChild('c', 'http://jabber.org/protocol/caps')!.attrs;
    const capabilities = (of: string) =>
      alice.iq(bot, 'get', `<query xmlns='http://jabber.org/protocol/disco#info' node='${node}#${of}'/>`);
    const told = (await capabilities(ver!)).getChild('query')!;
    expect({ hash, node: told.attrs.node, ver: capabilitiesHash(told) }).toEqual({
      ...{ hash: 'sha-1', node: `${node}#${ver}`, ver },
    });
    expect(told.getChildElements().map(({ attrs }) => attrs.var)).toContain('urn:xmpp:receipts');
    expect((await capabilities('another')).attrs.type).toBe('error');
    await phone.stop();

    const leaving = alice.presences.items.length;
    await program.leave();
    await alice.sees({ from: bot, type: 'unavailable', show: '' }, leaving);
    const coming = alice.presences.items.length;
    await program.arrive();
    await alice.sees({ from: bot, type: '', show: '' }, coming);
  });

  test('somebody who may not see it is told so by a probe, and sees nothing', async () => {
    const carol = await stage.contact('carol');
    // Her server believes that she is subscribed; the bot has never heard of it.
    carol.send(`<presence to='${bot}' type='probe'/>`);
    await carol.iq(bot, 'get', `<ping xmlns='urn:xmpp:ping'/>`);
    const dave = await stage.legacyClient('dave');
    // Without it his server tells him nothing of subscriptions (RFC 6121 §2.2).
    await dave.iq(`<iq type='get'><query xmlns='jabber:iq:roster'/></iq>`);
    await dave.send(`<presence to='${bot}' type='subscribe' id='d1'/>`);
    await program.hears('presence', { type: 'subscribe', from: 'dave@example.com' });
    await dave.iq(`<iq type='get' to='${bot}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    const showsItself = ({ from, type }: { from: string; type: string }) => from === bot && type === '';
    expect(carol.presences.items.filter(showsItself)).toEqual([]);
    expect(dave.inbox.all.filter(({ name, attrs }) => name === 'presence' && attrs.from === bot)).toEqual([]);
    program.publish('presence', { id: 'no1', to: 'dave@example.com', type: 'unsubscribed' });
    await dave.inbox.first('no', ({ name, attrs }) => name === 'presence' && attrs.type === 'unsubscribed');
    await dave.stop();
    await carol.leave();
  });

  test('receipts and chat states pass both ways', async () => {
    alice.send(
      `<message to='${bot}' type='chat' id='r1'><body>Arrived?</body><request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
    );
    expect(await program.hears('message', { id: 'r1' })).toMatchObject({ wantsReceipt: true, state: 'active' });
    program.publish('receipt', { id: 'r2', to: 'alice@example.com/desk', type: 'chat', receipt: 'r1' });
    const receipt = await alice.hears(({ id }) => id === 'r2');
    expect(receipt.xml.getChild('received', 'urn:xmpp:receipts')?.attrs.id).toBe('r1');
    alice.send(`<message to='${bot}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
    await program.hears('chatstate', { state: 'composing', from: 'alice@example.com/desk' });
    program.publish('chatstate', { to: 'alice@example.com/desk', type: 'chat', state: 'paused' }, { qos: 0 });
    await alice.hears(({ xml }) => xml.getChild('paused', 'http://jabber.org/protocol/chatstates') !== undefined);
    program.publish('message', { id: 'r3', to: 'alice@example.com', type: 'chat', body: 'You?', wantsReceipt: true });
    await alice.hears('You?');
    alice.send(`<message to='${bot}' type='chat' id='r4'><received xmlns='urn:xmpp:receipts' id='r3'/></message>`);
    await program.hears('receipt', { receipt: 'r3' });
  });

  test('the app sets its profile: contacts find it as vCard and avatar, and are told that there is another picture', async () => {
    const before = alice.presences.items.length;
    const profile = { name: 'Bot the Great', about: 'Tells <times> & tides', url: 'https://example.com/bot' };
    const picture = { type: 'image/png', data: pngBase64 };
    const reply = await ask(program, { request: 'profile', set: { ...profile, avatar: picture } });
    expect(reply).toMatchObject({ request: 'profile', profile: { ...profile, avatar: picture } });
    await alice.sees({ from: bot, type: '', show: '' }, before);

    const vCard = (await vCardOf(bot)).getChild('vCard', 'vcard-temp');
    expect([vCard?.getChildText('FN'), vCard?.getChildText('DESC'), vCard?.getChildText('URL')]).toEqual(
      Object.values(profile),
    );
    expect(vCard?.getChild('PHOTO')?.getChildText('BINVAL')).toBe(pngBase64);
    const items = async (node: string) =>
      (await alice.iq(bot, 'get', `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='${node}'/></pubsub>`))
        .getChild('pubsub')
        ?.getChild('items')
        ?.getChild('item');
    const metadata = await items('urn:xmpp:avatar:metadata');
    expect(metadata?.getChild('metadata')?.getChild('info')?.attrs).toMatchObject({
      type: 'image/png',
      id: metadata?.attrs.id,
    });
    expect((await items('urn:xmpp:avatar:data'))?.getChildText('data')).toBe(pngBase64);
    expect(
      (await alice.iq(bot, 'set', `<vCard xmlns='vcard-temp'/>`)).getChild('error')?.getChild('forbidden'),
    ).toBeDefined();

    const refused = ask(program, {
      request: 'profile',
      set: { avatar: { type: 'image/png', data: 'A'.repeat(90_000) } },
    });
    refused.catch(() => {});
    expect(await program.hears('error', { id: `request-${asked}` })).toMatchObject({
      condition: 'policy-violation',
      text: 'the avatar has 67500 bytes; 65536 are allowed',
    });
  });

  test('an operator adds one while the gateway runs: found by disco, accepted by itself, with a name that had to be escaped', async () => {
    const level = userLevel(service);
    const args = ['--reason', 'weather', '--subscriptions', 'accept', '--listed', '--about', 'Sun and rain'];
    const added = await command('user', 'add', 'weather service@gw.example.com', ...args);
    expect(added).toMatchObject({ code: 64, out: '' });
    expect(added.err).toContain(`for this name write ${service} (XEP-0106)`);
    const again = await command('user', 'add', service, ...args);
    expect(again).toMatchObject({ code: 0, out: `${service} is added\n` });
    expect(again.err).toContain(level);

    const items = (await alice.iq('gw.example.com', 'get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`))
      .getChild('query')
      ?.getChildElements();
    expect(items?.map(({ attrs }) => attrs)).toEqual([{ jid: service, name: 'weather service' }]);
    const info = async (jid: string) =>
      (await alice.iq(jid, 'get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`)).getChild('query');
    expect((await info('gw.example.com'))?.getChild('identity')?.attrs).toMatchObject({
      category: 'component',
      type: 'generic',
    });
    const features = (await info(service))?.getChildElements().flatMap(({ attrs }) => attrs.var ?? []);
    expect(features).toEqual(
      expect.arrayContaining(['vcard-temp', 'urn:xmpp:receipts', 'http://jabber.org/protocol/chatstates']),
    );

    // Nobody of it is there: the request is granted all the same, and waits for the app with its answer.
    alice.send(`<presence to='${service}' type='subscribe' id='w1'/>`);
    await alice.sees({ from: service, type: 'subscribed', show: '' });
    const forecast = await stage.app(level, 'forecast');
    await alice.sees({ from: service, type: '', show: '' });
    const [request, answer] = await Promise.all([
      forecast.hears('presence', { type: 'subscribe', direction: 'received' }),
      forecast.hears('presence', { type: 'subscribed', direction: 'sent' }),
    ]);
    expect([request.from, answer.to]).toEqual(['alice@example.com', 'alice@example.com']);
    alice.say(service, 'Rain?', 'rain');
    await forecast.hears('message', { id: 'rain', to: service });

    const listed = await command('user', 'contacts', service);
    expect(listed.out).toContain('alice@example.com  from');
    const shown = await command('user', 'show', service);
    expect(shown.out).toContain(
      'It was added by an operator and listed; contacts know it as "weather service". 1 contact sees it',
    );
  });

  test('a restart keeps all of it: contacts see it go and come, the set is full, and what was added is there', async () => {
    const before = alice.presences.items.length;
    await gateway.stop();
    await alice.sees({ from: bot, type: 'unavailable', show: '' }, before);
    const from = program.heard.items.length;
    const back = alice.presences.items.length;
    await gateway.start('component.online');
    await alice.sees({ from: bot, type: '', show: '' }, back);
    await alice.sees({ from: service, type: '', show: '' }, back);
    const { payload } = await set(program, (contacts) => contacts.length > 0, from);
    expect(payload).toMatchObject({ complete: true, contacts: [{ from: 'alice@example.com/desk' }] });

    // Killed, it cannot say that it goes; what is so afterwards is told to all.
    await gateway.kill9();
    await program.leave();
    const after = alice.presences.items.length;
    await gateway.start('component.online');
    await alice.sees({ from: bot, type: 'unavailable', show: '' }, after);
    await program.arrive();
    await alice.sees({ from: bot, type: '', show: '' }, after);
  });

  test('whoever asks somebody that nobody is gets an error, and is not left waiting', async () => {
    alice.send(`<presence to='nobody@gw.example.com' type='subscribe' id='x1'/>`);
    await alice.sees({ from: 'nobody@gw.example.com', type: 'error', show: '' });
    await alice.sees({ from: 'nobody@gw.example.com', type: 'unsubscribed', show: '' });
    for (const payload of [`<vCard xmlns='vcard-temp'/>`, `<query xmlns='http://jabber.org/protocol/disco#info'/>`]) {
      const error = (await alice.iq('nobody@gw.example.com', 'get', payload)).getChild('error');
      expect(error?.getChild('item-not-found')).toBeDefined();
      expect(error?.getChildText('text')).toBe('there is no nobody@gw.example.com');
    }
  });

  test('one that was added is removed when nothing waits for it; its contacts lose it, and it is nobody from then on', async () => {
    const early = await command('user', 'remove', bot, '--reason', 'over');
    expect(early).toMatchObject({ code: 1 });
    expect(early.err).toContain('take it out of xmpp.component.users');
    await expect
      .poll(async () => (await gateway.entries(service)).filter(({ state }) => state === 'accepted').length)
      .toBe(0);
    const before = alice.presences.items.length;
    expect(await command('user', 'remove', service, '--reason', 'over')).toMatchObject({
      code: 0,
      out: `${service} is removed\n`,
    });
    await alice.sees({ from: service, type: 'unavailable', show: '' }, before);
    await alice.sees({ from: service, type: 'unsubscribed', show: '' }, before);
    alice.say(service, 'Still there?', 'gone1');
    await alice.hears(({ id, type }) => id === 'gone1' && type === 'error');
    expect((await gateway.audit(service)).map(({ what }) => what)).toEqual(['user.add', 'user.remove']);
  });
});
