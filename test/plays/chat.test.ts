// Play: Alice keeps her legacy client, Bob has moved to his phone, and they say all that can be said (DESIGN §6, §7).

import type { Element } from 'ltx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage, userLevel } from '../harness/stage.ts';
import { parseXml } from '../harness/xml.ts';

const dArtagnan = 'd\\27artagnan'; // d'artagnan in XEP-0106
const jurgen = 'jürgen';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let alice: Contact;
  /** Paho, MQTT 5. */
  let phone: App;
  /** mqtt.js, MQTT 3.1.1. */
  let tablet: App;

  beforeAll(async () => {
    stage = await setStage({ kind: server, accounts: ['alice', 'bob', dArtagnan, jurgen] });
    [alice, phone, tablet] = await Promise.all([
      stage.contact('alice'),
      stage.app('bob', 'phone'),
      stage.app('bob', 'tablet', { library: 'mqtt.js', version: 3 }),
    ]);
    await stage.gateway.move('bob@example.com', 'mqtt');
  });
  afterAll(() => stage?.strike());

  interface Row {
    what: string;
    stanza: string;
    fields: Record<string, unknown>;
    channel?: string;
    /** Of the message element. */
    attributes?: string;
  }

  const chess = '<move xmlns="urn:example:chess"><piece colour="white">knight</piece>f3</move>';
  // Longer than any chunk: some characters are cut by the border of two.
  const long = '騎士の物語'.repeat(4_000);
  const rows: Row[] = [
    {
      what: 'a body with markup, quotes and characters beyond the BMP',
      stanza: `<body>5 &lt; 6 &amp; "seven" 'eight' — 騎士 🦊\nnew line</body>`,
      fields: { body: `5 < 6 & "seven" 'eight' — 騎士 🦊\nnew line` },
    },
    {
      what: '60 KB in which every character has three bytes',
      stanza: `<body>${long}</body>`,
      fields: { body: long },
    },
    {
      what: 'a subject',
      stanza: '<subject>Lunch</subject><body>Soup?</body>',
      fields: { subject: 'Lunch', body: 'Soup?' },
    },
    {
      what: 'a thread and its parent',
      stanza: `<body>in a thread</body><thread parent='t1'>t2</thread>`,
      fields: { body: 'in a thread', thread: 't2', threadParent: 't1' },
    },
    {
      what: 'a language',
      stanza: '<body>Guten Tag</body>',
      attributes: `xml:lang='de'`,
      fields: { body: 'Guten Tag', lang: 'de' },
    },
    {
      what: 'a request for a receipt',
      stanza: `<body>Are you there?</body><request xmlns='urn:xmpp:receipts'/>`,
      fields: { body: 'Are you there?', wantsReceipt: true },
    },
    {
      what: 'a receipt',
      stanza: `<received xmlns='urn:xmpp:receipts' id='m1'/>`,
      fields: { receipt: 'm1' },
      channel: 'receipt',
    },
    {
      what: 'a markable message',
      stanza: `<body>Look</body><markable xmlns='urn:xmpp:chat-markers:0'/>`,
      fields: { body: 'Look', markable: true },
    },
    {
      what: 'a marker that it was displayed',
      stanza: `<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>`,
      fields: { displayed: 'm1' },
      channel: 'receipt',
    },
    {
      what: 'processing hints',
      stanza: `<body>psst</body><no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/>`,
      fields: { body: 'psst', noStore: true, noCopy: true },
    },
    {
      what: 'the hint to store',
      stanza: `<body>keep</body><store xmlns='urn:xmpp:hints'/>`,
      fields: { body: 'keep', store: true },
    },
    {
      what: 'a chat state inside a message',
      stanza: `<body>done typing</body><active xmlns='http://jabber.org/protocol/chatstates'/>`,
      fields: { body: 'done typing', state: 'active' },
    },
    {
      what: 'the id of its origin',
      stanza: `<body>mine</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>`,
      fields: { body: 'mine', originId: 'o1' },
    },
    {
      what: 'an extension no mapping knows, beside a body',
      stanza: `<body>your move</body>${chess}`,
      fields: { body: 'your move', xml: chess },
    },
    {
      what: 'an extension no mapping knows, alone',
      stanza: chess,
      fields: { xml: chess },
      channel: 'stanza',
    },
  ];

  test.each(rows)('Alice sends $what, and both of Bob’s devices have it', async ({ what, stanza, ...row }) => {
    const { fields, channel = 'message', attributes = '' } = row;
    const id = `in ${what}`;
    alice.send(`<message to='bob@example.com' type='chat' id='${id}' ${attributes}>${stanza}</message>`);
    const wanted = {
      id,
      type: 'chat',
      from: 'alice@example.com/desk',
      to: 'bob@example.com',
      direction: 'received',
      ...fields,
    };
    const payload = await phone.hears(channel, wanted);
    expect(await tablet.hears(channel, wanted)).toEqual(payload);
    const stated = ['id', 'key', 'at', 'from', 'to', 'type', 'direction', 'copy', 'lang', ...Object.keys(fields)];
    expect(Object.keys(payload).filter((field) => !stated.includes(field))).toEqual([]);
  });

  test.each(rows)('Bob’s phone sends $what, and Alice has it', async ({ what, stanza, ...row }) => {
    const { fields, channel = 'message', attributes } = row;
    const id = `out ${what}`;
    phone.publish(channel, { id, to: 'alice@example.com', type: 'chat', ...fields });
    const { xml, from } = await alice.hears((message) => message.id === id);
    expect(from).toBe('bob@example.com/mqtt');
    expect(elements(xml)).toEqual(elements(parseXml(`<message>${stanza}</message>`)));
    if (attributes) expect(xml.attrs['xml:lang']).toBe('de');
    await phone.isTold(id);
  });

  test('chat states pass both ways at QoS 0, to whoever is there', async () => {
    alice.send(
      `<message to='bob@example.com' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
    );
    await phone.hears('chatstate', { from: 'alice@example.com/desk', state: 'composing', direction: 'received' });
    expect(phone.heard.items.find(({ channel }) => channel === 'chatstate')).toMatchObject({ qos: 0, retain: false });
    phone.publish('chatstate', { to: 'alice@example.com', type: 'chat', state: 'paused' }, { qos: 0 });
    const { xml } = await alice.hears(({ xml }) => xml.getChild('paused') !== undefined);
    expect(xml.getChild('paused')?.attrs.xmlns).toBe('http://jabber.org/protocol/chatstates');
  });

  test('a payload has a key, its time in RFC 3339 with milliseconds, and the key as id where the sender gave none', async () => {
    const before = Date.now();
    alice.send(`<message to='bob@example.com' type='chat'><body>no id</body></message>`);
    const payload = await phone.hears('message', { body: 'no id' });
    expect(payload.key).toMatch(/^[\x21-\x7e]{1,64}$/);
    expect(payload.id).toBe(payload.key);
    expect(payload.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const at = Date.parse(String(payload.at));
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
    expect(phone.heard.items.find(({ payload: { key } }) => key === payload.key)).toMatchObject({
      qos: 1,
      retain: false,
    });
  });

  test('what the phone sends, the tablet has too: once, marked as sent, under a key of its own', async () => {
    phone.say('alice@example.com', 'from the phone', 'p1');
    await phone.isTold('p1');
    const copy = await tablet.hears('message', { id: 'p1' });
    expect(copy).toMatchObject({
      direction: 'sent',
      to: 'alice@example.com',
      body: 'from the phone',
      type: 'chat',
      copy: true,
    });
    expect(copy.from).toBe('bob@example.com/mqtt');
    expect(await phone.hears('message', { id: 'p1' })).toEqual(copy);
    expect(tablet.all().filter(({ id }) => id === 'p1')).toHaveLength(1);
  });

  test('the same message again is acknowledged again, and Alice gets it once', async () => {
    const told = () =>
      phone.heard.items.filter(({ channel, payload }) => channel === 'ack' && String(payload.ids).includes('p2'));
    phone.say('alice@example.com', 'say it twice', 'p2');
    await phone.isTold('p2');
    phone.say('alice@example.com', 'say it twice', 'p2');
    await phone.heard.until(() => (told().length === 2 ? true : undefined), 'the second in/ack');
    phone.say('alice@example.com', 'and something else', 'p3');
    await alice.hears('and something else');
    expect(alice.bodies().filter((body) => body === 'say it twice')).toHaveLength(1);
  });

  test('an error that a contact’s server or client answers comes as in/error, with key and from', async () => {
    phone.say('nobody@example.com', 'is anybody there?', 'e1');
    const byServer = await phone.hears('error', { id: 'e1' });
    expect(byServer).toMatchObject({ from: 'nobody@example.com', condition: 'service-unavailable' });
    expect(byServer.key).toMatch(/./);

    phone.say('alice@example.com/desk', 'will you refuse this?', 'e2');
    await alice.hears('will you refuse this?');
    alice.send(
      `<message to='bob@example.com/mqtt' type='error' id='e2'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not this</text></error></message>`,
    );
    const byClient = await phone.hears('error', { id: 'e2' });
    expect(byClient).toMatchObject({ from: 'alice@example.com/desk', condition: 'not-acceptable', text: 'not this' });
    expect(byClient.key).not.toBe(byServer.key);
  });

  test('a client on @xmpp/client understands Bob as well, and asks his session what clients ask each other', async () => {
    const desk = await stage.legacyClient('alice', { resource: 'other', priority: -1 });
    const ping = await desk.iq(`<iq type='get' to='bob@example.com/mqtt'><ping xmlns='urn:xmpp:ping'/></iq>`);
    expect(ping.attrs.type).toBe('result');
    const version = await desk.iq(`<iq type='get' to='bob@example.com/mqtt'><query xmlns='jabber:iq:version'/></iq>`);
    expect(version.getChild('query')?.getChildText('name')).toBe('Crossfade');
    phone.say('alice@example.com/other', 'to the other desk', 'o1');
    expect((await desk.message('to the other desk')).attrs.from).toBe('bob@example.com/mqtt');
  });

  // The same user is the same key everywhere: on the admin side, in topics, in the broker's accounts, on both lanes.
  test.each([
    { who: 'an apostrophe (XEP-0106)', local: dArtagnan, level: 'd%5C27artagnan', spelt: 'D\\27Artagnan@EXAMPLE.com' },
    { who: 'an umlaut', local: jurgen, level: 'j%C3%BCrgen', spelt: 'JU\u0308RGEN@example.com' },
  ])('a user with $who talks with everybody, however the name is spelt', async ({ local, level, spelt }) => {
    expect(userLevel(local)).toBe(level);
    const jid = `${local}@example.com`;
    const watch = await stage.app(level, 'watch', { library: 'mqtt.js' });
    await stage.gateway.move(spelt, 'mqtt');
    // What the broker has of the app may still be on its way to the gateway.
    const user = await stage.gateway.userWhen(spelt, ({ app }) => app === 'here');
    expect(user).toMatchObject({ jid, phase: 'mqtt' });

    alice.say(jid, `hello ${local}`);
    await watch.hears('message', { to: jid, body: `hello ${local}` });
    watch.say('alice@example.com', `${local} here`, 'w1');
    expect((await alice.hears(`${local} here`)).from).toBe(`${jid}/mqtt`);
    phone.say(spelt, `Bob to ${local}`, `b-${level}`);
    await watch.hears('message', { from: 'bob@example.com/mqtt', body: `Bob to ${local}` });

    expect(await stage.gateway.user(spelt)).toMatchObject({ jid });
    expect((await stage.gateway.entries(jid)).map(({ user }) => user)).toEqual([jid, jid, jid, jid]);
  });

  /** Child elements as comparable values, without the order of attributes. */
  function elements(parent: Element): unknown[] {
    return parent.children
      .filter((child): child is Element => typeof child !== 'string')
      .map((child) => ({
        name: child.name,
        attrs: { ...child.attrs },
        text: child.getText(),
        children: elements(child),
      }))
      .sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  }
});
