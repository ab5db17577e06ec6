// Play: Mallory and a broken app do their worst; each is told, it is counted, and nobody else notices (DESIGN §2 rules 1, 5, 6).

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { App, Payload } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const maxInboundBytes = 65_536;
const maxStanzaBytes = 32_768;

let stage: Stage;
let gateway: GatewayProcess;
let alice: Contact;
let mallory: Contact;
/** Bob's, which is broken. */
let phone: App;
/** Carol's, in good order. */
let canary: App;
let rowsPlayed = 0;
let heardBefore = 0;
/** Where the log of this run of the gateway begins. */
let startedAt = 0;

beforeAll(async () => {
  stage = await setStage({
    accounts: ['alice', 'bob', 'carol', 'frank', 'mallory'],
    mqttAccounts: ['%62ob', 'Bob', 'ghost'],
    config: { xmpp: { maxInboundBytes, maxStanzaBytes } },
  });
  gateway = stage.gateway;
  [alice, mallory, phone, canary] = await Promise.all([
    stage.contact('alice'),
    stage.contact('mallory'),
    stage.app('bob', 'phone'),
    stage.app('carol', 'phone', { library: 'mqtt.js' }),
  ]);
  await gateway.move('bob@example.com', 'mqtt');
  await gateway.move('carol@example.com', 'mqtt');
  // Of his contacts it is told once, whenever the server has told the gateway; from then on it hears answers alone.
  await phone.hears('presence', { complete: true });
});
afterAll(() => stage?.strike());
beforeEach(() => {
  heardBefore = phone.heard.items.length;
});

// After each row: other users' traffic passes, both ways, and no connection was lost.
afterEach(async () => {
  const sign = `canary ${++rowsPlayed}`;
  alice.say('carol@example.com', sign);
  canary.say('alice@example.com', sign, sign);
  await Promise.all([
    canary.hears('message', { body: sign, direction: 'received' }),
    alice.hears(sign),
    canary.isTold(sign),
  ]);
  const starts = ['component.online', 'attach.up', 'mqtt.connected'];
  const connected = gateway.log.items.slice(startedAt).flatMap(({ event }) => (starts.includes(event) ? [event] : []));
  expect(connected.toSorted()).toEqual(['attach.up', 'component.online', 'mqtt.connected', 'mqtt.connected']);
});

const deep = `${'<a xmlns="urn:deep">'.repeat(100)}${'</a>'.repeat(100)}`;
const attributes = Array.from({ length: 200 }, (_, n) => `a${n}='x'`).join(' ');

test.each([
  { what: 'nested a hundred levels deep', content: `<body>x</body>${deep}`, condition: 'policy-violation' },
  {
    what: 'larger than the limit',
    content: `<body>${'x'.repeat(maxInboundBytes)}</body>`,
    condition: 'policy-violation',
  },
  {
    what: 'with an element of 200 attributes',
    content: `<x xmlns='urn:many' ${attributes}/>`,
    condition: 'policy-violation',
  },
  {
    what: 'with a forged carbon',
    content: `<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@example.com/desk' to='bob@example.com'><body>pay Mallory</body></message></forwarded></received>`,
    condition: 'policy-violation',
  },
])('a stanza $what comes back to its sender as an error', async ({ what, content, condition }) => {
  const refused = await counter('toMqtt', condition);
  mallory.send(`<message to='bob@example.com' type='chat' id='${what}'>${content}</message>`);
  const error = await mallory.hears(({ id, type }) => id === what && type === 'error');
  expect(error.from).toMatch(/^bob@example\.com/);
  expect(error.xml.getChild('error')?.getChild(condition)).toBeDefined();
  expect(await counter('toMqtt', condition)).toBe(refused + 1);
  const entry = (await gateway.entries('bob@example.com')).find(({ id }) => id === what);
  // What the reader skipped has an id only if it came before the limit.
  expect(entry ?? (await gateway.entries('bob@example.com')).at(-1)).toMatchObject({ state: 'dead', condition });
  expect(phone.heard.items.slice(heardBefore)).toEqual([]);
});

test.each([
  { what: 'an illegal character', xml: `<message to='bob@example.com'><body>\u0001</body></message>` },
  { what: 'a reference to one', xml: `<message to='bob@example.com'><body>&#1;</body></message>` },
  { what: 'an unbound prefix', xml: `<message to='bob@example.com'><no:prefix/></message>` },
  {
    what: 'a document type',
    xml: `<!DOCTYPE a [<!ENTITY b "c">]><message to='bob@example.com'><body>&b;</body></message>`,
  },
])('a client that sends $what disturbs nobody, whatever its server does about it', async ({ xml }) => {
  const eve = await stage.contact('mallory/other', { priority: -1 });
  eve.send(xml);
  await eve.leave();
});

test('an iq that a session cannot serve is answered as an error; results and errors are not answered', async () => {
  const answer = await mallory.iq('bob@example.com/mqtt', 'set', `<query xmlns='urn:example:unknown'/>`);
  expect(answer.getChild('error')?.getChild('service-unavailable')).toBeDefined();
  mallory.send(`<iq to='bob@example.com/mqtt' type='result' id='unasked'/>`);
  mallory.send(`<iq to='bob@example.com/mqtt' type='error' id='unasked'/>`);
  await mallory.iq('bob@example.com/mqtt', 'get', `<ping xmlns='urn:xmpp:ping'/>`);
});

interface Row {
  what: string;
  /** Fields over those of a proper message; undefined takes one away. Or the whole payload as text. */
  payload: Payload | string;
  condition: string;
  channel?: string;
  /** The refusal cannot name it. */
  nameless?: true;
}

const longId = 'i'.repeat(257);
const badPayloads: Row[] = [
  { what: 'no JSON', payload: 'hello', condition: 'bad-request', nameless: true },
  { what: 'an array', payload: '[{"id":"x"}]', condition: 'bad-request', nameless: true },
  { what: 'null', payload: 'null', condition: 'bad-request', nameless: true },
  { what: 'without an id', payload: { id: undefined }, condition: 'bad-request', nameless: true },
  { what: 'with an id that is a number', payload: { id: 7 }, condition: 'bad-request', nameless: true },
  { what: 'with an id of 257 bytes', payload: { id: longId }, condition: 'bad-request', nameless: true },
  {
    what: 'with __proto__',
    payload: '{"id":"with __proto__","to":"alice@example.com","body":"x","__proto__":{"refused":true}}',
    condition: 'bad-request',
  },
  { what: 'nested too deeply', payload: { body: nested(40) }, condition: 'bad-request' },
  { what: 'that claims to be a refusal', payload: { refused: true }, condition: 'bad-request' },
  { what: 'with a body that is a number', payload: { body: 7 }, condition: 'bad-request' },
  { what: 'with a body that is an object', payload: { body: { text: 'x' } }, condition: 'bad-request' },
  { what: 'with an unknown field', payload: { colour: 'red' }, condition: 'bad-request' },
  { what: 'with an unknown type', payload: { type: 'shout' }, condition: 'bad-request' },
  { what: 'with an illegal character', payload: { body: 'a\u0001b' }, condition: 'bad-request' },
  { what: 'with half a character', payload: { body: 'a\ud800b' }, condition: 'bad-request' },
  { what: 'with U+FFFF', payload: { body: 'a\uffffb' }, condition: 'bad-request' },
  { what: 'without an address', payload: { to: undefined }, condition: 'jid-malformed' },
  { what: 'to two addresses', payload: { to: ['alice@example.com'] }, condition: 'jid-malformed' },
  { what: 'to an address that is none', payload: { to: 'a@b@c' }, condition: 'jid-malformed' },
  { what: 'from somebody else', payload: { from: 'alice@example.com' }, condition: 'bad-request' },
  { what: 'with a key of its own', payload: { key: 'mine' }, condition: 'bad-request' },
  { what: 'from another time', payload: { at: '2001-01-01T00:00:00.000Z' }, condition: 'bad-request' },
  {
    what: 'with xml that ends the message',
    payload: { xml: `</message><message to='x@y'/>` },
    condition: 'bad-request',
  },
  { what: 'with xml that is not closed', payload: { xml: '<a xmlns="urn:a">' }, condition: 'bad-request' },
  { what: 'with a document type', payload: { xml: '<!DOCTYPE a><a xmlns="urn:a"/>' }, condition: 'bad-request' },
  { what: 'with an unbound prefix', payload: { xml: '<n:a/>' }, condition: 'bad-request' },
  { what: 'with a second body in xml', payload: { xml: '<body>two</body>' }, condition: 'bad-request' },
  {
    what: 'with a delay of its own',
    payload: { xml: '<delay xmlns="urn:xmpp:delay" from="example.com" stamp="2001-01-01T00:00:00Z"/>' },
    condition: 'forbidden',
  },
  { what: 'with a forged carbon', payload: { xml: '<received xmlns="urn:xmpp:carbons:2"/>' }, condition: 'forbidden' },
  { what: 'with the attach protocol', payload: { xml: '<d xmlns="urn:crossfade:attach:1"/>' }, condition: 'forbidden' },
  { what: 'on the wrong channel', payload: {}, channel: 'receipt', condition: 'bad-request' },
  { what: 'on a channel that there is not', payload: {}, channel: 'mesage', condition: 'bad-request' },
  { what: 'as a request', payload: {}, channel: 'request', condition: 'feature-not-implemented' },
  { what: 'as presence', payload: {}, channel: 'presence', condition: 'bad-request' },
  { what: 'larger than a stanza may be', payload: { body: 'x'.repeat(maxStanzaBytes) }, condition: 'policy-violation' },
  {
    what: 'that grows too large as XML',
    payload: { body: '&'.repeat(maxStanzaBytes / 4) },
    condition: 'policy-violation',
  },
];

test.each(badPayloads)('a payload $what is refused with in/error, and counted', async ({ what, payload, ...row }) => {
  const { condition, channel = 'message', nameless } = row;
  const refused = await counter('toXmpp', condition);
  const whole = { id: what, to: 'alice@example.com', type: 'chat', body: 'x' };
  phone.publish(channel, typeof payload === 'string' ? payload : { ...whole, ...payload });
  const error = await phone.hears('error', nameless ? { condition } : { id: what, condition }, { from: heardBefore });
  expect(error.text).toMatch(/\w+ \w+/);
  if (nameless) expect(error.id).toBeUndefined();
  expect(await counter('toXmpp', condition)).toBe(refused + 1);
  expect(phone.heard.items.slice(heardBefore).map(({ channel }) => channel)).toEqual(['error']);
});

test('an id used for something else is a conflict; the first message stays what it was', async () => {
  phone.say('alice@example.com', 'the first', 'c1');
  await phone.isTold('c1');
  phone.say('alice@example.com', 'the second', 'c1');
  await phone.hears('error', { id: 'c1', condition: 'conflict' });
  phone.publish('receipt', { id: 'c1', to: 'alice@example.com', type: 'chat', receipt: 'x' });
  await phone.hears('error', { id: 'c1', condition: 'conflict' }, { from: phone.heard.items.length });
  await alice.hears('the first');
  expect(alice.bodies()).not.toContain('the second');
});

test('a retained message is refused, and taken from the broker', async () => {
  const passing = await stage.watch('chat/bob/out/#');
  phone.publish('message', { id: 'r1', to: 'alice@example.com', type: 'chat', body: 'for ever' }, { retain: true });
  await phone.hears('error', { condition: 'bad-request' }, { from: heardBefore });
  await passing.until((all) => all.find(({ payload }) => payload === ''), 'the clearing');
  const later = await stage.watch('chat/bob/out/#');
  phone.say('alice@example.com', 'for now', 'r2');
  await later.until((all) => all.find(({ payload }) => payload.includes('r2')), 'a live message');
  expect(later.items.filter(({ retain }) => retain)).toEqual([]);
  await alice.hears('for now');
  expect(alice.bodies()).not.toContain('for ever');
});

test.each(['%62ob', 'Bob'])(
  'the topic of %s is not that of bob, though it decodes to him: refused, and counted',
  async (level) => {
    const refused = await counter('toXmpp', 'jid-malformed');
    const twin = await stage.app(level, 'phone');
    // Its presence counts, too.
    await expect.poll(() => counter('toXmpp', 'jid-malformed')).toBe(refused + 1);
    twin.say('alice@example.com', `I am ${level}`, 't1');
    await expect.poll(() => counter('toXmpp', 'jid-malformed')).toBe(refused + 2);
    expect(alice.bodies()).not.toContain(`I am ${level}`);
  },
);

test('a topic of somebody else does not get past the broker', async () => {
  phone.publishTo('chat/carol/out/message', { id: 'f1', to: 'alice@example.com', type: 'chat', body: 'I am Carol' });
  phone.say('alice@example.com', 'I am Bob', 'f2');
  await alice.hears('I am Bob');
  expect(alice.bodies()).not.toContain('I am Carol');
});

test.each([
  { who: 'an unknown user', user: 'ghost' },
  { who: 'a user in a phase that forbids it', user: 'frank' },
])('$who is told that it is not migrated', async ({ user }) => {
  const refused = await counter('toXmpp', 'not-migrated');
  const app = await stage.app(user, 'phone');
  app.say('alice@example.com', `I am ${user}`, 'u1');
  expect(await app.hears('error', { id: 'u1' })).toMatchObject({ condition: 'not-migrated' });
  expect(await counter('toXmpp', 'not-migrated')).toBe(refused + 1);
  expect(alice.bodies()).not.toContain(`I am ${user}`);
});

test('what was acknowledged is on disk after kill -9, and nothing that was refused', async () => {
  const acknowledged = new Set(phone.all('ack').flatMap(({ ids }) => ids as string[]));
  await gateway.kill9();
  startedAt = gateway.log.items.length;
  await gateway.start();
  const sent = (await gateway.entries('bob@example.com')).filter(({ lane }) => lane === 'toXmpp');
  expect(new Set(sent.map(({ id }) => id))).toEqual(acknowledged);
  expect([...acknowledged].toSorted()).toEqual(['c1', 'f2', 'r2']);
});

async function counter(lane: string, reason: string): Promise<number> {
  return await gateway.metric('crossfade_refused_total', { lane, reason });
}

function nested(levels: number): unknown {
  return levels === 0 ? 'x' : { in: nested(levels - 1) };
}
