// `observe` against each real server: a copy of what a user sends and receives, once each, and nobody can tell.

import type { Element } from 'ltx';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LegacyClient } from '../harness/legacy-client.ts';
import { AVAILABLE, archiveIds, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, Stage } from './stage.ts';

const BOB = 'bob@example.com';
const MQTT = 'bob@example.com/mqtt';
const ROOM = 'tea@conference.example.com';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let gateway: RawComponent;
  let alice: LegacyClient;
  let plays = 0;
  /** Another one in each play. */
  let body: string;

  async function open(): Promise<void> {
    gateway = await stage.component();
    await gateway.hello();
    alice = await stage.login('alice');
    plays += 1;
    body = `m${plays}`;
  }

  /** What the observer has got when all that was said before is through. */
  async function copies(of = BOB): Promise<string[]> {
    await alice.iq(`<iq type='get' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await gateway.fence();
    return gateway.copies(of);
  }

  describe.each(['plain', 'archive'])('on a server with its %s set-up', (kind) => {
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob', 'carol', 'erin', 'frank'], { archive: kind === 'archive' });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    test('what is sent to a user comes once, to the bare JID or a resource, whether a client is there or not', async () => {
      await open();
      await gateway.observe('bob');
      await alice.send(chat(BOB, `${body}-offline`));
      await alice.send(chat(`${BOB}/gone`, `${body}-gone`));
      expect(await copies()).toEqual([`in ${body}-offline`, `in ${body}-gone`]);
      const [phone, desk] = [
        await stage.login('bob', { resource: 'phone', carbons: true }),
        await stage.login('bob', { resource: 'desk' }),
      ];
      await alice.send(chat(BOB, `${body}-bare`));
      await alice.send(chat(desk.jid, `${body}-full`));
      await Promise.all([phone.message(`${body}-bare`), desk.message(`${body}-full`)]);
      expect((await copies()).slice(2)).toEqual([`in ${body}-bare`, `in ${body}-full`]);
      expect(gateway.delivered.every(({ to, seen }) => to === BOB && !seen)).toBe(true);
    });

    test('what a user sends comes once, wherever it goes, also to itself', async () => {
      await open();
      await gateway.observe('bob');
      const phone = await stage.login('bob', { resource: 'phone' });
      await phone.send(chat('alice@example.com', `${body}-bare`));
      await phone.send(chat(alice.jid, `${body}-full`));
      await phone.send(chat('example.com', `${body}-host`));
      await phone.send(chat(BOB, `${body}-self`));
      await alice.message(`${body}-full`);
      await phone.message(`${body}-self`);
      const all = [`out ${body}-bare`, `out ${body}-full`, `out ${body}-host`, `out ${body}-self`, `in ${body}-self`];
      expect(await copies()).toEqual(all);
      expect(gateway.delivered[0]?.stanza?.attrs.from).toBe(phone.jid);
    });

    test('two observed users: the copy of each side', async () => {
      await open();
      await gateway.observe('bob');
      await gateway.observe('alice');
      await alice.send(chat(BOB, body));
      expect(await copies()).toEqual([`in ${body}`]);
      expect(gateway.copies('alice@example.com')).toEqual([`out ${body}`]);
    });

    test('rooms are left out', async () => {
      await open();
      const phone = await stage.login('bob', { resource: 'phone' });
      await gateway.observe('bob');
      await phone.send(`<presence to='${ROOM}/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
      const self = (s: Element) => s.name === 'presence' && s.attrs.from === `${ROOM}/bob`;
      await phone.inbox.first('the own presence in the room', self);
      await phone.send(`<message to='${ROOM}' type='groupchat' id='g${body}'><body>${body}</body></message>`);
      await phone.inbox.first('the reflection', (s) => s.attrs.type === 'groupchat' && s.getChildText('body') === body);
      expect(await copies()).toEqual([]);
    });

    test("the archive's id stands in each copy, by the user's own account, if there is an archive", async () => {
      await open();
      await gateway.observe('bob');
      const phone = await stage.login('bob', { resource: 'phone' });
      await alice.send(chat(BOB, `${body}-in`));
      await phone.send(chat('alice@example.com', `${body}-out`));
      await copies();
      for (const one of gateway.delivered) expect(archiveIds(one, BOB)).toHaveLength(kind === 'archive' ? 1 : 0);
      const welcome = await gateway.ask(`<hello xmlns='urn:crossfade:attach:1' v='1'/>`);
      expect(welcome?.attrs.archive).toBe(kind === 'archive' ? '1' : undefined);
    });

    test('while the user has an available attached session, that has everything, and the observer nothing', async () => {
      await open();
      await gateway.observe('bob');
      await gateway.attach('bob');
      await alice.send(chat(BOB, `${body}-1`));
      expect(await copies()).toEqual([`in ${body}-1`]);
      await gateway.send(MQTT, `p${body}`, AVAILABLE);
      await alice.send(chat(BOB, `${body}-2`));
      await gateway.send(MQTT, `s${body}`, chat('alice@example.com', `${body}-3`));
      await alice.message(`${body}-3`);
      await copies();
      await gateway.detach(MQTT);
      await alice.send(chat(BOB, `${body}-4`));
      expect(await copies()).toEqual([`in ${body}-1`, `in ${body}-4`]);
      // The first waited in offline storage, and is flushed to the session as well.
      expect(gateway.bodies(MQTT)).toEqual([`${body}-1`, `${body}-2`]);
    });

    test('after unobserve nothing comes any more; both may be said twice', async () => {
      await open();
      expect(await gateway.observe('bob')).toMatchObject({ children: [] });
      expect(await gateway.observe('bob')).toMatchObject({ children: [] });
      await alice.send(chat(BOB, `${body}-1`));
      await copies();
      expect(await gateway.unobserve('bob')).toMatchObject({ children: [] });
      expect(await gateway.unobserve('bob')).toMatchObject({ children: [] });
      await alice.send(chat(BOB, `${body}-2`));
      expect(await copies()).toEqual([`in ${body}-1`]);
    });

    test('copies wait while the gateway is away, with their numbers, and none is given back to anybody', async () => {
      await open();
      const { epoch } = await gateway.hello();
      await gateway.observe('bob');
      await alice.send(chat(BOB, `${body}-1`));
      await copies();
      await gateway.kill();
      await alice.send(chat(BOB, `${body}-2`));
      await alice.iq(`<iq type='get' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>`);
      gateway = await stage.component();
      expect(await gateway.hello(epoch, 0)).toMatchObject({ epoch, queue: 2 });
      expect(await copies()).toEqual([`in ${body}-1`, `in ${body}-2`]);
      // A new epoch observes nobody, and what was unacknowledged is not delivered a second time.
      await gateway.hello();
      await alice.send(chat(BOB, `${body}-3`));
      expect(await copies()).toHaveLength(2);
      const phone = await stage.login('bob', { resource: 'phone' });
      await phone.message(`${body}-3`);
      expect(phone.bodies().filter((one) => one.startsWith(`${body}-`))).toEqual([1, 2, 3].map((n) => `${body}-${n}`));
    });

    test('an account that is deleted is announced under its bare JID, until somebody observes it again', async () => {
      await open();
      const user = kind === 'archive' ? 'erin' : 'frank';
      const { epoch } = await gateway.hello();
      await gateway.observe(user);
      await stage.server.deleteUser(user);
      const isEnd = (s: Element) => s.getChild('detached')?.attrs.jid === `${user}@example.com`;
      const end = await gateway.inbox.first('the announcement', isEnd);
      expect(end.getChild('detached')?.attrs.reason).toBe('deleted');
      await gateway.hello(epoch, 0);
      await gateway.fence();
      expect(gateway.inbox.all.filter(isEnd)).toHaveLength(2);
      expect(await gateway.observe(user)).toMatchObject({ condition: 'item-not-found', type: 'cancel' });
      await gateway.unobserve(user);
      await gateway.hello(epoch, 0);
      await gateway.fence();
      expect(gateway.inbox.all.filter(isEnd)).toHaveLength(2);
    });
  });

  describe('on a server with a queue of three', () => {
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob', 'carol'], { maxUnacked: 3 });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    test('copies that do not fit are left out, an empty number in their place says so, and nobody else misses anything', async () => {
      await open();
      const { epoch } = await gateway.hello();
      const phone = await stage.login('bob', { resource: 'phone' });
      await gateway.observe('bob');
      await gateway.observe('carol');
      for (const n of [1, 2, 3, 4, 5]) await alice.send(chat(BOB, `${body}-${n}`));
      await alice.send(chat('carol@example.com', `${body}-c`));
      await phone.message(`${body}-5`);
      expect(await copies()).toEqual([1, 2, 3].map((n) => `in ${body}-${n}`));
      await gateway.ack(epoch, 3);
      await alice.send(chat(BOB, `${body}-6`));
      await copies();
      const rest = gateway.delivered
        .slice(3)
        .map(({ n, to, missed, stanza }) => [n, to, missed, stanza?.getChildText('body')]);
      expect(rest.toSorted((one, other) => String(one[1]).localeCompare(String(other[1])))).toEqual([
        [expect.any(Number), BOB, true, undefined],
        [6, BOB, false, `${body}-6`],
        [expect.any(Number), 'carol@example.com', true, undefined],
      ]);
      expect(phone.bodies()).toEqual([1, 2, 3, 4, 5, 6].map((n) => `${body}-${n}`));
    });
  });
});
