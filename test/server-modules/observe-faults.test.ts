// Observing and locking where something goes wrong, against each real server: strangers who ask, forged ids, a reload, no carbons.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AVAILABLE, archiveIds, NS, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, GATEWAY, STRANGER, Stage } from './stage.ts';

const BOB = 'bob@example.com';
const MQTT = 'bob@example.com/mqtt';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(server, ['alice', 'bob'], { archive: true });
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.close());

  async function ready(): Promise<RawComponent> {
    const gateway = await stage.component();
    await gateway.hello();
    return gateway;
  }

  describe('is forbidden to clients and to other components, and has no effect:', () => {
    const requests = [
      `<observe xmlns='${NS}' user='bob'/>`,
      `<unobserve xmlns='${NS}' user='bob'/>`,
      `<lock xmlns='${NS}' user='alice' kick='1'>out</lock>`,
      `<unlock xmlns='${NS}' user='bob'/>`,
    ];
    test.each(requests)('%s', async (request) => {
      const gateway = await ready();
      const alice = await stage.login('alice');
      await gateway.observe('bob');
      await gateway.lock('bob', 'moved');
      const stranger = await stage.component(STRANGER);
      expect(await stranger.iq(request)).toMatchObject({ condition: 'forbidden', type: 'auth' });
      const foreign = server.foreignFrom === 'replaced' ? [` from='${GATEWAY}'`] : []; // else the stream ends (commands.test.ts)
      for (const from of ['', ...foreign]) {
        const asked = alice.iq(`<iq type='set' to='example.com'${from}>${request}</iq>`);
        await expect(asked).rejects.toMatchObject({ condition: 'forbidden' });
      }
      await expect(stage.login('bob')).rejects.toMatchObject({ condition: 'not-allowed', text: 'moved' });
      await alice.send(chat(BOB, 'for one only'));
      await gateway.deliveryOf('for one only');
      await stranger.fence();
      expect(stranger.delivered).toEqual([]);
      expect(stranger.inbox.all).toEqual([]);
    });
  });

  test("of the stanza-ids by the user's archive the last is the server's own; what is not archived has none", async () => {
    const gateway = await ready();
    const alice = await stage.login('alice');
    const phone = await stage.login('bob', { resource: 'phone' });
    await gateway.observe('bob');
    const forged = `<stanza-id xmlns='urn:xmpp:sid:0' by='${BOB}' id='forged'/>`;
    await alice.send(chat(BOB, 'archived', forged));
    await alice.send(chat(BOB, 'passing', `<no-store xmlns='urn:xmpp:hints'/>${forged}`));
    const ids = async (body: string) => archiveIds(await gateway.deliveryOf(body), BOB);
    expect(await ids('passing')).toEqual([]);
    await phone.iq(
      `<iq type='set'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set></query></iq>`,
    );
    const results = phone.inbox.all.flatMap((stanza) => stanza.getChild('result', 'urn:xmpp:mam:2')?.attrs.id ?? []);
    expect((await ids('archived')).at(-1)).toBe(results.at(-1));
  });

  test('an attached session without carbons does not silence the observer', async () => {
    const gateway = await ready();
    const alice = await stage.login('alice');
    const phone = await stage.login('bob', { resource: 'phone', priority: 5 });
    await gateway.observe('bob');
    await gateway.attach('bob', { presence: AVAILABLE, carbons: false });
    await alice.send(chat(BOB, 'outranked'));
    await phone.message('outranked');
    expect(await gateway.deliveryOf('outranked')).toMatchObject({ to: BOB, dir: 'in' });
    await gateway.attach('bob');
    await alice.send(chat(BOB, 'as a carbon'));
    await phone.message('as a carbon');
    await gateway.fence();
    expect(gateway.copies(BOB)).toEqual(['in outranked']);
    expect(gateway.delivered.at(-1)).toMatchObject({ to: MQTT, dir: undefined });
  });

  test('a reload of the module ends observing and locking, and a copy comes once again when both are asked for anew', async () => {
    const first = await ready();
    const alice = await stage.login('alice');
    await first.observe('bob');
    await first.lock('bob', 'moved');
    await stage.server.module('reload');
    await first.closed;
    const phone = await stage.login('bob', { resource: 'phone' });
    const second = await ready();
    await alice.send(chat(BOB, 'nobody looks'));
    await phone.message('nobody looks');
    await second.fence();
    expect(second.delivered).toEqual([]);
    await second.observe('bob');
    await alice.send(chat(BOB, 'once'));
    await phone.message('once');
    await second.fence();
    expect(second.copies(BOB)).toEqual(['in once']);
  });
});
