// What comes in, or instead of, the envelopes of the attach protocol, against the fake server.

import { describe, expect, test } from 'vitest';
import { NS_ATTACH } from '../../src/xmpp/namespaces.ts';
import { attachStage, bob, chat, until } from './support.ts';

describe('no envelope is what comes', () => {
  test.each([
    ['from anybody but the server', `from='mallory@example.com' to='gw.example.com'`],
    ['to anybody but the component', `from='example.com' to='bot@gw.example.com'`],
    ['to nobody', `from='example.com'`],
    ['back as an error', `from='example.com' to='gw.example.com' type='error'`],
  ])('%s', async (_, envelope) => {
    const { fake, gateway, link, heard, skipped } = await attachStage({}, { limits: { maxBytes: 2000 } });
    const others: string[] = [];
    gateway.onStanza = () => others.push('stanza');
    gateway.onSkipped = () => others.push('skipped');
    await until(() => link.up);
    for (const inner of [chat(1), chat('x'.repeat(3000))]) {
      fake.raw(
        `<message ${envelope}><d xmlns='${NS_ATTACH}' epoch='${fake.epoch}' n='1' to='${bob}'>${inner}</d></message>`,
      );
    }
    await until(() => others.length === 2);
    expect([others, heard, skipped, link.up]).toEqual([['stanza', 'skipped'], [], [], true]);
  });
});

describe('what cannot be handed on is reported, acked, and blocks nothing:', () => {
  test.each([
    [
      'over the limit',
      bob,
      `<message xmlns='jabber:client' id='7' from='a@x'><body>${'x'.repeat(3000)}</body></message>`,
      { user: 'bob@example.com', name: 'message', from: 'a@x', id: '7', reason: 'bytes' },
    ],
    [
      'too deep, with a name of 100,000 characters',
      bob,
      `<message xmlns='jabber:client' id='7' from='a@x' type='error'>${'<a>'.repeat(70)}<${'n'.repeat(100_000)}/>${'</a>'.repeat(70)}</message>`,
      { name: 'message', from: 'a@x', id: '7', type: 'error', reason: 'depth' },
    ],
    [
      'a name that the server’s own writer makes unreadable',
      bob,
      `<message xmlns='jabber:client' id='7' from='a@x' type='groupchat'><a xmlns='http://www.w3.org/XML/1998/namespace'/></message>`,
      { id: '7', type: 'groupchat', reason: 'names' },
    ],
    ['two stanzas', bob, chat(1) + chat(2), { user: 'bob@example.com', reason: 'malformed' }],
    ['no stanza', bob, `<message xmlns='urn:x'/>`, { reason: 'malformed' }],
    ['no address', '@', chat(1), { user: 'example.com', reason: 'malformed' }],
    ['a handler that throws', bob, chat('throw'), { id: 'throw', reason: 'fault' }],
  ])('%s', async (_, to, inner, expected) => {
    const { fake, link, heard, skipped } = await attachStage({}, { limits: { maxBytes: 2000 } });
    const { onStanza } = link;
    link.onStanza = (stanza, ...rest) => {
      if (stanza.attrs.id === 'throw') throw new Error('a fault of the test');
      onStanza(stanza, ...rest);
    };
    await until(() => link.up);
    fake.deliver(to, inner);
    fake.deliver(bob, chat('next'));
    await until(() => fake.acked === 2);
    expect(skipped).toMatchObject([{ ...expected, position: { n: 1, epoch: fake.epoch, link: link.name } }]);
    expect(heard.map(({ stanza }) => stanza.attrs.id)).toEqual(['next']);
    expect(fake.connections).toBe(1);
  });

  test('an empty envelope, whose stanza the server took back, is just acked', async () => {
    const { fake, link, heard, skipped } = await attachStage();
    await until(() => link.up);
    fake.deliver(bob, '');
    await until(() => fake.acked === 1);
    expect([heard, skipped]).toEqual([[], []]);
  });

  test('a place where copies were left out is handed on, and acked when that is taken', async () => {
    const { fake, link, heard, skipped } = await attachStage();
    await until(() => link.up);
    const missed: string[] = [];
    let take = () => {};
    link.onMissed = (user, accepted) => {
      missed.push(user);
      take = accepted;
    };
    fake.deliver('bob@example.com', '', { missed: '1' });
    await until(() => missed.length === 1);
    expect(missed).toEqual(['bob@example.com']);
    expect([heard, skipped, fake.acked]).toEqual([[], [], 0]);
    take();
    await until(() => fake.acked === 1);
  });

  test('where nobody listens for places that were left out, they are not acked, and the log says so', async () => {
    const { fake, link, lines } = await attachStage();
    await until(() => link.up);
    fake.deliver('bob@example.com', '', { missed: '1' });
    const line = await until(() => lines.find(({ event }) => event === 'attach.unheard'));
    expect(line).toMatchObject({ level: 'error', what: 'missed' });
    expect(fake.acked).toBe(0);
  });
});

test('of what is not handed on, type, address and way are known, so that nobody is answered who must not be', async () => {
  const { fake, link, skipped } = await attachStage({}, { limits: { maxBytes: 2000 } });
  await until(() => link.up);
  const head = `xmlns='jabber:client' type='headline' from='a@x' to='bob@example.com' id='7'`;
  fake.deliver(bob, `<message ${head}>${'x'.repeat(3000)}</message>`, { dir: 'out' });
  fake.deliver(bob, `<message ${head}/><message/>`, { dir: 'in' });
  link.onStanza = () => {
    throw new Error('a fault of the test');
  };
  fake.deliver(bob, `<message ${head}/>`, { dir: 'in' });
  await until(() => fake.acked === 3);
  const known = { name: 'message', type: 'headline', from: 'a@x', to: 'bob@example.com', id: '7' };
  expect(skipped).toMatchObject([
    { ...known, dir: 'out', reason: 'bytes' },
    { ...known, dir: 'in', reason: 'malformed', bytes: 0 },
    { ...known, dir: 'in', reason: 'fault', bytes: 0 },
  ]);
  expect(skipped[0]?.bytes).toBeGreaterThan(3000);
});
