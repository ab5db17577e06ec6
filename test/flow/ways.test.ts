// One message by many ways: whatever the order, it is one entry, with the right custody; two messages stay two (DESIGN §8).

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Arrival } from '../../src/xmpp/session.ts';
import { waitFor } from '../harness/wait-for.ts';
import { bob, type CoreStage, type CoreStageOptions, link, session, setCoreStage, startsAt } from './core-stage.ts';
import { PlayedArchive } from './played-archive.ts';

const second = 1_000;
const iso = (ms: number) => new Date(ms).toISOString();

let stage: CoreStage;
const set = async (options?: CoreStageOptions) => {
  stage = await setCoreStage(options);
};
afterEach(() => stage?.end());

interface Message {
  from: string;
  to: string;
  id?: string;
  body: string;
  /** The archive's id. */
  sid?: string;
  sentAt: number;
}

const stanzaId = ({ sid }: Message) => (sid ? `<stanza-id xmlns='urn:xmpp:sid:0' by='${bob}' id='${sid}'/>` : '');
const plain = (message: Message, more = '', xmlns = '') => {
  const { from, to, id, body } = message;
  return `<message${xmlns} from='${from}' to='${to}' type='chat'${id ? ` id='${id}'` : ''}><body>${body}</body>${more}</message>`;
};
const client = " xmlns='jabber:client'";
const forwarded = (inside: string) => `<forwarded xmlns='urn:xmpp:forward:0'>${inside}</forwarded>`;
const own = (inside: string) => `<message from='${bob}' to='${session}'>${inside}</message>`;
const carbon = (name: 'received' | 'sent') => (message: Message) =>
  own(`<${name} xmlns='urn:xmpp:carbons:2'>${forwarded(plain(message, stanzaId(message), client))}</${name}>`);

type Way = (message: Message) => [stanza: string, arrival?: Partial<Arrival>];

/** How a message of a contact can come, beside the archive. */
const ways: Record<string, Way> = {
  direct: (message) => [plain(message, stanzaId(message))],
  'direct, seen': (message) => [plain(message, stanzaId(message)), { seen: true }],
  flushed: (message) => [
    plain(
      message,
      `<delay xmlns='urn:xmpp:delay' from='example.com' stamp='${iso(message.sentAt)}'/>${stanzaId(message)}`,
    ),
  ],
  observed: (message) => [plain(message), { dir: 'in', sid: message.sid }],
  carbon: (message) => [carbon('received')(message)],
};
const hi: Message = { from: 'alice@example.com/desk', to: bob, id: 'm1', body: 'hi', sentAt: 0 };
const pairs = Object.keys(ways).flatMap((one) => Object.keys(ways).map((other) => [one, other] as const));
/** The session is sent a message so once, directly or in a carbon: a second one is another message, unless the archive says otherwise. */
const live = ['direct', 'direct, seen'];
const isTwice = ([one, other]: readonly [string, string]) =>
  (live.includes(one) && live.includes(other)) || (one === 'carbon' && other === 'carbon');
const isSole = (way: string) => way === 'direct' || way === 'flushed';

async function bothCome(one: string, other: string, sid?: string): Promise<void> {
  await set({ hasArchive: sid !== undefined });
  const message = { ...hi, sid, sentAt: stage.now };
  await stage.arrives(...ways[one]!(message));
  stage.now += 5 * second;
  await stage.arrives(...ways[other]!(message));
}

describe.each([
  ['with an archive', 's1', pairs],
  ['without an archive', undefined, pairs.filter((pair) => !isTwice(pair))],
] as const)('%s', (_, sid, rows) => {
  test.each(rows)('%s, then %s, is one entry', async (one, other) => {
    await bothCome(one, other, sid);
    const entries = await stage.entries();
    expect(entries).toHaveLength(1);
    expect(entries[0]?.custody).toBe(isSole(one) || isSole(other) ? 'sole' : 'copy');
    expect(await stage.shown()).toMatchObject([{ id: 'm1', body: 'hi', direction: 'received', from: hi.from }]);
  });
});

test.each(pairs.filter(isTwice))('without an archive %s, then %s, are two messages', async (one, other) => {
  await bothCome(one, other);
  expect(await stage.entries()).toHaveLength(2);
});

test('what the app says, and its copies by carbon and observe, are one entry, marked as sent', async () => {
  await set();
  await stage.says({ id: 'a1', to: 'alice@example.com', body: 'hello', type: 'chat', wantsReceipt: true });
  const [written] = await stage.shown();
  const receipt = "<request xmlns='urn:xmpp:receipts'/>";
  const message = { from: session, to: 'alice@example.com', id: 'a1', body: 'hello', sentAt: 0 };
  await stage.arrives(plain(message, receipt), { dir: 'out' });
  await stage.arrives(own(`<sent xmlns='urn:xmpp:carbons:2'>${forwarded(plain(message, receipt, client))}</sent>`));
  expect(await stage.entries()).toHaveLength(1);
  expect(written).toMatchObject({ direction: 'sent', copy: true, from: session, to: 'alice@example.com' });
});

test('it is so where the server has given the session another name, too', async () => {
  await set({ jid: `${session}-x7` });
  await stage.says({ id: 'a1', to: 'alice@example.com', body: 'hello', type: 'chat' });
  await stage.arrives(plain({ from: `${session}-x7`, to: 'alice@example.com', id: 'a1', body: 'hello', sentAt: 0 }), {
    dir: 'out',
  });
  expect(await stage.entries()).toHaveLength(1);
});

test('what a legacy device says arrives once, as sent, in the conversation with its receiver', async () => {
  await set();
  const message = { from: 'bob@example.com/phone', to: 'alice@example.com/desk', id: 'p1', body: 'hello', sentAt: 0 };
  await stage.arrives(...([carbon('sent')(message)] as const));
  await stage.arrives(plain(message), { dir: 'out' });
  expect(await stage.entries()).toMatchObject([{ peer: 'alice@example.com', custody: 'copy' }]);
  expect(await stage.shown()).toMatchObject([{ direction: 'sent', copy: true, from: message.from, to: message.to }]);
});

test.each([
  { body: 'a <b> & "c" \n ☃ 𝄞', thread: 't1' },
  { body: 'x', wantsReceipt: true, markable: true, subject: 's' },
  { body: 'x', xml: "<x xmlns='urn:x' b='2' a='1'><y xmlns='urn:y'>z</y><z/></x><w xmlns='urn:w'/>" },
  { body: 'x', xml: "<p:x xmlns:p='urn:x' xmlns:q='urn:q' q:a='1'><p:y/></p:x>" },
  { body: 'x', type: 'normal', lang: 'de' },
])('what the app says comes back from the server as the same: %j', async (payload) => {
  await set();
  await stage.says({ id: 'a1', to: 'alice@example.com/desk', type: 'chat', ...payload });
  const written = await waitFor(() => {
    expect(stage.sent).toHaveLength(1);
    return stage.sent[0]!;
  });
  const came = written.replace(' xml:lang="de"', '').replace('<message', `<message from='${session}' xml:lang='en'`);
  await stage.arrives(came.replace('</message>', `${stanzaId({ ...hi, sid: 's1' })}</message>`), { dir: 'out' });
  expect(await stage.entries()).toHaveLength(1);
});

test('two devices of the user that say the same under the same id say two things', async () => {
  await set();
  const message = { from: 'bob@example.com/phone', to: 'alice@example.com', id: '1', body: 'ok', sentAt: 0 };
  await stage.arrives(carbon('sent')(message));
  await stage.arrives(carbon('sent')({ ...message, from: 'bob@example.com/desk' }));
  expect(await stage.entries()).toHaveLength(2);
});

test('a stanza-id counts only where the server has an archive: others may be anybody’s', async () => {
  await set({ hasArchive: false });
  await stage.arrives(...ways.direct!({ ...hi, sid: 's1' }));
  await stage.arrives(...ways.direct!({ ...hi, id: 'm2', body: 'other', sid: 's1' }));
  expect(await stage.entries()).toHaveLength(2);
});

test('two senders cannot take each other’s message by the archive’s id', async () => {
  await set();
  await stage.arrives(...ways.direct!({ ...hi, sid: 's1' }));
  await stage.arrives(...ways.direct!({ ...hi, from: 'mallory@example.com/x', sid: 's1' }));
  expect(await stage.entries()).toHaveLength(2);
});

test('with no device known in dual the copies are counted, and what comes to the session alone is kept', async () => {
  await set({ phase: 'dual' });
  await stage.core.devices.gone(bob, 'phone');
  stage.core.devices.subscribed();
  await waitFor(() => expect(stage.core.devices.statusOf(bob)).toBe('none'));
  await stage.arrives(...ways.observed!(hi));
  await stage.arrives(...ways.carbon!(hi));
  expect(await stage.entries()).toEqual([]);
  await stage.arrives(...ways.direct!(hi));
  expect(await stage.entries()).toMatchObject([{ custody: 'sole' }]);
});

test('in shadow nothing is written, and nothing published but copies under the shadow root, whatever is observed', async () => {
  await set({ phase: 'shadow' });
  await stage.arrives(...ways.observed!(hi));
  await stage.arrives(carbon('received')(hi), { dir: 'in' });
  expect(await stage.ledger.do('entries', {})).toEqual([]);
  expect(stage.published.map(({ topic, qos }) => [topic, qos])).toEqual([
    ['chat-shadow/bob/in/message', 0],
    ['chat-shadow/bob/in/stanza', 0],
  ]);
});

test('messages that share id and words come out as many as there are, by whatever ways they come, once the archive has been read', async () => {
  const came: Record<string, Way> = {
    ...ways,
    'observed, without the archive’s id': (message) => [plain(message), { dir: 'in' }],
    'carbon, without the archive’s id': (message) => [carbon('received')({ ...message, sid: undefined })],
  };
  const arrival = fc.record({ message: fc.nat({ max: 3 }), way: fc.constantFrom(...Object.keys(came)) });
  // One carbon and one live stanza for each message, and the rest once as well.
  const kindOf = (way: string) => way.split(',')[0];
  const unique = {
    selector: ({ message, way }: { message: number; way: string }) => `${message} ${kindOf(way)}`,
    maxLength: 12,
  };
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(arrival, unique), async (arrivals) => {
      const archive = new PlayedArchive();
      await set({ onSend: (stanza, to) => archive.hear(stanza, to) });
      const messages = [1, 2, 3, 4].map((n) => ({ ...hi, sid: `s${n}`, sentAt: startsAt + n * second }));
      // Every message has its twin.
      messages[2]!.body = messages[3]!.body = 'other';
      for (const { message, way } of arrivals) {
        stage.now += 10 * second;
        await stage.arrives(...came[way]!(messages[message]!));
      }
      for (const message of messages) archive.add(message.sid, message.sentAt, plain(message, '', client));
      // All of it is read, whatever has come live.
      const [row] = await stage.ledger.do('users', { after: '', limit: 1 });
      await stage.ledger.do('putUser', { row: { ...row!, changedAt: startsAt }, mark: 'begin' });
      stage.restartsServer();
      const gapAt = async () => (await stage.ledger.do('mark', { user: bob }))?.gapAt;
      await waitFor(async () => expect(await gapAt()).toBeUndefined(), { interval: 5 });
      const bodies = (await stage.shown()).map(({ body }) => body).sort();
      await stage.end();
      expect(bodies).toEqual(['hi', 'hi', 'other', 'other']);
    }),
    { numRuns: 60 },
  );
});

describe('bad input', () => {
  const forged = (from: string) =>
    `<message from='${from}' to='${session}' id='f1'><received xmlns='urn:xmpp:carbons:2'>${forwarded(plain(hi, '', client))}</received></message>`;

  test('a forged carbon is recorded and its sender told; nothing of it reaches the app', async () => {
    await set();
    await stage.arrives(forged('mallory@example.com/x'));
    expect(await stage.entries()).toMatchObject([{ state: 'dead', condition: 'policy-violation', id: 'f1' }]);
    expect(await stage.shown()).toEqual([]);
    expect(stage.sent.join()).toMatch(/to="mallory@example.com\/x".*policy-violation/);
  });

  test('a carbon that cannot be read is recorded, and nobody told: it is a copy', async () => {
    await set();
    await stage.arrives(own(`<received xmlns='urn:xmpp:carbons:2'><nothing xmlns='urn:x'/></received>`));
    expect(await stage.entries()).toMatchObject([{ state: 'dead', condition: 'policy-violation' }]);
    expect(stage.sent).toEqual([]);
  });

  test('a result of the archive that nobody has asked for is counted, not shown', async () => {
    await set();
    const inside = `<delay xmlns='urn:xmpp:delay' stamp='${iso(stage.now)}'/>${plain(hi, '', client)}`;
    await stage.arrives(own(`<result xmlns='urn:xmpp:mam:2' queryid='x' id='s1'>${forwarded(inside)}</result>`));
    expect(await stage.entries()).toEqual([]);
  });

  test('a delay stamp in another’s name changes neither the time nor whether it can be a repeat', async () => {
    await set();
    const stamp = "<delay xmlns='urn:xmpp:delay' from='evil.example' stamp='2001-01-01T00:00:00Z'/>";
    await stage.arrives(plain(hi, stamp));
    await stage.arrives(plain(hi, stamp));
    expect(await stage.entries()).toMatchObject([
      { late: false, at: stage.now },
      { late: false, at: stage.now },
    ]);
  });

  test.each([
    ['message', 1],
    ['presence', 0],
  ])('of what is over a limit, a contact’s %s is recorded, and answered %i times', async (name, times) => {
    await set();
    const from = 'alice@example.com/desk';
    await new Promise<void>((accepted) => {
      const arrival: Arrival = { user: bob, seen: false, position: { link, epoch: 'E', n: 1 } };
      stage.core.toMqtt.skipped({ name, from, to: session, bytes: 2_000_000, reason: 'bytes' }, arrival, accepted);
    });
    expect(await stage.entries()).toMatchObject([{ state: 'dead', condition: 'policy-violation' }]);
    expect(stage.sent.filter((stanza) => stanza.includes('type="error"'))).toHaveLength(times);
  });

  test('nor does a stamp in the own server’s name that stands before the archive’s id', async () => {
    await set();
    const stamp = "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2001-01-01T00:00:00Z'/>";
    await stage.arrives(plain(hi, stamp + stanzaId({ ...hi, sid: 's1' })));
    await stage.arrives(plain(hi, stanzaId({ ...hi, sid: 's2' }) + stamp));
    expect(await stage.entries()).toMatchObject([
      { late: false, at: stage.now },
      { late: true, at: Date.UTC(2001, 0, 1) },
    ]);
  });

  test('a message to the session of a user who was moved back is refused, recorded and answered', async () => {
    await set({ phase: 'legacy' });
    await stage.arrives(plain({ ...hi, to: session }));
    expect(await stage.entries()).toMatchObject([{ state: 'dead', condition: 'item-not-found' }]);
  });
});
