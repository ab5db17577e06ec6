// What a gateway needs of the archive, against each real server: queries through an attached session, and word of what was left out.

import type { Element } from 'ltx';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AVAILABLE, archiveIds, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, numbered, Stage } from './stage.ts';

const BOB = 'bob@example.com';
const MQTT = 'bob@example.com/mqtt';
const MAM = 'urn:xmpp:mam:2';

const query = (id: string, max: number, after = '') =>
  `<iq type='set' id='${id}'><query xmlns='${MAM}' queryid='${id}'><set xmlns='http://jabber.org/protocol/rsm'><max>${max}</max>${
    after && `<after>${after}</after>`
  }</set></query></iq>`;

describe.each(servers)('$name:', (server) => {
  describe('the archive through an attached session', () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob', 'carol'], { archive: true });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    const isAnswerTo = (id: string) => (stanza: Element | undefined) => stanza?.name === 'iq' && stanza.attrs.id === id;

    async function page(gateway: RawComponent, id: string, after?: string) {
      await gateway.send(MQTT, id, query(id, 2, after));
      const answer = await gateway.inbox.until(`the answer to ${id}`, () =>
        gateway.delivered.find(({ stanza }) => isAnswerTo(id)(stanza)),
      );
      const results = gateway.delivered.flatMap(({ n, stanza }) => {
        const result = stanza?.getChild('result', MAM);
        if (result?.attrs.queryid !== id) return [];
        const forwarded = result.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message');
        return [{ n, from: stanza!.attrs.from, id: result.attrs.id!, body: forwarded?.getChildText('body') }];
      });
      const { complete } = answer.stanza!.getChild('fin', MAM)!.attrs; // else absent, or false
      return { results, complete: complete === 'true', isBeforeAnswer: results.every(({ n }) => n < answer.n) };
    }

    test('offline messages come at the first presence; then the archive answers page by page, in order, results first', async () => {
      const alice = await stage.login('alice');
      for (const body of numbered('a', 5)) await alice.send(chat(BOB, body));
      await alice.iq(`<iq type='get' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>`);
      const gateway = await stage.component();
      await gateway.hello();
      await gateway.attach('bob', { presence: AVAILABLE });
      await gateway.fence();
      expect(gateway.bodies(MQTT)).toEqual(numbered('a', 5));

      const bodies: (string | null | undefined)[] = [];
      let after: string | undefined;
      for (const id of ['q1', 'q2', 'q3']) {
        const { results, complete, isBeforeAnswer } = await page(gateway, id, after);
        expect({ isBeforeAnswer, complete }).toEqual({
          isBeforeAnswer: true,
          complete: id === 'q3',
        });
        expect(results.every(({ from }) => from === BOB || from === undefined)).toBe(true);
        bodies.push(...results.map(({ body }) => body));
        after = results.at(-1)?.id;
      }
      expect(bodies).toEqual(numbered('a', 5));
    });

    test('an archive result carries the id that the live copy carried', async () => {
      const alice = await stage.login('alice');
      const gateway = await stage.component();
      await gateway.hello();
      await gateway.observe('bob');
      await alice.send(chat(BOB, 'observed'));
      const observed = await gateway.deliveryOf('observed');
      const sid = archiveIds(observed, BOB).at(-1);
      await gateway.fence();
      await gateway.attach('bob', { presence: AVAILABLE });
      const asked = `<iq type='set' id='last'><query xmlns='${MAM}' queryid='last'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set></query></iq>`;
      await gateway.send(MQTT, 'last', asked);
      const last = await gateway.inbox.until('the result', () =>
        gateway.delivered.find(({ stanza }) => stanza?.getChild('result', MAM)),
      );
      expect(sid).toBeTruthy();
      expect(last.stanza?.getChild('result', MAM)?.attrs.id).toBe(sid);
    });

    test('a mark that the archive does not know is refused, or answered as by that server, and the session lives on', async () => {
      const gateway = await stage.component();
      await gateway.hello();
      await gateway.attach('bob', { presence: AVAILABLE });
      await gateway.send(MQTT, 'lost', query('lost', 2, 'no-such-id'));
      const { stanza } = await gateway.inbox.until('the answer', () =>
        gateway.delivered.find((one) => isAnswerTo('lost')(one.stanza)),
      );
      const condition = stanza?.getChild('error')?.getChildElements()[0]?.name;
      expect(condition).toBe(server.unknownMark);
      expect((await page(gateway, 'again')).results).not.toEqual([]);
    });
  });

  describe('on a server with a queue of three', () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob'], { maxUnacked: 3 });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    /** Bob's phone outranks the attached session, so that this gets carbons. */
    async function open() {
      const alice = await stage.login('alice');
      const phone = await stage.login('bob', { resource: 'phone', priority: 5, carbons: true });
      const gateway = await stage.component();
      const { epoch } = await gateway.hello();
      return { alice, phone, gateway, epoch };
    }
    const missed = (gateway: RawComponent) => gateway.delivered.flatMap((one) => (one.missed ? [one.to] : []));

    test('carbons that do not fit are told of in the same way as observed copies', async () => {
      const { alice, phone, gateway, epoch } = await open();
      await gateway.attach('bob', { presence: AVAILABLE });
      for (const body of numbered('c', 5)) await alice.send(chat(BOB, body));
      await phone.message('c5');
      await gateway.fence();
      expect(missed(gateway)).toEqual([]);
      await gateway.ack(epoch, gateway.delivered.length);
      await gateway.fence();
      expect(missed(gateway)).toEqual([BOB]);
      await gateway.ack(epoch, gateway.delivered.length);
      await gateway.fence();
      expect(missed(gateway)).toEqual([BOB]);
    });

    test('messages that went to a legacy client instead are told of, too', async () => {
      const { alice, gateway, epoch } = await open();
      const desk = await stage.login('bob', { resource: 'desk', priority: 5 });
      await gateway.attach('bob', { presence: "<presence xmlns='jabber:client'><priority>5</priority></presence>" });
      await gateway.fence();
      await gateway.ack(epoch, gateway.delivered.length);
      for (const body of numbered('f', 5)) await alice.send(chat(BOB, body));
      await desk.message('f5');
      await gateway.fence();
      await gateway.ack(epoch, gateway.delivered.length);
      await gateway.fence();
      expect(missed(gateway)).toEqual([BOB]);
    });

    test('what an observer missed is told of though nobody observes any more', async () => {
      const { alice, phone, gateway, epoch } = await open();
      await gateway.observe('bob');
      for (const body of numbered('d', 5)) await alice.send(chat(BOB, body));
      await phone.message('d5');
      await gateway.unobserve('bob');
      await gateway.ack(epoch, 3);
      await gateway.fence();
      expect(missed(gateway)).toEqual([BOB]);
    });

    test('a carbon taken back at a detach leaves a hole in its place and word of it behind', async () => {
      const { alice, phone, gateway, epoch } = await open();
      await gateway.attach('bob');
      await gateway.send(MQTT, 'p', AVAILABLE);
      await gateway.fence();
      await gateway.ack(epoch, gateway.delivered.length);
      await alice.send(chat(BOB, 'carbon only'));
      await phone.message('carbon only');
      await gateway.fence();
      const n = gateway.delivered.length;
      await gateway.detach(MQTT);
      expect(missed(gateway)).toEqual([BOB]);
      await gateway.kill();
      const again = await stage.component();
      await again.hello(epoch, n - 1);
      await again.fence();
      expect(again.delivered.map(({ to, missed: isMissed, stanza }) => [to, isMissed, stanza])).toContainEqual([
        MQTT,
        false,
        undefined,
      ]);
      expect(missed(again)).toEqual([BOB]);
    });
  });
});
