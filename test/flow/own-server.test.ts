// The gateway as the server of its own domain, on a real ledger: what is on disk before it is answered, what a crash leaves, what a flood costs.

import { afterEach, expect, test } from 'vitest';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { type CoreStage, type CoreStageOptions, setCoreStage } from './core-stage.ts';

const bot = 'bot@gw.example.com';
const alice = 'alice@example.com';
const level = 'bot%40gw%2Eexample%2Ecom';
let stage: CoreStage;
const set = async (options: CoreStageOptions = {}) => {
  stage = await setCoreStage({ ownUsers: [bot], ...options });
};
afterEach(() => stage?.end());

/** As it comes over the component's own connection; resolves when it is accepted. */
const comes = (text: string, user = bot): Promise<void> =>
  new Promise((accepted) => {
    const stanza = parseStanza(text);
    if (!stanza) throw new Error(`this is no stanza: ${text}`);
    stage.core.toMqtt.receive(stanza, { user, seen: false }, accepted);
  });
const presence = (type: string, from = alice, to = bot, id = 'p') =>
  `<presence from='${from}' to='${to}' type='${type}' id='${id}'/>`;
const publishes = (channel: string, payload: object): Promise<void> =>
  new Promise((accepted) => {
    const message = {
      topic: `chat/${level}/out/${channel}`,
      payload: Buffer.from(JSON.stringify(payload)),
      retain: false,
    };
    stage.core.toXmpp.receive(message as never, accepted);
  });
const appIsHere = async () => {
  stage.core.brokerUp();
  await stage.core.devices.heard(bot, 'program', { online: true });
  await waitUntil(() => stage.core.devices.statusOf(bot) === 'here');
};
/** Of all that went out: type and addressee. */
const sent = () =>
  stage.ownSent.map((text) => {
    const { attrs, name } = parseStanza(text)!;
    return `${attrs.type ?? name} ${attrs.to}`;
  });
const contacts = async () =>
  (await stage.ledger.do('ownContacts', { after: { user: '', contact: '' }, limit: 9 })).map(
    ({ contact, sees, seen }) => `${contact} ${sees} ${seen}`,
  );

test('a request is in the roster and in the ledger, and survives a crash; the answer is on disk before it leaves', async () => {
  await set();
  await comes(presence('subscribe'));
  expect(await stage.entries()).toMatchObject([
    { user: bot, peer: alice, channel: 'presence', id: 'p', custody: 'copy' },
  ]);
  await stage.crashes();
  await appIsHere();
  let onDisk: string[] = [];
  stage.ownResult = async (text) => {
    if (text.includes('subscribed')) onDisk = await contacts();
    return { kind: 'processed' };
  };
  await publishes('presence', { id: 's1', to: alice, type: 'subscribed' });
  await waitUntil(() => sent().includes(`presence ${alice}`));
  expect(onDisk).toEqual([`${alice} yes undefined`]);
  expect(sent()).toEqual([`subscribed ${alice}`, `presence ${alice}`]);
});

test('an answer that the server did not get is given once more, and the roster stays as it is', async () => {
  await set();
  await comes(presence('subscribe'));
  let times = 0;
  stage.ownResult = async () => (times++ === 0 ? { kind: 'lost' } : { kind: 'processed' });
  await publishes('presence', { id: 's1', to: alice, type: 'subscribed' });
  await waitUntil(() => sent().filter((what) => what === `subscribed ${alice}`).length === 2);
  expect(await contacts()).toEqual([`${alice} yes undefined`]);
});

test('where requests are accepted the answer is an entry of its own, and a crash before it makes it later', async () => {
  await set({ ownSubscriptions: 'ask' });
  await comes(presence('subscribe'));
  // Now they are accepted: whoever waits is answered.
  await stage.core.ownServer.own.put(bot, () => ({ subscriptions: 'accept' }), { who: 'admin', reason: 'open' });
  await waitUntil(() => sent().includes(`subscribed ${alice}`));
  await comes(presence('subscribe', 'carol@example.com'));
  await waitUntil(() => sent().includes('subscribed carol@example.com'));
  const told = (await stage.shown()).map(
    ({ type, direction, from, to }) => `${direction} ${type} ${direction === 'sent' ? to : from}`,
  );
  expect(told).toEqual([
    `received subscribe ${alice}`,
    `sent subscribed ${alice}`,
    'received subscribe carol@example.com',
    'sent subscribed carol@example.com',
  ]);
  // Who sees it already is told so again, without the app.
  const before = (await stage.entries()).length;
  await comes(presence('subscribe', 'carol@example.com'));
  await waitUntil(() => sent().filter((what) => what === 'subscribed carol@example.com').length === 2);
  expect((await stage.entries()).length).toBe(before);
});

test('a grant that waits to be sent is not made again, whatever is changed about its user meanwhile, nor after a start', async () => {
  await set({ ownSubscriptions: 'accept' });
  await appIsHere();
  const put = (change: object) => stage.core.ownServer.own.put(bot, () => change, { who: 'admin', reason: 'a test' });
  // Unanswered, it holds back what is behind it in the conversation.
  stage.ownResult = () => new Promise(() => {});
  await publishes('message', { id: 'm1', to: alice, type: 'chat', body: 'hi' });
  await waitUntil(() => stage.ownSent.length === 1);
  await comes(presence('subscribe'));
  const grants = async () =>
    (await stage.ledger.do('entries', { lane: 'toXmpp', limit: 99 })).filter(({ channel }) => channel === 'presence');
  await waitUntil(async () => (await grants()).length > 0);
  await Promise.all([put({ profile: { name: 'Bot' } }), put({ listed: true }), put({ subscriptions: 'accept' })]);
  await stage.crashes();
  stage.ownResult = async () => ({ kind: 'processed' });
  await appIsHere();
  await waitUntil(() => sent().includes(`subscribed ${alice}`));
  expect(await grants()).toHaveLength(1);
  expect((await stage.shown()).filter(({ type }) => type === 'subscribed')).toHaveLength(1);
  expect(await contacts()).toEqual([`${alice} yes undefined`]);
});

test('approved before it is asked: nothing leaves until the request comes, which is granted', async () => {
  await set();
  await publishes('presence', { id: 's1', to: alice, type: 'subscribed' });
  await waitUntil(async () => (await contacts()).length === 1);
  expect([await contacts(), sent()]).toEqual([[`${alice} approved undefined`], []]);
  await comes(presence('subscribe'));
  await waitUntil(() => sent().includes(`subscribed ${alice}`));
  expect(await contacts()).toEqual([`${alice} yes undefined`]);
});

test('until it is known whether an app is there nothing is said of it; then everybody who sees it is told', async () => {
  await set();
  await stage.core.ownServer.own.setStanding(bot, alice, { sees: 'yes' });
  stage.core.componentUp();
  await comes(presence('probe'));
  expect(sent()).toEqual([]);
  stage.core.brokerUp();
  await waitUntil(() => sent().length > 0);
  expect(sent()).toEqual([`unavailable ${alice}`]);
  await stage.core.devices.heard(bot, 'program', { online: true, show: 'dnd', text: 'a\u0000b' });
  await waitUntil(() => sent().length > 1);
  // A status that XML cannot say is left out.
  expect(stage.ownSent.at(-1)).toContain('<show>dnd</show><x');
  await publishes('presence', { id: 'd1', to: 'dave@example.com/home' });
  await waitUntil(() => sent().includes('presence dave@example.com/home'));
  await stage.core.stop(0);
  expect(sent().slice(-2)).toEqual([`unavailable ${alice}`, 'unavailable dave@example.com/home']);
});

test('probes in bulk: of one contact one answer waits at a time, of strangers a bounded number, and nothing is kept', async () => {
  await set();
  await stage.core.ownServer.own.setStanding(bot, alice, { sees: 'yes' });
  await appIsHere();
  await waitUntil(() => sent().includes(`presence ${alice}`));
  stage.ownSent.length = 0;
  const waiting: (() => void)[] = [];
  stage.ownResult = () => new Promise((resolve) => waiting.push(() => resolve({ kind: 'processed' })));
  for (let i = 0; i < 5_000; i++) await comes(presence('probe'));
  for (let i = 0; i < 25_000; i++) await comes(presence('probe', `stranger${i}@example.org`));
  expect(waiting.length).toBe(500);
  while (waiting.length > 0) {
    for (const answer of waiting.splice(0)) answer();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const of = (what: string) => sent().filter((one) => one.startsWith(what)).length;
  // A probe that comes while the answer to the last is unanswered asks for another.
  expect(of(`presence ${alice}`)).toBeLessThanOrEqual(501);
  expect(of('unsubscribed')).toBeGreaterThan(19_000);
  expect(of('unsubscribed')).toBeLessThanOrEqual(20_501);
  expect([await contacts(), (await stage.entries()).length]).toEqual([[`${alice} yes undefined`], 0]);
  // And the next one that may see it is answered.
  stage.ownSent.length = 0;
  await comes(presence('probe'));
  expect(sent()).toEqual([`presence ${alice}`]);
});

test('a thousand requests wait for an answer; the next stranger is told to come later, and is no row', async () => {
  await set();
  const asks = Array.from({ length: 1_001 }, (_, i) => comes(presence('subscribe', `stranger${i}@example.org`)));
  await Promise.all(asks);
  const [error, ...rest] = stage.ownSent;
  expect(rest).toEqual([]);
  expect(error).toContain('<resource-constraint');
  expect(error).toContain('has not answered 1000 others yet: ask again later');
  expect(stage.core.ownServer.own.contacts(bot).size).toBe(1_000);
  // Who waits already may take it back.
  await comes(presence('unsubscribe', 'stranger5@example.org'));
  expect(stage.core.ownServer.own.contacts(bot).size).toBe(999);
});

const odd: [what: string, stanza: string][] = [
  ['a request from nobody', `<presence to='${bot}' type='subscribe' id='p'/>`],
  ['a request from what is no address', `<presence from='@' to='${bot}' type='subscribe' id='p'/>`],
  ['a probe from nobody', `<presence to='${bot}' type='probe'/>`],
  ['an answer to what was not asked', presence('subscribed')],
  ['the end of what never was', presence('unsubscribe')],
  ['a denial of what was not asked', presence('unsubscribed')],
  ['a presence of an unknown type', presence('wonder')],
  ['an error', `<presence from='${alice}' to='${bot}' type='error'/>`],
];
test.each(odd)('%s changes nothing, and answers nothing', async (_, stanza) => {
  await set();
  await comes(stanza);
  expect([await contacts(), stage.ownSent, (await stage.entries()).length]).toEqual([[], [], 0]);
});

const questions: [what: string, to: string, iq: string, answer: string][] = [
  ['nothing', bot, `<iq from='${alice}/a' to='${bot}' type='get' id='q'/>`, 'service-unavailable'],
  [
    'a vCard with a resource',
    bot,
    `<iq from='${alice}/a' to='${bot}/x' type='get' id='q'><vCard xmlns='vcard-temp'/></iq>`,
    '<FN>bot</FN>',
  ],
  [
    'the items of another node',
    bot,
    `<iq from='${alice}/a' to='${bot}' type='get' id='q'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example'/></pubsub></iq>`,
    'item-not-found',
  ],
  [
    'the avatar of one without',
    bot,
    `<iq from='${alice}/a' to='${bot}' type='get' id='q'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub></iq>`,
    'item-not-found',
  ],
  [
    'to change its vCard',
    bot,
    `<iq from='${alice}/a' to='${bot}' type='set' id='q'><vCard xmlns='vcard-temp'/></iq>`,
    'forbidden',
  ],
  [
    'a vCard of the domain',
    'gw.example.com',
    `<iq from='${alice}/a' to='gw.example.com' type='get' id='q'><vCard xmlns='vcard-temp'/></iq>`,
    'service-unavailable',
  ],
  [
    'somebody that nobody is',
    'no@gw.example.com',
    `<iq from='${alice}/a' to='no@gw.example.com' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>`,
    'there is no no@gw.example.com',
  ],
];
test.each(questions)('who asks for %s gets exactly one answer', async (_, to, iq, answer) => {
  await set();
  await comes(iq, to);
  expect(stage.ownSent).toHaveLength(1);
  expect(stage.ownSent[0]).toContain(answer);
});

const requests: [request: object, condition: string, text: string][] = [
  [{ request: 'history' }, 'feature-not-implemented', 'request must be roster or profile'],
  [{ request: 'roster', all: true }, 'bad-request', 'this request has no field all'],
  [{ request: 'roster', after: 1 }, 'bad-request', 'after must be `next`'],
  [{ request: 'profile', set: 'x' }, 'bad-request', 'a profile is an object'],
  [{ request: 'profile', set: { name: 'x'.repeat(300) } }, 'policy-violation', 'name has 300 bytes; 256 are allowed'],
];
test.each(requests)('out/request %j is refused as %s', async (request, condition, text) => {
  await set();
  await publishes('request', { id: 'q1', ...request });
  const { topic, payload } = stage.published.at(-1)!;
  expect(topic).toBe(`chat/${level}/in/error`);
  expect(JSON.parse(String(payload))).toMatchObject({ id: 'q1', condition, text: expect.stringContaining(text) });
});

test('a roster of more than a thousand comes in parts', async () => {
  await set();
  await Promise.all(
    Array.from({ length: 1_500 }, (_, i) =>
      stage.core.ownServer.own.setStanding(bot, `c${String(i).padStart(4, '0')}@example.com`, { sees: 'yes' }),
    ),
  );
  const roster = async (after?: string) => {
    await publishes('request', { id: 'q', request: 'roster', ...(after !== undefined && { after }) });
    return JSON.parse(String(stage.published.at(-1)!.payload));
  };
  const first = await roster();
  const second = await roster(first.next);
  expect([first.contacts.length, first.next, second.contacts.length, second.next]).toEqual([
    1_000,
    'c0999@example.com',
    500,
    undefined,
  ]);
});

test.each([0, 1, 2])(
  'a user that changes its profile while it is removed stays removed, whichever comes first (%i)',
  async (turns) => {
    await set();
    const { own } = stage.core.ownServer;
    const note = { who: 'admin', reason: 'a test' };
    const jid = 'help@gw.example.com';
    await own.put(jid, () => ({}), note);
    const removed = own.remove(jid, note);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const change = { request: 'profile', set: { name: 'Help' } };
    await Promise.all([removed, own.get(jid) && stage.core.ownServer.request(jid, change)]);
    expect([own.get(jid), stage.core.users.get(jid)]).toEqual([undefined, undefined]);
    expect((await stage.ledger.do('ownUsers', {})).map((row) => row.jid)).not.toContain(jid);
  },
);

test('two changes of a profile that come together both count', async () => {
  await set();
  const change = (id: string, fields: object) => publishes('request', { id, request: 'profile', set: fields });
  await Promise.all([change('q1', { name: 'Bot' }), change('q2', { about: 'answers' })]);
  const profile = { name: 'Bot', about: 'answers' };
  expect(stage.core.ownServer.own.get(bot)?.profile).toEqual(profile);
  expect(JSON.parse(String(stage.published.at(-1)!.payload))).toEqual({ id: 'q2', request: 'profile', profile });
  expect(await stage.ledger.do('ownUsers', {})).toMatchObject([{ jid: bot, profile: JSON.stringify(profile) }]);
});

test('a user with thousands of entries is not removed while a single one still waits for its app', async () => {
  await set();
  const { own } = stage.core.ownServer;
  const note = { who: 'admin', reason: 'a test' };
  const jid = 'help@gw.example.com';
  await own.put(jid, () => ({}), note);
  const copy = {
    lane: 'toMqtt',
    user: jid,
    peer: alice,
    channel: 'message',
    custody: 'copy',
    at: 0,
    payload: '{}',
  } as const;
  const taken = Array.from({ length: 1_500 }, () =>
    stage.ledger.accept(() => ({ ...copy, topic: 'chat/x/in/message' })),
  );
  await Promise.all(taken.map(({ outcome }) => outcome));
  await Promise.all(taken.map(({ seq }) => stage.ledger.do('answered', { seq, at: 1 })));
  const { seq, outcome } = stage.ledger.accept(() => ({ ...copy, custody: 'sole', topic: 'chat/x/in/message' }));
  await outcome;
  await stage.ledger.do('parked', { seq, at: 1 });
  expect(await own.remove(jid, note)).toMatchObject({
    name: 'conflict',
    text: expect.stringContaining('one open entry'),
  });
});

test('a removal that cannot be written down tells no contact anything, and the user goes on', async () => {
  await set();
  const { own } = stage.core.ownServer;
  const note = { who: 'admin', reason: 'a test' };
  const jid = 'help@gw.example.com';
  await own.put(jid, () => ({}), note);
  await own.setStanding(jid, alice, { sees: 'yes' });
  const write = stage.ledger.do.bind(stage.ledger);
  stage.ledger.do = ((name: never, what: never) =>
    name === 'removeOwnUser' ? Promise.reject(new Error('the disk is full')) : write(name, what)) as typeof write;
  await expect(own.remove(jid, note)).rejects.toThrow('the disk is full');
  expect([own.get(jid)?.jid, stage.core.users.get(jid)?.jid, own.subscribers(jid)]).toEqual([jid, jid, [alice]]);
  expect(sent()).not.toContain(`unsubscribed ${alice}`);
  stage.ledger.do = write;
  await own.remove(jid, note);
  expect([own.get(jid), stage.core.users.get(jid), sent()]).toEqual([
    ...[undefined, undefined],
    expect.arrayContaining([`unsubscribed ${alice}`]),
  ]);
});

test('messages to addresses that nobody has are refused one by one, and no flood of them fills the memory', async () => {
  await set();
  const answers: (() => void)[] = [];
  stage.ownResult = () => new Promise((resolve) => answers.push(() => resolve({ kind: 'processed' })));
  const writes = (to: string, id: string) =>
    comes(`<message from='${alice}' to='${to}' type='chat' id='${id}'><body>hi</body></message>`, to);
  for (let n = 0; n < 500; n++) await writes('no@gw.example.com', `m${n}`);
  // The same id to two addresses is answered by both.
  for (const to of ['no@gw.example.com', 'none@gw.example.com']) await writes(to, 'same');
  for (let n = 500; n < 21_000; n++) await writes('no@gw.example.com', `m${n}`);
  expect(stage.ownSent).toHaveLength(500);
  while (answers.length > 0) await Promise.resolve(answers.shift()!());
  expect(stage.ownSent).toHaveLength(20_500);
  const from = stage.ownSent.flatMap((text) =>
    text.includes('"same"') || text.includes("'same'") ? parseStanza(text)!.attrs.from : [],
  );
  expect(from).toEqual(['no@gw.example.com', 'none@gw.example.com']);
});
