// The link against each real server: numbers, acknowledgements, replay after a lost connection, keys, sessions that end.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AVAILABLE, NS, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, numbered, Stage } from './stage.ts';

const BOB = 'bob@example.com/mqtt';
const CAROL = 'carol@example.com/mqtt';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(server, ['alice', 'bob', 'carol', 'dave', 'erin']);
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.close());

  /** A gateway with bob attached and available; `h` is what it has had so far. */
  async function attached(): Promise<{ gateway: RawComponent; epoch: string; h: number }> {
    const gateway = await stage.component();
    const { epoch } = await gateway.hello();
    await gateway.attach('bob', { presence: AVAILABLE });
    return { gateway, epoch, h: gateway.delivered.length };
  }

  test('numbers rise by one across all sessions of a link, and messages keep their order', async () => {
    const alice = await stage.login('alice');
    const { gateway } = await attached();
    await gateway.attach('carol', { presence: AVAILABLE });
    const bodies = numbered('m', 300);
    for (const body of bodies) await alice.send(chat(body.endsWith('0') ? CAROL : 'bob@example.com', body));
    await gateway.deliveryOf('m300');
    await gateway.deliveryOf('m299');
    expect(gateway.delivered.map(({ n }) => n)).toEqual(gateway.delivered.map((_, index) => index + 1));
    expect(gateway.bodies(BOB)).toEqual(bodies.filter((body) => !body.endsWith('0')));
    expect(gateway.bodies(CAROL)).toEqual(bodies.filter((body) => body.endsWith('0')));
  });

  test('after a killed gateway the same epoch goes on: what was not acknowledged comes again with the same numbers', async () => {
    const alice = await stage.login('alice');
    const { gateway: first, epoch } = await attached();
    for (const body of numbered('a', 10)) await alice.send(chat('bob@example.com', body));
    const { n } = await first.deliveryOf('a10');
    const before = first.delivered.filter((d) => d.n > n - 6);
    expect((await first.ack(epoch, n - 8)).condition).toBeUndefined();
    await first.kill();
    for (const body of numbered('b', 5)) await alice.send(chat('bob@example.com', body));

    const second = await stage.component();
    expect(await second.hello(epoch, n - 6)).toMatchObject({ epoch, h: n - 6, sessions: 1 });
    await second.deliveryOf('b5');
    expect(second.delivered.slice(0, 6).map((d) => [d.n, String(d.stanza)])).toEqual(
      before.map((d) => [d.n, String(d.stanza)]),
    );
    expect(second.bodies(BOB)).toEqual([...numbered('a', 10).slice(4), ...numbered('b', 5)]);
    expect(second.delivered[0]?.n).toBe(n - 5);
    await second.send(BOB, 'after', chat('alice@example.com', 'as before'));
    await alice.message('as before');
    expect(alice.inbox.all.filter((s) => s.attrs.type === 'unavailable' && s.attrs.from === BOB)).toEqual([]);
  });

  test('a second connection that says hello has the link, and the one before is closed', async () => {
    const alice = await stage.login('alice');
    const { gateway: first, epoch, h } = await attached();
    const second = await stage.component();
    expect(await second.hello(epoch, h)).toMatchObject({ epoch, sessions: 1 });
    await first.closed;
    await alice.send(chat(BOB, 'to the second'));
    await second.deliveryOf('to the second');
    expect(first.delivered.map(({ stanza }) => stanza?.getChildText('body'))).not.toContain('to the second');
  });

  test('an acknowledgement is cumulative and may be repeated; an older one undoes nothing', async () => {
    const alice = await stage.login('alice');
    const { gateway, epoch } = await attached();
    for (const body of numbered('c', 3)) await alice.send(chat('bob@example.com', body));
    const { n } = await gateway.deliveryOf('c3');
    for (const h of [n, n, 0]) expect((await gateway.ack(epoch, h)).condition).toBeUndefined();
    expect(await gateway.hello(epoch, 0)).toMatchObject({ h: n, queue: 0 });
  });

  test('another epoch ends the sessions and gives what waited back in order', async () => {
    const alice = await stage.login('alice');
    const { gateway: first, epoch } = await attached();
    for (const body of numbered('e', 20)) await alice.send(chat('bob@example.com', body));
    await first.deliveryOf('e20');
    await first.kill();
    const second = await stage.component();
    const fresh = await second.hello('an-epoch-of-long-ago', 3);
    expect(fresh).toMatchObject({ h: 0, sessions: 0, queue: 0 });
    expect(fresh.epoch).not.toBe(epoch);
    const phone = await stage.login('bob');
    await phone.message('e20');
    expect(phone.bodies()).toEqual(numbered('e', 20));
    expect(second.delivered).toEqual([]);
  });

  test('a stanza sent again with its key is answered again and processed once', async () => {
    const alice = await stage.login('alice');
    const { gateway: first, epoch, h } = await attached();
    const stanza = chat('alice@example.com', 'once');
    await first.send(BOB, 'key-1', stanza);
    await first.kill();
    const second = await stage.component();
    await second.hello(epoch, h);
    expect(await second.send(BOB, 'key-1', stanza)).toMatchObject({ children: [], condition: undefined });
    await second.send(BOB, 'key-2', chat('alice@example.com', 'end'));
    await alice.message('end');
    expect(alice.bodies()).toEqual(['once', 'end']);
  });

  test('the key of a send that failed is not remembered', async () => {
    const alice = await stage.login('alice');
    const { gateway } = await attached();
    const stanza = chat('alice@example.com', 'second try');
    expect(await gateway.send(CAROL, 'key-3', stanza)).toMatchObject({ condition: 'item-not-found' });
    await gateway.attach('carol');
    await gateway.send(CAROL, 'key-3', stanza);
    await alice.message('second try');
  });

  test('a returned stanza is taken once for each key', async () => {
    const { gateway } = await attached();
    const stanza = chat('dave@example.com', 'returned', '').replace('<message', `<message from='alice@example.com/x'`);
    for (const key of ['r1', 'r1', 'r2']) {
      expect(
        (await gateway.giveBack('dave@example.com', key, '2024-05-01T10:00:00Z', stanza)).condition,
      ).toBeUndefined();
    }
    const phone = await stage.login('dave');
    await phone.send(chat('dave@example.com', 'end'));
    await phone.message('end');
    expect(phone.bodies()).toEqual(['returned', 'returned', 'end']);
  });

  test('a detach gives back what was not acknowledged, and a repeated one gets the same answer', async () => {
    const alice = await stage.login('alice');
    const { gateway, epoch } = await attached();
    for (const body of numbered('f', 5)) await alice.send(chat('bob@example.com', body));
    const { n } = await gateway.deliveryOf('f5');
    await gateway.ack(epoch, n - 3);
    const answers = [await gateway.detach(BOB), await gateway.detach(BOB)];
    const expected = { xmlns: NS, jid: BOB, h: `${n - 3}`, returned: '3' };
    expect(answers.map(({ children }) => children[0]?.attrs)).toEqual([expected, expected]);
    expect(await gateway.send(BOB, 'k', chat('alice@example.com', 'x'))).toMatchObject({ condition: 'item-not-found' });
    const phone = await stage.login('bob');
    await phone.message('f5');
    expect(phone.bodies()).toEqual(['f3', 'f4', 'f5']);
  });

  test('a replay has no gaps: the number of a stanza that was given back comes empty', async () => {
    const alice = await stage.login('alice');
    const { gateway: first, epoch } = await attached();
    await first.attach('carol', { presence: AVAILABLE });
    const { length: h } = first.delivered;
    await alice.send(chat(BOB, 'to bob'));
    await first.deliveryOf('to bob');
    await alice.send(chat(CAROL, 'to carol'));
    await first.deliveryOf('to carol');
    await first.detach(BOB);
    await first.kill();
    const second = await stage.component();
    await second.hello(epoch, h);
    await second.deliveryOf('to carol');
    expect(second.delivered.map(({ n, to, stanza }) => [n, to, stanza?.getChildText('body')])).toEqual([
      [h + 1, BOB, undefined],
      [h + 2, CAROL, 'to carol'],
    ]);
  });

  test('a deleted account ends its session with the reason, told again after a resume until the gateway detaches', async () => {
    const first = await stage.component();
    const { epoch } = await first.hello();
    await first.attach('erin', { presence: AVAILABLE });
    const jid = 'erin@example.com/mqtt';
    await stage.server.deleteUser('erin');
    const told = await first.inbox.first(
      'detached',
      (s) => s.name === 'message' && s.getChild('detached') !== undefined,
    );
    expect(told.getChild('detached')?.attrs).toMatchObject({ xmlns: NS, jid, reason: 'deleted', h: '0' });
    expect((await first.attach('erin')).attrs).toMatchObject({ condition: 'item-not-found' });
    await first.kill();

    const second = await stage.component();
    await second.hello(epoch, 0);
    const announced = (component: RawComponent) =>
      component.inbox.all.filter((s) => s.getChild('detached')?.attrs.jid === jid && s.name === 'message').length;
    expect((await second.detach(jid)).children[0]?.attrs.jid).toBe(jid);
    expect(announced(second)).toBe(1);
    await second.hello(epoch, 0);
    await second.ack(epoch, 0);
    expect(announced(second)).toBe(1);
  });
});
