// `seen` against each real server: set exactly when a legacy resource got the same stanza, by routing or as a carbon.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LegacyClient } from '../harness/legacy-client.ts';
import { AVAILABLE, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, Stage } from './stage.ts';

const BARE = 'bob@example.com';
const MQTT = 'bob@example.com/mqtt';
const PRIVATE = `<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>`;

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let alice: LegacyClient;
  let gateway: RawComponent;
  let plays = 0;
  let body: string; // another one in each play: what the last one left unacknowledged is flushed to the next
  const opened = ['plain', 'archive'].map((kind) => ({ kind, archive: kind === 'archive' }));

  describe.each(opened)('on a server with its $kind set-up', ({ archive }) => {
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob'], { archive });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    async function open(): Promise<void> {
      gateway = await stage.component();
      await gateway.hello();
      await gateway.attach('bob', { presence: AVAILABLE });
      alice = await stage.login('alice');
      plays += 1;
      body = `m${plays}`;
    }

    const rows: [
      who: string,
      phone: { priority: number | null; carbons: boolean } | null,
      to: string,
      extra: string,
      seen: boolean,
    ][] = [
      ['no legacy client', null, BARE, '', false],
      ['one of equal priority', { priority: 0, carbons: false }, BARE, '', true],
      ['one of equal priority with carbons', { priority: 0, carbons: true }, BARE, '', true],
      ['one of negative priority', { priority: -1, carbons: false }, BARE, '', false],
      ['one of negative priority with carbons', { priority: -1, carbons: true }, BARE, '', true],
      ['one without presence', { priority: null, carbons: false }, BARE, '', false],
      [
        'one without presence, with carbons',
        { priority: null, carbons: true },
        BARE,
        '',
        server.carbonsWithoutPresence,
      ],
      ['one without carbons, message to the session', { priority: 0, carbons: false }, MQTT, '', false],
      ['one with carbons, message to the session', { priority: 0, carbons: true }, MQTT, '', true],
      ['one with carbons, private message to the session', { priority: 0, carbons: true }, MQTT, PRIVATE, false],
      [
        'one with carbons, message to a resource that is gone',
        { priority: -1, carbons: true },
        `${BARE}/gone`,
        '',
        true,
      ],
      [
        'one of equal priority, message to a resource that is gone',
        { priority: 0, carbons: false },
        `${BARE}/gone`,
        '',
        true,
      ],
    ];
    test.each(rows)('%s', async (_, phone, to, extra, seen) => {
      await open();
      const legacy = phone && (await stage.login('bob', { resource: 'phone', ...phone }));
      await alice.send(chat(to, body, extra));
      const delivered = await gateway.deliveryOf(body);
      expect(delivered.seen).toBe(seen);
      if (legacy) {
        await alice.send(`<message to='${legacy.jid}' id='fence'><body>fence</body></message>`);
        await legacy.message('fence');
        const had = legacy.inbox.all.some((s) => s.name === 'message' && String(s).includes(`<body>${body}</body>`));
        expect(had).toBe(seen);
      }
    });

    test('a legacy client of higher priority gets it alone; the session has a carbon, which is no direct stanza', async () => {
      await open();
      const phone = await stage.login('bob', { priority: 5 });
      await alice.send(chat(BARE, body));
      await phone.message(body);
      const carbon = await gateway.inbox.until('a carbon', () =>
        gateway.delivered.find(
          ({ stanza }) => stanza?.getChild('received', 'urn:xmpp:carbons:2') && String(stanza).includes(`>${body}<`),
        ),
      );
      expect(carbon).toMatchObject({ to: MQTT, seen: false });
      expect(carbon.stanza?.attrs.from).toBe(BARE);
      await gateway.fence();
      expect(gateway.bodies(MQTT)).not.toContain(body);
    });

    test('a legacy client that is being closed and hears nothing any more does not count', async () => {
      await open();
      const phone = await stage.login('bob', { resource: 'phone', carbons: true });
      phone.freeze();
      await stage.server.closeClient(phone.jid);
      await alice.send(chat(BARE, body));
      expect((await gateway.deliveryOf(body)).seen).toBe(false);
      phone.drop();
    });

    test('a legacy client whose connection is lost and may be resumed does not count', async () => {
      await open();
      const phone = await stage.login('bob', { resource: 'phone', carbons: true });
      phone.drop();
      await stage.server.untilPending(phone.jid);
      await alice.send(chat(BARE, body));
      expect((await gateway.deliveryOf(body)).seen).toBe(false);
    });
  });
});
