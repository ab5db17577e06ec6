// The attach protocol against each real server: who may speak, what each command answers, and what bad requests do to others.

import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { contact } from '../harness/contact.ts';
import { AVAILABLE, NS } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { escapeXml } from '../harness/xml.ts';
import { chat, GATEWAY, STRANGER, Stage } from './stage.ts';

const BOB = 'bob@example.com/mqtt';
const MESSAGE = `<message xmlns='jabber:client' to='alice@example.com'><body>x</body></message>`;

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(server, ['alice', 'bob', 'carol', 'dave', 'erin']);
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.close());

  test('a moved user talks with a legacy contact as any client does', async () => {
    const alice = await stage.login('alice');
    const gateway = await stage.component();
    const welcome = await gateway.hello();
    expect(welcome).toMatchObject({ h: 0, sessions: 0, queue: 0 });
    const attached = await gateway.attach('bob', { presence: AVAILABLE });
    expect(attached.attrs).toEqual({ xmlns: NS, jid: BOB });

    await alice.send(chat('bob@example.com', 'hello'));
    const { stanza, to, epoch, n } = await gateway.deliveryOf('hello');
    expect({ to, epoch, n }).toEqual({ to: BOB, epoch: welcome.epoch, n: 2 });
    expect(stanza?.attrs).toMatchObject({
      xmlns: 'jabber:client',
      from: alice.jid,
      to: 'bob@example.com',
      id: 'id-hello',
    });

    expect(await gateway.send(BOB, 'k1', chat('alice@example.com', 'hi'))).toMatchObject({ children: [] });
    expect((await alice.message('hi')).attrs).toMatchObject({ from: BOB, type: 'chat' });
  });

  test('the sender of a sent stanza is the session, whatever it claims', async () => {
    const alice = await stage.login('alice');
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob');
    await gateway.send(
      BOB,
      'k',
      `<message from='carol@example.com/x' to='alice@example.com' type='chat'><body>me</body></message>`,
    );
    expect((await alice.message('me')).attrs.from).toBe(BOB);
  });

  test('contacts see a plain unavailable when a session ends', async () => {
    const alice = await stage.login('alice');
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob');
    await gateway.send(BOB, 'p', `<presence to='${alice.jid}'/>`);
    await gateway.detach(BOB);
    const gone = await alice.inbox.first('unavailable', (s) => s.attrs.type === 'unavailable' && s.attrs.from === BOB);
    expect(gone.getChild('status')).toBeUndefined();
  });

  test('many attaches in one request are answered one by one, in order, and a bad one harms no other', async () => {
    const gateway = await stage.component();
    await gateway.hello();
    const names = ['bob', 'nobody', 'carol', 'b@d', 'dave', 'bob'];
    const { children } = await gateway.iq(
      [...names.map((name) => `<attach xmlns='${NS}' user='${name}' resource='mqtt'/>`), `<other xmlns='urn:x'/>`].join(
        '',
      ),
    );
    expect(
      children.map(({ name, attrs }) => [name, attrs.jid ?? attrs.condition, attrs.resumed ?? attrs.type]),
    ).toEqual([
      ['attached', BOB, undefined],
      ['refused', 'item-not-found', 'cancel'],
      ['attached', 'carol@example.com/mqtt', undefined],
      ['refused', 'jid-malformed', 'modify'],
      ['attached', 'dave@example.com/mqtt', undefined],
      ['attached', BOB, '1'],
      ['refused', 'bad-request', 'modify'],
    ]);
  });

  describe('an attach is refused when', () => {
    const rows: [what: string, attach: string, condition: string][] = [
      ['the user is missing', `<attach xmlns='${NS}' resource='mqtt'/>`, 'bad-request'],
      ['the resource is missing', `<attach xmlns='${NS}' user='bob'/>`, 'bad-request'],
      ['the user is empty', `<attach xmlns='${NS}' user='' resource='mqtt'/>`, 'jid-malformed'],
      ['the resource is empty', `<attach xmlns='${NS}' user='bob' resource=''/>`, 'jid-malformed'],
      ['it holds a message', `<attach xmlns='${NS}' user='bob' resource='mqtt'>${MESSAGE}</attach>`, 'bad-request'],
      [
        'its presence is of no namespace we know',
        `<attach xmlns='${NS}' user='bob' resource='mqtt'><presence/></attach>`,
        'bad-request',
      ],
      [
        'its presence is directed',
        `<attach xmlns='${NS}' user='bob' resource='mqtt'><presence xmlns='jabber:client' to='alice@example.com'/></attach>`,
        'bad-request',
      ],
      [
        'its presence is a subscription',
        `<attach xmlns='${NS}' user='bob' resource='mqtt'><presence xmlns='jabber:client' type='subscribe'/></attach>`,
        'bad-request',
      ],
      [
        'it holds two presences',
        `<attach xmlns='${NS}' user='bob' resource='mqtt'>${AVAILABLE}${AVAILABLE}</attach>`,
        'bad-request',
      ],
    ];
    test.each(rows)('%s', async (_, attach, condition) => {
      const gateway = await stage.component();
      await gateway.hello();
      const { children } = await gateway.iq(attach);
      expect(children.map((child) => [child.name, child.attrs.condition])).toEqual([['refused', condition]]);
      expect((await gateway.hello()).sessions).toBe(0);
    });
  });

  describe('a request is answered by a stanza error:', () => {
    const send = (inner: string) => `<send xmlns='${NS}' from='${BOB}' key='k'>${inner}</send>`;
    const giveBack = (attrs: string, inner = MESSAGE) => `<return xmlns='${NS}' key='k' ${attrs}>${inner}</return>`;
    const rows: [what: string, request: string, condition: string, type: string][] = [
      ['send of nothing', send(''), 'bad-request', 'modify'],
      ['send of two stanzas', send(MESSAGE + MESSAGE), 'bad-request', 'modify'],
      ['send of another element', send(`<x xmlns='jabber:client'/>`), 'bad-request', 'modify'],
      ['send of a message in another namespace', send(`<message xmlns='jabber:server'/>`), 'bad-request', 'modify'],
      ['send as nobody', `<send xmlns='${NS}' key='k'>${MESSAGE}</send>`, 'item-not-found', 'cancel'],
      [
        'send as a stranger',
        `<send xmlns='${NS}' from='carol@example.com/mqtt' key='k'>${MESSAGE}</send>`,
        'item-not-found',
        'cancel',
      ],
      ['acknowledgement of another epoch', `<a xmlns='${NS}' epoch='other' h='0'/>`, 'conflict', 'cancel'],
      ['acknowledgement without epoch', `<a xmlns='${NS}' h='0'/>`, 'conflict', 'cancel'],
      ['acknowledgement of what was not sent', `<a xmlns='${NS}' epoch='EPOCH' h='99'/>`, 'bad-request', 'modify'],
      ['acknowledgement without number', `<a xmlns='${NS}' epoch='EPOCH'/>`, 'bad-request', 'modify'],
      ['acknowledgement of -1', `<a xmlns='${NS}' epoch='EPOCH' h='-1'/>`, 'bad-request', 'modify'],
      ['acknowledgement of 1e0', `<a xmlns='${NS}' epoch='EPOCH' h='1e0'/>`, 'bad-request', 'modify'],
      [
        'hello that acknowledges too much',
        `<hello xmlns='${NS}' v='1' epoch='EPOCH' h='99'/>`,
        'bad-request',
        'modify',
      ],
      ['hello of version 2', `<hello xmlns='${NS}' v='2'/>`, 'feature-not-implemented', 'cancel'],
      ['hello without version', `<hello xmlns='${NS}'/>`, 'feature-not-implemented', 'cancel'],
      ['return to nobody', giveBack(''), 'item-not-found', 'cancel'],
      ['return to another domain', giveBack(`to='bob@elsewhere.example'`), 'item-not-found', 'cancel'],
      ['return to no account', giveBack(`to='nobody@example.com'`), 'item-not-found', 'cancel'],
      ['return with a bad stamp', giveBack(`to='bob@example.com' stamp='yesterday'`), 'bad-request', 'modify'],
      ['return of nothing', giveBack(`to='bob@example.com'`, ''), 'bad-request', 'modify'],
      [
        'detach of an unknown session',
        `<detach xmlns='${NS}' jid='carol@example.com/mqtt'/>`,
        'item-not-found',
        'cancel',
      ],
      ['detach of nothing', `<detach xmlns='${NS}'/>`, 'item-not-found', 'cancel'],
      [
        'two requests in one',
        `<a xmlns='${NS}' epoch='EPOCH' h='0'/><a xmlns='${NS}' epoch='EPOCH' h='0'/>`,
        'bad-request',
        'modify',
      ],
      ['observe without a user', `<observe xmlns='${NS}'/>`, 'jid-malformed', 'modify'],
      ['unobserve without a user', `<unobserve xmlns='${NS}'/>`, 'jid-malformed', 'modify'],
      ['lock without a user', `<lock xmlns='${NS}'/>`, 'jid-malformed', 'modify'],
      ['unlock without a user', `<unlock xmlns='${NS}'/>`, 'jid-malformed', 'modify'],
    ];
    test.each(rows)('%s', async (_, request, condition, type) => {
      const gateway = await stage.component();
      const { epoch } = await gateway.hello();
      await gateway.attach('bob');
      const answer = await gateway.iq(request.replace('EPOCH', epoch));
      expect(answer).toMatchObject({ condition, type });
      expect((await gateway.hello(epoch, 0)).sessions).toBe(1);
    });
  });

  test('the error for an unknown version names the version that is spoken', async () => {
    const gateway = await stage.component();
    expect((await gateway.iq(`<hello xmlns='${NS}' v='2'/>`)).text).toContain('version 1, not 2');
  });

  test('a command before hello is refused on each new connection', async () => {
    const first = await stage.component();
    const early = await first.iq(`<attach xmlns='${NS}' user='bob' resource='mqtt'/>`);
    expect(early).toMatchObject({ condition: 'unexpected-request', type: 'wait' });
    const { epoch } = await first.hello();
    await first.attach('bob');
    await first.kill();
    const second = await stage.component();
    expect(await second.ack(epoch, 0)).toMatchObject({ condition: 'unexpected-request' });
  });

  test('only a configured component may speak the protocol', async () => {
    const stranger = await stage.component(STRANGER);
    expect(await stranger.iq(`<hello xmlns='${NS}' v='1'/>`)).toMatchObject({ condition: 'forbidden', type: 'auth' });
    const alice = await stage.login('alice');
    const asClient = alice.iq(`<iq type='set' to='example.com'><hello xmlns='${NS}' v='1'/></iq>`);
    await expect(asClient).rejects.toMatchObject({ condition: 'forbidden' });
    const asGateway = `<iq type='set' id='forged' to='example.com' from='${GATEWAY}'><hello xmlns='${NS}' v='1'/></iq>`;
    if (server.foreignFrom === 'replaced') {
      await expect(alice.iq(asGateway)).rejects.toMatchObject({ condition: 'forbidden' });
    } else {
      const forger = await contact({ jid: 'bob@example.com/x', password: 'bob', port: stage.server.c2sPort });
      forger.send(asGateway);
      expect(await forger.isEnded()).toMatchObject({ condition: 'invalid-from' });
      await forger.leave();
    }
  });

  test('a legacy client keeps the resource it holds; the session gets another name, also when asked again', async () => {
    const phone = await stage.login('erin', { resource: 'mqtt' });
    const gateway = await stage.component();
    await gateway.hello();
    const { jid } = (await gateway.attach('erin', { presence: AVAILABLE })).attrs;
    expect(jid).toMatch(/^erin@example\.com\/mqtt-./);
    expect((await gateway.attach('erin')).attrs).toMatchObject({ jid, resumed: '1' });
    await gateway.send(jid!, 'k', chat(phone.jid, 'still here'));
    await phone.message('still here');
  });

  test('a legacy client that asks for the resource of an attached session gets another one', async () => {
    const gateway = await stage.component();
    const { epoch } = await gateway.hello();
    await gateway.attach('erin', { presence: AVAILABLE });
    const phone = await stage.login('erin', { resource: 'mqtt' });
    expect(phone.jid).toMatch(/^erin@example\.com\/mqtt-./);
    expect(await gateway.hello(epoch, 0)).toMatchObject({ sessions: 1 });
    await phone.send(chat('erin@example.com/mqtt', 'to the other'));
    expect((await gateway.deliveryOf('to the other')).to).toBe('erin@example.com/mqtt');
  });

  test('random attaches are all answered and leave another session alone', async () => {
    const alice = await stage.login('alice');
    const gateway = await stage.component();
    await gateway.hello();
    await gateway.attach('bob', { presence: AVAILABLE });
    const odd = fc.oneof(
      fc.constantFrom(
        'bob',
        'carol',
        'mqtt',
        '1',
        '',
        'urn:x',
        'jabber:client',
        NS,
        'ü',
        '\u{1f600}',
        ' ',
        'a'.repeat(2000),
      ),
      fc.string({ unit: fc.constantFrom(...'abA@/<>"\'&# é\u00a0\u00ad') }),
    );
    const attribute = fc.tuple(fc.constantFrom('user', 'resource', 'carbons', 'type', 'to', 'priority'), odd);
    const element = (name: string, inner: string, attributes: [string, string][], xmlns: string) =>
      `<${name} xmlns='${xmlns}'${[...new Map(attributes)].map(([key, value]) => ` ${key}='${escapeXml(value)}'`).join('')}>${inner}</${name}>`;
    const some = fc.array(attribute, { maxLength: 4 });
    const inner = fc.tuple(
      fc.constantFrom('presence', 'message', 'attach'),
      odd,
      some,
      fc.constantFrom('jabber:client', NS, 'urn:x'),
    );
    const attach = fc.tuple(fc.array(inner, { maxLength: 2 }), some);
    await fc.assert(
      fc.asyncProperty(fc.array(attach, { minLength: 1, maxLength: 4 }), async (requests) => {
        const texts = requests.map(([children, attributes]) =>
          element(
            'attach',
            children.map(([name, text, own, xmlns]) => element(name, escapeXml(text), own, xmlns)).join(''),
            attributes,
            NS,
          ),
        );
        const { children } = await gateway.iq(texts.join(''));
        expect(children.map((child) => child.name === 'attached' || child.name === 'refused')).toEqual(
          texts.map(() => true),
        );
      }),
      { seed: 20240501, numRuns: 150 },
    );
    await alice.send(chat('bob@example.com', 'after the storm'));
    expect((await gateway.deliveryOf('after the storm')).to).toBe(BOB);
  });

  test('what the server is set to it says without a link, to who may attach and to nobody else, and changes nothing by it', async () => {
    const about = `<about xmlns='${NS}'/>`;
    const gateway = await stage.component();
    const { epoch } = await gateway.hello();
    await gateway.kill();
    const doctor = await stage.component();
    const { attrs } = (await doctor.iq(about, 'get')).children[0]!;
    expect(attrs).toMatchObject({
      v: '1',
      name: server.name,
      'resume-timeout': '3600',
      'max-unacked': '20000',
      announces: '1',
    });
    expect(attrs).toMatchObject({ 'stanza-limit': '1048576', carbons: '1', offline: '1', smacks: '1', replaces: '1' });
    expect(Number(attrs['offline-limit'])).toBeGreaterThanOrEqual(10_000);
    expect(Math.abs(Date.parse(attrs.at!) - Date.now())).toBeLessThan(5_000);
    expect(await doctor.hello(epoch, 0)).toMatchObject({ epoch });
    const stranger = await stage.component(STRANGER);
    expect(await stranger.iq(about, 'get')).toMatchObject({ condition: 'forbidden', type: 'auth' });
  });
});
