// Play: a user in phase shadow. Everything is compared, and neither the user nor its contact can tell (DESIGN §5).

import { expect, test } from 'vitest';
import { type LegacyClient, legacyClient } from '../harness/legacy-client.ts';
import { type Recording, recordingProxy } from '../harness/recording-proxy.ts';
import { prosody, servers } from '../harness/servers.ts';
import { setStage } from '../harness/stage.ts';

const bob = 'bob@example.com';

test.each(servers)(
  '$name: what the user and a contact write is compared and copied under the shadow root; apps, topics and ledger know nothing of it',
  async (server) => {
    const stage = await setStage({ kind: server, accounts: ['alice', 'bob'] });
    try {
      await stage.gateway.move(bob, 'shadow');
      const [chat, shadow] = [await stage.watch('chat/#'), await stage.watch('chat-shadow/#')];
      const alice = await stage.contact('alice');
      const desk = await stage.contact('bob');
      alice.send(
        `<message to='${bob}' type='chat' id='s1'><body>SECRET one</body><x xmlns='urn:example:x' a='SECRET'/></message>`,
      );
      await desk.hears('SECRET one');
      desk.send(
        "<message to='alice@example.com' type='chat' id='s2'><body>SECRET two</body><private xmlns='urn:xmpp:carbons:2'/></message>",
      );
      await alice.hears('SECRET two');
      await desk.leave();
      alice.say(bob, 'SECRET three');

      const of = (topic: string, body: string) =>
        shadow.until(
          (all) => all.find((one) => one.topic === topic && one.payload.includes(body)),
          `${body} on ${topic}`,
        );
      await of('chat-shadow/bob/in/message', 'SECRET one');
      await of('chat-shadow/bob/out/message', 'SECRET two');
      await of('chat-shadow/bob/in/message', 'SECRET three');
      const { body: report } = await stage.gateway.api('GET', '/api/v1/shadow');
      expect(report).toMatchObject({
        ...{ stanzas: { in: 2, out: 1 }, equal: 2, different: 1, failed: 0 },
        losses: [{ path: '{urn:xmpp:carbons:2}private', kind: 'refused', dir: 'out', stanzas: 1 }],
        users: [{ user: bob, stanzas: 3, different: 1 }],
      });
      expect(JSON.stringify(report)).not.toMatch(/SECRET|alice/);
      expect(await stage.gateway.entries(bob)).toEqual([]);
      expect(chat.items).toEqual([]);

      // The server is told to stop: nothing is copied any more.
      await stage.gateway.move(bob, 'legacy');
      const before = shadow.items.length;
      alice.say(bob, 'after');
      // It is in offline storage, and does not come amid his login: ejabberd may keep there what does.
      await alice.iq('example.com', 'get', "<ping xmlns='urn:xmpp:ping'/>");
      const again = await stage.contact('bob');
      await again.hears('after');
      expect(again.bodies()).toEqual(['SECRET three', 'after']);
      expect(shadow.items).toHaveLength(before);
    } finally {
      await stage.strike();
    }
  },
);

/** A conversation in which every step is waited for, so that it goes the same way each time. */
async function converse(port: number, password: string): Promise<void> {
  const enter = (user: string, resource: string) => legacyClient({ user, password, port, resource, carbons: true });
  const settled = (one: LegacyClient) => one.iq("<iq type='get' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
  const presence = (one: LegacyClient, from: string, type?: string) =>
    one.inbox.first(
      `${type} of ${from}`,
      (s) => s.name === 'presence' && s.attrs.from === from && s.attrs.type === type,
    );
  const alice = await enter('alice', 'desk');
  const phone = await enter('bob', 'phone');
  await alice.send(`<presence to='${bob}' type='subscribe' id='p1'/>`);
  await presence(phone, 'alice@example.com', 'subscribe');
  await phone.send("<presence to='alice@example.com' type='subscribed' id='p2'/>");
  await presence(alice, `${bob}/phone`);
  const tablet = await enter('bob', 'tablet');
  await presence(alice, `${bob}/tablet`);

  await alice.send(
    `<message to='${bob}' type='chat' id='c1'><body>one</body><request xmlns='urn:xmpp:receipts'/></message>`,
  );
  await Promise.all([phone.message('one'), tablet.message('one')]);
  await phone.send(
    "<message to='alice@example.com/desk' type='chat' id='c2'><received xmlns='urn:xmpp:receipts' id='c1'/></message>",
  );
  await alice.inbox.first('the receipt', (s) => s.attrs.id === 'c2');
  await phone.send("<message to='alice@example.com' type='chat' id='c3'><body>two</body></message>");
  await alice.message('two');
  await alice.send(
    `<message to='${bob}/tablet' type='chat' id='c4'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
  );
  await tablet.inbox.first('the chat state', (s) => s.attrs.id === 'c4');
  for (const one of [alice, phone, tablet]) await settled(one);
  await tablet.stop();
  await presence(alice, `${bob}/tablet`, 'unavailable');
  await phone.stop();
  await presence(alice, `${bob}/phone`, 'unavailable');

  for (const n of [1, 2, 3])
    await alice.send(`<message to='${bob}' type='chat' id='o${n}'><body>offline ${n}</body></message>`);
  await settled(alice);
  const again = await enter('bob', 'phone');
  await again.message('offline 3');
  await again.send(`<message to='nobody@example.com' type='chat' id='c5'><body>lost</body></message>`);
  await again.inbox.first('the error', (s) => s.attrs.id === 'c5' && s.attrs.type === 'error');
  for (const one of [alice, again]) await settled(one);
  await again.stop();
  await presence(alice, `${bob}/phone`, 'unavailable');
  await settled(alice);
  await alice.stop();
}

/** Tags and texts between two tags in one order: a Prosody that starts anew announces its features in another. */
const inOrder = (between: string) => (between.match(/<[^>]*>|[^<]+/g) ?? []).sort().join('');
/** Prosody writes attributes in an order that changes with each start, too. */
const sortedTag = (_: string, name: string, attributes: string, end: string) =>
  `<${name} ${(attributes.match(/[^\s=]+=(?:'[^']*'|"[^"]*")/g) ?? []).sort().join(' ')}${end}`;

/**
 * Without what differs from run to run of the server alone: ids by their order, times, the password, the order of attributes and
 * features, and when XEP-0198 asks for a count and gives one.
 */
function plain(recordings: Recording[]): Recording[] {
  const ids = new Map<string, string>();
  const known = (id: string) => {
    if (/^[cop]\d$/.test(id)) return id;
    if (!ids.has(id)) ids.set(id, `id-${ids.size + 1}`);
    return ids.get(id);
  };
  const of = (bytes: string) =>
    bytes
      .replace(/<auth [^>]*>[^<]*<\/auth>/g, '<auth/>')
      .replace(/<(?:r|a)(?: (?:xmlns|h)=(?:'[^']*'|"[^"]*"))+ *\/>/g, '')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, 'TIME')
      .replace(/<([a-z][\w:-]*)((?: +[^\s=>]+=(?:'[^']*'|"[^"]*"))+) *(\/?>)/g, sortedTag)
      .replace(/(?<=<stream:features>).*?(?=<\/stream:features>)/gs, inOrder)
      .replace(/( (?:id|previd)=)(['"])([^'"]*)\2/g, (_, name, mark, id) => `${name}${mark}${known(id)}${mark}`);
  return recordings.map(({ sent, received }) => ({ sent: of(sent), received: of(received) }));
}

async function recorded(port: number, password: string): Promise<Recording[]> {
  const proxy = await recordingProxy(port);
  try {
    await converse(proxy.port, password);
    return plain(proxy.recordings());
  } finally {
    await proxy.stop();
  }
}

const ways = [
  ...servers.map((server) => ({ server, name: server.name, attach: 'module' as const })),
  { server: prosody, name: 'a server without our module', attach: 'client' as const },
];

test.each(ways)(
  '$name: the streams of the user and the contact are byte for byte those of a server that knows no gateway',
  async ({ server, attach }) => {
    const accounts = { alice: 'pw', bob: 'pw' };
    const gateway = { domain: 'gw.example.com', secret: 'nobody uses it' };
    const alone = await server.start({ accounts, components: [gateway], archive: true, attach: false });
    const without = await recorded(alone.c2sPort, 'pw').finally(() => alone.stop());
    const stage = await setStage({
      ...{ kind: server, attach, accounts: Object.keys(accounts), legacy: { archive: true } },
      env: { CROSSFADE_XMPP_CLIENT_ARCHIVE_EVERY: '300ms' },
    });
    try {
      await stage.gateway.move(bob, 'shadow');
      const within = await recorded(stage.server.c2sPort, stage.password);
      expect(within).toEqual(without);
      // The recording is whole, and the gateway was there: it saw each message.
      expect(within.length).toBe(4);
      expect(within[0]?.received).toContain('<body>two</body>');
      expect(within[3]?.received).toContain('<body>offline 3</body>');
      const compared = async () => (await stage.gateway.api('GET', '/api/v1/shadow')).body;
      // The archive keeps what has a body, the module copies receipts and errors as well.
      const atLeast = attach === 'module' ? 5 : 4;
      await expect.poll(async () => ((await compared()).stanzas as { in: number }).in).toBeGreaterThanOrEqual(atLeast);
      expect(await compared()).toMatchObject({ failed: 0, users: [{ user: bob }] });
    } finally {
      await stage.strike();
    }
  },
  60_000,
);
