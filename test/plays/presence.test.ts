// Play: who is there, and who may know it (DESIGN §6, RFC 6121 §3 and §4). Contacts on slixmpp, apps on Paho and mqtt.js.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App, Payload } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let alice: Contact;
  let phone: App;

  const bob = 'bob@example.com/mqtt';

  beforeAll(async () => {
    stage = await setStage({ kind: server, accounts: ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace'] });
    [alice, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone')]);
    await stage.gateway.move('bob@example.com', 'mqtt');
  });
  afterAll(() => stage?.strike());

  /** Since so many payloads. */
  const since = (app: App) => app.heard.items.length;

  /** The first full set after the first `from` of all the app has heard. */
  async function set(app: App, from: number, wanted: (contacts: Payload[]) => boolean): Promise<Payload[]> {
    return await app.heard.until((all) => {
      for (const { channel, payload } of all.slice(from)) {
        if (channel === 'presence' && Array.isArray(payload.contacts) && wanted(payload.contacts))
          return payload.contacts;
      }
      return undefined;
    }, 'a full set');
  }

  /** What the app knows the request by. */
  const idOf = (id: string, { key }: Payload) => (server.keepsRequestIds ? id : key);

  const has = (jid: string) => (contacts: Payload[]) => contacts.some(({ from }) => from === jid);

  test('a contact asks, the app answers, and each then sees the other: requests and answers are entries with a key', async () => {
    alice.send(
      `<presence to='bob@example.com' type='subscribe' id='ask1'><status>We met in Verona</status></presence>`,
    );
    const asked = await phone.hears('presence', { type: 'subscribe' });
    expect(asked).toMatchObject({
      id: idOf('ask1', asked),
      from: 'alice@example.com',
      text: 'We met in Verona',
      direction: 'received',
    });
    expect(asked.key).toMatch(/./);
    expect(phone.heard.items.find(({ payload }) => payload.key === asked.key)).toMatchObject({ qos: 1, retain: false });

    const before = alice.presences.items.length;
    phone.publish('presence', { id: 's1', to: 'alice@example.com', type: 'subscribed' });
    await phone.isTold('s1');
    await alice.sees({ from: bob, type: '', show: '' }, before);

    phone.publish('presence', { id: 's2', to: 'alice@example.com', type: 'subscribe' });
    const yes = await phone.hears('presence', { type: 'subscribed', direction: 'received' });
    expect(yes.from).toBe('alice@example.com');
    expect(yes.key).toMatch(/./);
    await phone.hears('presence', { from: 'alice@example.com/desk' });
    const said = phone.all('presence').filter(({ direction, key }) => direction === 'sent' && key !== undefined);
    expect(said.map(({ id, type, to }) => ({ id, type, to }))).toEqual([
      { id: 's1', type: 'subscribed', to: 'alice@example.com' },
      { id: 's2', type: 'subscribe', to: 'alice@example.com' },
    ]);
  });

  test('what a contact shows comes to the app as it is, at QoS 0 and without a key', async () => {
    const from = since(phone);
    alice.send(`<presence><show>dnd</show><status>Composing &amp; more</status><priority>3</priority></presence>`);
    const payload = await phone.hears('presence', { from: 'alice@example.com/desk', show: 'dnd' }, { from });
    expect(payload).toMatchObject({ text: 'Composing & more', priority: 3, direction: 'received' });
    expect([payload.key, payload.id, payload.to]).toEqual([undefined, undefined, undefined]);
    expect(phone.heard.items.find((one) => one.payload === payload)).toMatchObject({ qos: 0, retain: false });
    const later = since(phone);
    alice.send('<presence/>');
    const back = await phone.hears('presence', { from: 'alice@example.com/desk', show: undefined }, { from: later });
    expect([back.type, back.text, back.priority]).toEqual([undefined, undefined, undefined]);
  });

  test('the session’s own presence is no contact’s', () => {
    expect(phone.heard.items.filter(({ payload }) => payload.from === bob && payload.key === undefined)).toEqual([]);
  });

  test('whoever comes is told of all contacts at once: the first device, and each further one', async () => {
    await phone.leave();
    const online = since(phone);
    await phone.arrive();
    const [contact, ...more] = await set(phone, online, has('alice@example.com/desk'));
    expect(more).toEqual([]);
    expect(contact).toMatchObject({ from: 'alice@example.com/desk' });
    expect(contact!.at).toMatch(/Z$/);

    const tablet = await stage.app('bob', 'tablet', { library: 'mqtt.js', version: 3 });
    expect(await set(tablet, 0, has('alice@example.com/desk'))).toHaveLength(1);
    await tablet.leave();
  });

  test('after a restart in which the sessions stay, the set is whole again, and contacts notice nothing', async () => {
    const grace = await stage.contact('grace');
    grace.send(`<presence to='bob@example.com' type='subscribe'/>`);
    await phone.hears('presence', { from: 'grace@example.com', type: 'subscribe' });
    phone.publish('presence', { id: 'g1', to: 'grace@example.com', type: 'subscribed' });
    phone.publish('presence', { id: 'g2', to: 'grace@example.com', type: 'subscribe' });
    await phone.hears('presence', { from: 'grace@example.com/desk' });
    await grace.leave();
    await phone.hears('presence', { from: 'grace@example.com/desk', type: 'unavailable' });
    const noticed = alice.presences.items.length;
    const from = since(phone);
    await stage.gateway.kill9();
    await stage.gateway.start();
    expect(await set(phone, from, has('alice@example.com/desk'))).toHaveLength(1);
    expect(alice.presences.items.slice(noticed)).toEqual([]);
  });

  test('presence for one address: a stranger sees the user come and go, and others see nothing of it', async () => {
    const frank = await stage.contact('frank');
    const before = alice.presences.items.length;
    phone.publish('presence', { id: 'd1', to: 'frank@example.com', show: 'away', text: 'Back soon' });
    await frank.sees({ from: bob, type: '', show: 'away' });
    phone.publish('presence', { id: 'd2', to: 'frank@example.com', type: 'unavailable' });
    await frank.sees({ from: bob, type: 'unavailable', show: '' });
    phone.say('frank@example.com', 'after it', 'd3');
    await frank.hears('after it');
    expect(frank.presences.items.filter(({ from }) => from === bob)).toHaveLength(2);
    expect(alice.presences.items.slice(before)).toEqual([]);
  });

  test('an error that a presence meets comes as in/error, with its id', async () => {
    phone.publish('presence', { id: 'x1', to: 'nobody@nowhere.example.net', type: 'subscribe' });
    const error = await phone.hears('error', { id: 'x1' });
    expect(error).toMatchObject({ from: 'nobody@nowhere.example.net' });
    expect([error.key, error.condition]).toEqual([expect.any(String), expect.any(String)]);
  });

  test.each<[string, Payload, string, RegExp]>([
    ['no address', {}, 'bad-request', /retained on presence/],
    ['the own address', { to: 'Bob@example.com' }, 'not-acceptable', /retained on presence/],
    [
      'a room’s entrance',
      { to: 'r@conference.example.com/bob', xml: `<x xmlns='http://jabber.org/protocol/muc'/>` },
      'bad-request',
      /out\/room/,
    ],
    ['a probe', { to: 'alice@example.com', type: 'probe' }, 'bad-request', /type/],
    ['a show that there is not', { to: 'alice@example.com', show: 'sleeping' }, 'bad-request', /show/],
    ['a show with a subscription', { to: 'alice@example.com', type: 'subscribe', show: 'away' }, 'bad-request', /show/],
    ['no JID', { to: 'a b@example.com' }, 'jid-malformed', /JID/],
  ])('out/presence with %s is refused, and says why', async (what, payload, condition, text) => {
    phone.publish('presence', { id: `r ${what}`, ...payload });
    const error = await phone.hears('error', { id: `r ${what}`, condition });
    expect(error.text).toMatch(text);
  });

  test('whoever was denied may ask again, and is heard again', async () => {
    const erin = await stage.contact('erin');
    for (const round of [1, 2]) {
      const from = since(phone);
      erin.send(`<presence to='bob@example.com' type='subscribe'/>`);
      await phone.hears('presence', { from: 'erin@example.com', type: 'subscribe' }, { from });
      const denied = erin.presences.items.length;
      phone.publish('presence', { id: `no${round}`, to: 'erin@example.com', type: 'unsubscribed' });
      await erin.sees({ from: 'bob@example.com', type: 'unsubscribed', show: '' }, denied);
    }
  });

  test('moved back, the user finds the request in the legacy client; moved again, in the app', async () => {
    const frank = await stage.contact('frank');
    await stage.gateway.move('grace@example.com', 'mqtt');
    frank.send(`<presence to='grace@example.com' type='subscribe' id='back1'/>`);
    const entry = async () =>
      (await stage.gateway.entries('grace@example.com')).find(({ id, key }) => id === idOf('back1', { key }));
    for (let tries = 0; tries < 100 && !(await entry()); tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    await stage.gateway.move('grace@example.com', 'legacy');
    expect(await entry()).toMatchObject({ state: 'discarded', custody: 'copy' });
    // A client that answers nothing by itself.
    const desk = await stage.legacyClient('grace');
    await desk.inbox.first('the request', (s) => s.name === 'presence' && s.attrs.type === 'subscribe');
    await desk.stop();
    await stage.gateway.move('grace@example.com', 'mqtt');
    const watch = await stage.app('grace', 'watch');
    const again = await watch.hears('presence', { from: 'frank@example.com', type: 'subscribe' });
    expect(again.id).toBe(idOf('back1', again));
  });

  test('a request waits for the app, and comes once, however often the server tells it again', async () => {
    await stage.gateway.move('carol@example.com', 'mqtt');
    for (const [name, id] of [
      ['alice', ` id='c1'`],
      ['dave', ''],
    ] as const) {
      const asker = name === 'alice' ? alice : await stage.contact(name);
      asker.send(`<presence to='carol@example.com' type='subscribe'${id}/>`);
    }
    const waits = async (count: number) => {
      for (;;) {
        const entries = await stage.gateway.entries('carol@example.com');
        const asked = entries.filter(({ channel }) => channel === 'presence');
        if (asked.length >= count) return asked;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await waits(2);
    // A new session, as after any long outage: the server tells both requests again.
    const from = stage.gateway.log.items.length;
    await stage.server.restart();
    await stage.gateway.logged({ event: 'user.attached', user: 'carol@example.com' }, from);
    const watch = await stage.app('carol', 'watch');
    const first = await watch.hears('presence', { from: 'alice@example.com', type: 'subscribe' });
    expect(first.id).toBe(idOf('c1', first));
    await watch.hears('presence', { from: 'dave@example.com', type: 'subscribe' });
    expect(await waits(2)).toHaveLength(2);
    await watch.leave();
  });
});
