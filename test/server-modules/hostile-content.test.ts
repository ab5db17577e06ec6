// What a gateway may be made to send by others, against real servers: stanzas too deep for their storages, times that are none, endless keys.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AVAILABLE, NS } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, STRANGER, Stage } from './stage.ts';

const BOB = 'bob@example.com/mqtt';
const LONG_AGO = '2024-05-01T10:00:00Z';

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(server, ['alice', 'bob', 'erin'], { archive: true });
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.close());

  /** A message of so many levels, its own included. */
  const nested = (levels: number) =>
    `<message xmlns='jabber:client' type='chat' to='erin@example.com'><body>${'<a>'.repeat(levels - 2)}${'</a>'.repeat(levels - 2)}</body></message>`;

  const long = 'k'.repeat(257);
  const give = (attributes: string, levels = 2) =>
    `<return xmlns='${NS}' to='bob@example.com' ${attributes}>${nested(levels)}</return>`;
  const returned = (addresses: string) =>
    `<return xmlns='${NS}' to='bob@example.com'><message xmlns='jabber:client' type='chat' ${addresses}><body>x</body></message></return>`;
  const returnedIq = (addresses: string) =>
    `<return xmlns='${NS}' to='bob@example.com'><iq xmlns='jabber:client' type='get' id='q' ${addresses}><ping xmlns='urn:xmpp:ping'/></iq></return>`;
  test.each([
    ['send of 102 levels', `<send xmlns='${NS}' from='${BOB}' key='k'>${nested(102)}</send>`],
    ['send with a key of 257 bytes', `<send xmlns='${NS}' from='${BOB}' key='${long}'>${nested(2)}</send>`],
    ['return of 102 levels', give(`key='k'`, 102)],
    ['return with a key of 257 bytes', give(`key='${long}'`)],
    ['return with a stamp that is no time there', give(`key='k' stamp='1969-12-31T23:59:59Z'`)],
    ['return of a stanza from an address that is none', returned(`from='@' to='bob@example.com'`)],
    ['return of a stanza to an address that is none', returned(`from='alice@example.com' to='@'`)],
    ['return of a stanza from a soft hyphen', returned(`from='\u00ad' to='bob@example.com'`)],
    ['return of a request from a soft hyphen', returnedIq(`from='\u00ad' to='bob@example.com'`)],
  ])('%s is a bad request', async (_, request) => {
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob');
    expect(await gateway.iq(request)).toMatchObject({ condition: 'bad-request', type: 'modify' });
  });

  test.each(['@', '\u00ad', '\u00ad@example.com', 'alice@example.com/\u00ad'])(
    'a stanza to "%s", which is no address, comes back to its session as an error',
    async (to) => {
      const gateway = await stage.component();
      await gateway.hello();
      await gateway.attach('bob');
      expect(await gateway.send(BOB, 'k', `<message to='${to}' id='m1'/>`)).toMatchObject({ condition: undefined });
      const { stanza } = gateway.delivered.find(({ stanza }) => stanza?.attrs.id === 'm1')!;
      expect([stanza?.name, stanza?.attrs.type]).toEqual(['message', 'error']);
    },
  );

  test('a stanza as deep as gateways take them goes through, into archive and offline storage, too', async () => {
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob');
    const deepest = nested(101);
    expect(await gateway.send(BOB, 'deep', deepest)).toMatchObject({ condition: undefined });
    expect(await gateway.giveBack('erin@example.com', 'deep again', LONG_AGO, deepest)).toMatchObject({
      condition: undefined,
    });
    const phone = await stage.login('erin');
    await phone.inbox.until('both', () => phone.inbox.all.filter(({ name }) => name === 'message')[1]);
  });

  test('a stamp that a sender forged for a time that is none holds up neither a return nor the end of a session', async () => {
    const alice = await stage.login('alice');
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob', { presence: AVAILABLE });
    const forged = `<delay xmlns='urn:xmpp:delay' from='example.com' stamp='1969-12-31T23:59:59Z'/>`;
    await alice.send(chat('bob@example.com', 'forged', forged));
    const { stanza } = await gateway.deliveryOf('forged');
    await gateway.detach(BOB);
    const returned = await gateway.giveBack('bob@example.com', 'k', LONG_AGO, String(stanza));
    expect(returned).toMatchObject({ condition: undefined });
    const phone = await stage.login('bob');
    await phone.inbox.until('both', () => (phone.bodies().length === 2 ? true : undefined));
    expect(phone.bodies()).toEqual(['forged', 'forged']);
  });

  test.each([`\u00ad@${STRANGER}`, `x@${STRANGER}/\u00ad`])(
    'a message from "%s", which the server hands out, goes back both ways, and the next one behind it',
    async (from) => {
      const stranger = await stage.component(STRANGER);
      const gateway = await stage.component();
      await gateway.hello();
      await gateway.attach('bob', { presence: AVAILABLE });
      stranger.write(chat('bob@example.com', 'odd').replace('<message', `<message from='${from}'`));
      const { stanza } = await gateway.deliveryOf('odd');
      await gateway.detach(BOB);
      const returned = await gateway.giveBack('bob@example.com', 'k', LONG_AGO, String(stanza));
      expect(returned).toMatchObject({ condition: undefined });
      const next = chat('bob@example.com', 'next').replace('<message', `<message from='alice@example.com/x'`);
      await gateway.giveBack('bob@example.com', 'k2', LONG_AGO, next);
      const phone = await stage.login('bob');
      await phone.inbox.until('all', () => (phone.bodies().length === 3 ? true : undefined));
      expect(phone.bodies().sort()).toEqual(['next', 'odd', 'odd']);
    },
  );
});
