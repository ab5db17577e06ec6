// What no app got goes back to its user, against each real server: in order, with its original time, archived once, never lost.

import type { Element } from 'ltx';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AVAILABLE, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, numbered, Stage } from './stage.ts';

const BOB = 'bob@example.com/mqtt';
const LONG_AGO = '2024-05-01T10:00:00Z';

async function attached(stage: Stage): Promise<{ gateway: RawComponent; epoch: string }> {
  const gateway = await stage.component();
  const { epoch } = await gateway.hello();
  await gateway.attach('bob', { presence: AVAILABLE });
  await gateway.fence();
  return { gateway, epoch };
}

const stamp = (stanza: Element) => stanza.getChild('delay', 'urn:xmpp:delay')?.attrs.stamp;

describe.each(servers)('$name:', (server) => {
  describe('with an archive', () => {
    const many = server.archivedQuickly;
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob', 'carol', 'dave'], { archive: true });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    async function archived(user: string): Promise<number> {
      const client = await stage.login(user, { priority: null });
      const result = await client.iq(
        `<iq type='set'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query></iq>`,
      );
      await client.stop();
      return Number(result.getChild('fin')?.getChild('set')?.getChildText('count'));
    }

    test(`${many} returns come in order, with their original times and without a second archive entry`, async () => {
      const alice = await stage.login('alice');
      const { gateway } = await attached(stage);
      for (const body of numbered('x', many)) await alice.send(chat('bob@example.com', body));
      await gateway.deliveryOf(`x${many}`);
      const stanzas = gateway.delivered.flatMap(({ stanza }) => (stanza?.name === 'message' ? [String(stanza)] : []));
      await gateway.ack(gateway.delivered[0]!.epoch, gateway.delivered.length);
      await gateway.detach(BOB);
      const before = await archived('bob');
      const at = (index: number) => new Date(Date.parse(LONG_AGO) + index * 1000).toISOString().replace('.000', '');
      const answers = await Promise.all(
        stanzas.map((stanza, index) => gateway.giveBack('bob@example.com', `r${index}`, at(index), stanza)),
      );
      expect(answers.filter(({ condition }) => condition)).toEqual([]);
      expect(await archived('bob')).toBe(before);
      const phone = await stage.login('bob');
      await phone.message(`x${many}`);
      expect(phone.bodies()).toEqual(numbered('x', many));
      const messages = phone.inbox.all.filter((s) => s.name === 'message');
      expect(messages.map((message) => Date.parse(stamp(message)!))).toEqual(
        messages.map((_, index) => Date.parse(at(index))),
      );
      expect(messages[0]?.attrs).toMatchObject({ from: alice.jid, id: 'id-x1' });
    });

    test('a return reaches an available legacy client at once, with its original time', async () => {
      const phone = await stage.login('carol');
      const gateway = await stage.component();
      await gateway.hello();
      const stanza = chat('carol@example.com', 'at last').replace('<message', `<message from='alice@example.com/x'`);
      await gateway.giveBack('carol@example.com', 'k', LONG_AGO, stanza);
      expect(Date.parse(stamp(await phone.message('at last'))!)).toBe(Date.parse(LONG_AGO));
    });

    test('a legacy client of negative priority does not get a return, offline storage does', async () => {
      const desk = await stage.login('carol', { priority: -1 });
      const gateway = await stage.component();
      await gateway.hello();
      const stanza = chat('carol@example.com', 'for the phone').replace(
        '<message',
        `<message from='alice@example.com/x'`,
      );
      await gateway.giveBack('carol@example.com', 'k', LONG_AGO, stanza);
      const phone = await stage.login('carol');
      await phone.message('for the phone');
      expect(desk.bodies()).toEqual([]);
    });

    const gone: [what: string, stanza: string][] = [
      [
        'a headline',
        `<message type='headline' from='alice@example.com/x' to='dave@example.com'><body>no</body></message>`,
      ],
      [
        'a room message',
        `<message type='groupchat' from='r@conference.example.com/x' to='dave@example.com/m'><body>no</body></message>`,
      ],
      ['an error', `<message type='error' from='alice@example.com/x' to='dave@example.com'><body>no</body></message>`],
      ['a presence', `<presence from='alice@example.com/x' to='dave@example.com'/>`],
      ['an iq result', `<iq type='result' id='q' from='alice@example.com/x' to='dave@example.com/m'/>`],
      [
        'a carbon',
        `<message from='dave@example.com' to='dave@example.com/m'><received xmlns='urn:xmpp:carbons:2'/><body>no</body></message>`,
      ],
      [
        'an archive result',
        `<message from='dave@example.com' to='dave@example.com/m'><result xmlns='urn:xmpp:mam:2'/><body>no</body></message>`,
      ],
    ];
    test.each(gone)('%s is not kept for later', async (_, stanza) => {
      const gateway = await stage.component();
      await gateway.hello();
      expect(await gateway.giveBack('dave@example.com', 'k', LONG_AGO, stanza)).toMatchObject({ condition: undefined });
      const phone = await stage.login('dave');
      await phone.send(chat('dave@example.com', 'end'));
      await phone.message('end');
      expect(phone.bodies()).toEqual(['end']);
      expect(phone.inbox.all.filter((s) => s.attrs.from === 'alice@example.com/x')).toEqual([]);
    });

    test.each([
      ['directly', { carbons: false }, 'bob@example.com'],
      ['as a carbon', { carbons: true, priority: -1 }, BOB],
    ])(
      'what a legacy client has seen %s does not come to it again; the app’s copy is told of as missing',
      async (_, client, to) => {
        const alice = await stage.login('alice');
        const { gateway } = await attached(stage);
        const phone = await stage.login('bob', { resource: 'phone', ...client });
        const seen = `seen at ${to}`;
        await alice.send(chat(to, seen));
        expect((await gateway.deliveryOf(seen)).seen).toBe(true);
        await gateway.detach(BOB);
        await gateway.fence();
        expect(gateway.delivered.at(-1)).toMatchObject({ to: 'bob@example.com', missed: true, stanza: undefined });
        // A headline, which is not kept for the next play.
        await alice.send(`<message to='${phone.jid}' type='headline'><body>after ${to}</body></message>`);
        await phone.message(`after ${to}`);
        const views = phone.inbox.all.filter((s) => s.name === 'message' && String(s).includes(`<body>${seen}</body>`));
        expect(views).toHaveLength(1);
      },
    );

    test('a carbon that a stranger has made up is an ordinary message', async () => {
      const gateway = await stage.component();
      await gateway.hello();
      const fake = `<message from='alice@example.com/x' to='dave@example.com'><sent xmlns='urn:xmpp:carbons:2'/><body>kept</body></message>`;
      await gateway.giveBack('dave@example.com', 'k', LONG_AGO, fake);
      await (await stage.login('dave')).message('kept');
    });

    test('a question nobody answered comes back to its sender as an error', async () => {
      const alice = await stage.login('alice');
      const { gateway } = await attached(stage);
      const answer = alice.iq(`<iq type='get' to='${BOB}'><query xmlns='jabber:iq:version'/></iq>`);
      const refused = expect(answer).rejects.toMatchObject({ condition: 'service-unavailable' });
      await gateway.inbox.until('the question', () => gateway.delivered.find(({ stanza }) => stanza?.name === 'iq'));
      await gateway.detach(BOB);
      await refused;
    });

    test('offline messages are flushed to the session in order at its first presence, as to any client', async () => {
      const alice = await stage.login('alice');
      for (const body of numbered('o', 20)) await alice.send(chat('carol@example.com', body));
      await alice.send(chat(alice.jid, 'fence'));
      await alice.message('fence');
      const gateway = await stage.component();
      const { epoch } = await gateway.hello();
      await gateway.attach('carol', { presence: AVAILABLE });
      await gateway.deliveryOf('o20');
      expect(gateway.bodies('carol@example.com/mqtt')).toEqual(numbered('o', 20));
      expect(gateway.delivered.filter(({ seen }) => seen)).toEqual([]);
      await gateway.ack(epoch, gateway.delivered.length);
    });

    test('reloading and unloading the module ends its sessions and connections and gives back what was not acknowledged', async () => {
      const alice = await stage.login('alice');
      for (const command of ['reload', 'unload', 'load'] as const) {
        const bodies = numbered(command, 3);
        const gateway = command === 'load' ? undefined : (await attached(stage)).gateway;
        for (const body of gateway ? bodies : []) await alice.send(chat('bob@example.com', body));
        await gateway?.deliveryOf(bodies[2]!);
        await stage.server.module(command);
        if (!gateway) continue;
        const told = await gateway.inbox.first('detached', (s) => s.getChild('detached') !== undefined);
        expect(told.getChild('detached')?.attrs).toMatchObject({ jid: BOB, reason: 'unloaded' });
        await gateway.closed; // so that it comes back and says hello to the new one
        const phone = await stage.login('bob');
        await phone.message(bodies[2]!);
        expect(phone.bodies()).toEqual(bodies);
        await phone.stop();
      }
    });

    test('what the gateway had not acknowledged survives a restart of the server', async () => {
      const alice = await stage.login('alice');
      const { gateway, epoch } = await attached(stage);
      for (const body of numbered('s', 3)) await alice.send(chat('bob@example.com', body));
      const { n } = await gateway.deliveryOf('s3');
      await gateway.ack(epoch, n - 2);
      await alice.stop();
      await stage.server.restart();
      const phone = await stage.login('bob');
      await phone.message('s3');
      expect(phone.bodies()).toEqual(['s2', 's3']);
      expect((await (await stage.component()).hello(epoch, n)).epoch).not.toBe(epoch);
    });
  });

  describe('with little room and a short resume timeout', () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open(server, ['alice', 'bob', 'carol'], {
        maxUnacked: 5,
        resumeTimeout: 2,
        maxOffline: 12,
      });
    });
    afterEach(() => stage.clear());
    afterAll(() => stage.close());

    test('when the gateway stays away too long its sessions end and everything goes back with its original time', async () => {
      const alice = await stage.login('alice', { resource: 'a' });
      const { gateway, epoch } = await attached(stage);
      await gateway.send(BOB, 'p', `<presence to='${alice.jid}'/>`);
      const killedAt = Date.now();
      await gateway.kill();
      for (const body of numbered('t', 3)) await alice.send(chat('bob@example.com', body));
      await alice.iq(`<iq type='get' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>`);
      const saidBy = Date.now();
      const gone = await alice.inbox.first('the end', (s) => s.attrs.type === 'unavailable' && s.attrs.from === BOB);
      expect(gone.getChild('status')).toBeUndefined();
      expect(Date.now() - killedAt).toBeGreaterThan(1_500);
      const phone = await stage.login('bob');
      await phone.message('t3');
      expect(phone.bodies()).toEqual(numbered('t', 3));
      const stamps = phone.inbox.all.filter((s) => s.name === 'message').map((s) => Date.parse(stamp(s)!));
      // In whole seconds on Prosody; they come back two seconds later.
      expect(Math.min(...stamps)).toBeGreaterThan(killedAt - 1_000);
      expect(Math.max(...stamps)).toBeLessThanOrEqual(saidBy);
      const later = await stage.component();
      expect(await later.hello(epoch, 0)).toMatchObject({ sessions: 0, queue: 0, h: 0 });
    });

    test('a gateway that is back in time stops the clock', async () => {
      const { gateway: first, epoch } = await attached(stage);
      await first.kill();
      const second = await stage.component();
      await second.hello(epoch, 0);
      await new Promise((resolve) => setTimeout(resolve, 2_500)); // longer than the resume timeout
      expect(await second.hello(epoch, 0)).toMatchObject({ epoch, sessions: 1 });
    });

    test('what a full queue cannot take goes to offline storage, and comes once there is room', async () => {
      const alice = await stage.login('alice');
      const { gateway, epoch } = await attached(stage);
      await gateway.ack(epoch, gateway.delivered.length);
      for (const body of numbered('u', 9)) await alice.send(chat('bob@example.com', body));
      await alice.send(chat(alice.jid, 'fence'));
      await alice.message('fence');
      await gateway.fence();
      expect(gateway.bodies(BOB)).toEqual(numbered('u', 5));
      await gateway.ack(epoch, gateway.delivered.length);
      await gateway.detach(BOB);
      const phone = await stage.login('bob');
      await phone.message('u9');
      expect(phone.bodies()).toEqual(['u6', 'u7', 'u8', 'u9']);
    });

    test('a full queue hands over to an available legacy client', async () => {
      const alice = await stage.login('alice');
      const { gateway, epoch } = await attached(stage);
      const phone = await stage.login('bob', { priority: -1 });
      await gateway.inbox.until("the phone's presence", () =>
        gateway.delivered.find((d) => d.stanza?.attrs.from === phone.jid),
      );
      await gateway.ack(epoch, gateway.delivered.length);
      for (const body of numbered('v', 5)) await alice.send(chat('bob@example.com', body));
      await gateway.deliveryOf('v5');
      await phone.send(`<presence><priority>0</priority></presence>`);
      await phone.inbox.first(
        'its own presence',
        (s) => s.attrs.from === phone.jid && s.getChildText('priority') === '0',
      );
      await alice.send(chat(BOB, 'v6'));
      await phone.message('v6');
      await gateway.ack(epoch, gateway.delivered.length);
    });

    test('offline messages that do not fit into the queue stay in offline storage', async () => {
      const alice = await stage.login('alice');
      for (const body of numbered('w', 9)) await alice.send(chat('carol@example.com', body));
      await alice.send(chat(alice.jid, 'fence'));
      await alice.message('fence');
      const gateway = await stage.component();
      const { epoch } = await gateway.hello();
      await gateway.attach('carol', { presence: AVAILABLE });
      const here = gateway.bodies('carol@example.com/mqtt');
      expect(here).toEqual(numbered('w', here.length));
      expect(here.length).toBeLessThan(9);
      await gateway.ack(epoch, gateway.delivered.length);
      await gateway.detach('carol@example.com/mqtt');
      const phone = await stage.login('carol');
      await phone.message('w9');
      expect([...here, ...phone.bodies()]).toEqual(numbered('w', 9));
    });

    test('a return that offline storage does not take is refused, and taken with the same key when there is room', async () => {
      const gateway = await stage.component();
      await gateway.hello();
      const stanza = (body: string) =>
        chat('carol@example.com', body).replace('<message', `<message from='alice@example.com/x'`);
      for (const body of numbered('y', 12)) await gateway.giveBack('carol@example.com', body, LONG_AGO, stanza(body));
      const over = await gateway.giveBack('carol@example.com', 'y13', LONG_AGO, stanza('y13'));
      expect(over).toMatchObject({ condition: 'resource-constraint', type: 'wait' });
      const phone = await stage.login('carol');
      await phone.message('y12');
      await gateway.giveBack('carol@example.com', 'y13', LONG_AGO, stanza('y13'));
      await phone.message('y13');
      expect(phone.bodies()).toEqual(numbered('y', 13));
    });

    test('a stanza that cannot be given back is refused to its sender', async () => {
      const alice = await stage.login('alice');
      const { gateway, epoch } = await attached(stage);
      await gateway.ack(epoch, gateway.delivered.length);
      await alice.send(chat('bob@example.com', 'no room'));
      await gateway.deliveryOf('no room');
      const filler = (body: string) =>
        chat('bob@example.com', body).replace('<message', `<message from='alice@example.com/x'`);
      for (const body of numbered('z', 12)) await gateway.giveBack('bob@example.com', body, LONG_AGO, filler(body));
      await gateway.detach(BOB);
      const error = await alice.inbox.first('the error', (s) => s.attrs.type === 'error');
      expect(error.attrs.id).toBe('id-no room');
      expect(error.getChild('error')?.getChild('resource-constraint')).toBeDefined();
    });
  });
});
