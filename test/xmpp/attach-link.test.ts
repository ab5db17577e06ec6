// The gateway's half of the attach protocol, and own-domain sessions, against the fake server.

import type { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { AckWindow } from '../../src/xmpp/ack-window.ts';
import { NS_ATTACH } from '../../src/xmpp/namespaces.ts';
import { OwnDomain } from '../../src/xmpp/own-domain.ts';
import { attachStage, bob, chat, until } from './support.ts';

test('after hello the link is up, and sessions can be attached, many at once', async () => {
  const { fake, link, ups } = await attachStage();
  expect(await link.attach([{ user: 'bob', resource: 'mqtt', carbons: false }])).toEqual([{ kind: 'lost' }]);
  await until(() => link.up);
  expect([ups, link.name, link.epoch]).toEqual([
    [{ resumed: false, missed: true, epoch: fake.epoch, sessions: 0 }],
    'gw.example.com/example.com',
    fake.epoch,
  ]);
  const iqs: Element[] = [];
  fake.onIq = (iq) => iqs.push(iq);
  const results = await link.attach([
    { user: 'bob', resource: 'mqtt', carbons: true, presence: '<presence/>' },
    { user: 'carol', resource: 'mqtt', carbons: false },
  ]);
  expect(results).toEqual([
    { kind: 'attached', jid: bob, resumed: false },
    { kind: 'attached', jid: 'carol@example.com/mqtt', resumed: false },
  ]);
  expect(iqs[0]?.children.join('')).toBe(
    `<attach xmlns="${NS_ATTACH}" user="bob" resource="mqtt" carbons="1"><presence xmlns="jabber:client"/></attach><attach xmlns="${NS_ATTACH}" user="carol" resource="mqtt"/>`,
  );
});

test('a stanza comes out of its envelope alone, in the canonical form, with all that is known of it', async () => {
  const { fake, link, heard } = await attachStage();
  await until(() => link.up);
  fake.deliver(bob, chat(1), { seen: '1', sid: 's1', dir: 'out' });
  await until(() => heard.length === 1);
  const { stanza, arrival } = heard[0]!;
  expect([stanza.toString(), stanza.parent, stanza.getNS()]).toEqual([
    '<message id="1" from="alice@example.com/a"><body>x</body></message>',
    null,
    undefined,
  ]);
  expect(arrival).toEqual({
    user: 'bob@example.com',
    seen: true,
    sid: 's1',
    dir: 'out',
    position: { link: link.name, epoch: fake.epoch, n: 1 },
  });
});

test('acks are cumulative: none beyond what is accepted without a gap, few for many', async () => {
  const { fake, link, heard, story } = await attachStage();
  await until(() => link.up);
  const acks: number[] = [];
  fake.onAck = (h) => acks.push(h);
  story.hold = true;
  for (let n = 1; n <= 100; n += 1) fake.deliver(bob, chat(n));
  await until(() => heard.length === 100);
  for (const { accepted } of heard.slice(1)) accepted();
  expect(acks).toEqual([]);
  heard[0]!.accepted();
  heard[0]!.accepted();
  await until(() => fake.acked === 100);
  expect(acks).toEqual([100]);
});

test('a server that has forgotten the link while the connection stood is said hello again', async () => {
  const { fake, link, ups } = await attachStage();
  await until(() => link.up);
  fake.newEpoch();
  fake.refuseSend = { condition: 'unexpected-request', type: 'wait' };
  expect(await link.send(bob, '<message/>', 'k1')).toEqual({ kind: 'lost' });
  await until(() => ups.length === 2);
  expect([ups[1]?.resumed, link.epoch]).toEqual([false, fake.epoch]);
});

test('after a cut the same epoch resumes, and only what was not acked comes again', async () => {
  const { fake, link, heard, story, ups } = await attachStage();
  await until(() => link.up);
  for (let n = 1; n <= 3; n += 1) fake.deliver(bob, chat(n));
  await until(() => fake.acked === 3);
  story.hold = true;
  for (let n = 4; n <= 6; n += 1) fake.deliver(bob, chat(n));
  await until(() => heard.length === 6);
  // Accepted, but the ack cannot get out any more: the next hello says it.
  fake.kill();
  heard[3]!.accepted();
  await until(() => ups.length === 2);
  expect([ups[1]?.resumed, story.downs, fake.acked]).toEqual([true, 1, 4]);
  await until(() => heard.length === 8);
  expect(heard.slice(6).map(({ arrival }) => arrival.position?.n)).toEqual([5, 6]);
  heard[4]!.accepted();
  heard[7]!.accepted();
  await until(() => fake.acked === 6);
});

test('in a new epoch counting starts anew, and what belongs to the old one acks nothing', async () => {
  const { fake, link, heard, story, ups } = await attachStage();
  await until(() => link.up);
  story.hold = true;
  fake.deliver(bob, chat(1));
  await until(() => heard.length === 1);
  fake.newEpoch();
  fake.kill();
  await until(() => ups.length === 2);
  expect(ups[1]).toMatchObject({ resumed: false, epoch: fake.epoch });
  fake.deliver(bob, chat('new'));
  await until(() => heard.length === 2);
  heard[0]!.accepted();
  await link.send(bob, '<message/>', 'k');
  expect(fake.acked).toBe(0);
  heard[1]!.accepted();
  await until(() => fake.acked === 1);
});

describe('the connection is closed, and the link comes back whole, after', () => {
  test.each([
    [
      'a gap',
      (n: number, epoch: string) =>
        `<d xmlns='${NS_ATTACH}' epoch='${epoch}' n='${n + 2}' to='${bob}'>${chat('x')}</d>`,
    ],
    [
      'a number twice',
      (n: number, epoch: string) => `<d xmlns='${NS_ATTACH}' epoch='${epoch}' n='${n}' to='${bob}'>${chat('x')}</d>`,
    ],
    [
      'no number',
      (_: number, epoch: string) => `<d xmlns='${NS_ATTACH}' epoch='${epoch}' to='${bob}'>${chat('x')}</d>`,
    ],
    [
      'a foreign epoch',
      (n: number) => `<d xmlns='${NS_ATTACH}' epoch='another' n='${n + 1}' to='${bob}'>${chat('x')}</d>`,
    ],
  ])('%s', async (_, wrong) => {
    const { fake, link, heard, ups, lines } = await attachStage();
    await until(() => link.up);
    fake.deliver(bob, chat(1));
    await until(() => fake.acked === 1);
    fake.raw(`<message from='example.com' to='gw.example.com'>${wrong(1, fake.epoch)}</message>`);
    await until(() => ups.length === 2);
    fake.deliver(bob, chat(2));
    await until(() => fake.acked === 2);
    expect(heard.map(({ stanza }) => stanza.attrs.id)).toEqual(['1', '2']);
    expect(lines.map(({ event }) => event)).toContain('attach.gap');
  });
});

test('a text that XML cannot carry locks nobody, and the connection lives on', async () => {
  const { fake, link } = await attachStage();
  await until(() => link.up);
  expect(await link.lock('bob', 'moved \u0001')).toMatchObject({ kind: 'refused', condition: 'not-acceptable' });
  // The played server does not know the command, but it can read it.
  expect(await link.lock('bob', 'moved <to> & fro')).toMatchObject({ kind: 'refused', condition: 'bad-request' });
  expect([link.up, fake.connections]).toEqual([true, 1]);
});

describe('a send', () => {
  test('is processed once, however often its key comes', async () => {
    const { fake, link } = await attachStage();
    await until(() => link.up);
    const sent: string[] = [];
    fake.onSent = ({ from, key, stanza }) => sent.push(`${from} ${key} ${stanza}`);
    expect(await link.send(bob, '<message id="1"/>', 'k1')).toEqual({ kind: 'processed' });
    expect(await link.send(bob, '<message id="1"/>', 'k1')).toEqual({ kind: 'processed' });
    expect(sent).toEqual([`${bob} k1 <message xmlns="jabber:client" id="1"/>`]);
  });

  test.each([
    ['wait', 'resource-constraint', 'wait'],
    ['cancel', 'item-not-found', 'wait'],
    ['modify', 'bad-request', 'refused'],
  ])('refused with %s %s means %s', async (type, condition, kind) => {
    const { fake, link } = await attachStage();
    await until(() => link.up);
    fake.refuseSend = { type, condition };
    expect(await link.send(bob, '<message/>', 'k')).toEqual({ kind, condition, text: '' });
  });

  test('cut off before the answer is lost, every one that was under way', async () => {
    const { fake, link } = await attachStage();
    await until(() => link.up);
    let sent = 0;
    fake.onSent = () => {
      sent += 1;
      if (sent === 20) fake.kill();
    };
    const results = await Promise.all(Array.from({ length: 100 }, (_, at) => link.send(bob, '<message/>', `k${at}`)));
    expect(results.at(-1)).toEqual({ kind: 'lost' });
    await until(() => link.up);
    expect(await link.send(bob, '<message/>', 'k0')).toEqual({ kind: 'processed' });
  });
});

describe('an iq that is not answered in 30 s closes the connection, and the link comes back:', () => {
  // A hundred times as fast as the world.
  const clock: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 100, task) };
  const timing = { openMs: 30_000, handshakeMs: 30_000, pauseMinMs: 500, pauseMaxMs: 500, pingEveryMs: 9_000_000 };
  test.each([
    ['a send', 'an iq of the attach protocol was not answered'],
    ['an ack', 'an ack was not answered'],
    ['hello', 'no answer to hello'],
  ])('%s', async (what, reason) => {
    const { fake, gateway, link, ups } = await attachStage({}, { clock, timing });
    const reasons: string[] = [];
    gateway.onOffline = (why) => {
      reasons.push(why);
      fake.answers = true;
    };
    if (what !== 'hello') await until(() => link.up);
    fake.answers = false;
    const sent = what === 'a send' ? link.send(bob, '<message/>', 'k') : undefined;
    if (what === 'an ack') fake.deliver(bob, chat(1));
    await until(() => reasons.length === 1);
    expect(reasons).toEqual([reason]);
    if (sent) expect(await sent).toEqual({ kind: 'lost' });
    await until(() => link.up && ups.length === (what === 'hello' ? 1 : 2));
  });
});

test('a stanza is given back with its address, key and time', async () => {
  const { fake, link } = await attachStage();
  await until(() => link.up);
  const iqs: Element[] = [];
  fake.onIq = (iq) => iqs.push(iq);
  const stamp = '2026-01-02T03:04:05.000Z';
  expect(await link.giveBack({ to: 'bob@example.com', key: 'k', stamp, stanza: '<message id="1"/>' })).toEqual({
    kind: 'processed',
  });
  expect(String(iqs[0]?.children[0])).toBe(
    `<return xmlns="${NS_ATTACH}" to="bob@example.com" key="k" stamp="${stamp}"><message xmlns="jabber:client" id="1"/></return>`,
  );
});

test('detach acks first, so that the server takes back no more than it must', async () => {
  const { fake, link, heard, story } = await attachStage();
  await until(() => link.up);
  story.hold = true;
  fake.deliver(bob, chat(1));
  await until(() => heard.length === 1);
  heard[0]!.accepted();
  expect(await link.detach(bob)).toEqual({ kind: 'detached', h: 1, returned: 0 });
});

test('a session that the server ends is told', async () => {
  const { fake, link } = await attachStage();
  await until(() => link.up);
  const told = new Promise((resolve) => {
    link.onDetached = resolve;
  });
  fake.raw(
    `<message from='example.com' to='gw.example.com'><detached xmlns='${NS_ATTACH}' jid='${bob}' reason='account deleted' h='3'/></message>`,
  );
  expect(await told).toEqual({ jid: bob, reason: 'account deleted', h: 3 });
});

test('without the module the link says what to do, and own-domain addresses still work', async () => {
  const { fake, gateway, lines, link } = await attachStage({ refuseHello: 'service-unavailable' });
  const refused = await until(() => lines.find(({ event }) => event === 'attach.refused'));
  expect(refused.message).toContain('crossfade_attach');
  expect([link.up, gateway.online, fake.connections]).toEqual([false, true, 1]);
  const bot = new OwnDomain(gateway).session('bot@gw.example.com');
  expect(await bot.send('<message/>', 'k')).toEqual({ kind: 'processed' });
  expect(await link.send(bob, '<message/>', 'k')).toEqual({ kind: 'lost' });
});

test('the window of numbers grows over what was accepted out of turn', () => {
  const window = new AckWindow(3);
  expect([window.accept(5), window.accept(6), window.accept(3), window.h]).toEqual([false, false, false, 3]);
  expect([window.accept(4), window.h, window.has(6), window.has(7)]).toEqual([true, 6, true, false]);
  window.accept(9);
  window.acceptAll(8);
  expect(window.h).toBe(9);
});
