// Nobody can tell that a user is observed: what the server writes to the user's clients and to a contact, byte by byte.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { LegacyServer, ServerKind } from '../harness/legacy-server.ts';
import { AVAILABLE, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { GATEWAY, Stage } from './stage.ts';

const BOB = 'bob@example.com';
const ALICE = 'alice@example.com';
const ROOM = 'tea@conference.example.com';

/** A client that adds nothing of its own, so that two runs differ only in what the server writes. */
class BareClient {
  readonly #socket: Socket;
  #heard = '';
  #steps = 0;

  readonly #server: LegacyServer;

  private constructor(server: LegacyServer) {
    this.#server = server;
    this.#socket = connect(server.c2sPort, '127.0.0.1').setEncoding('utf8');
    this.#socket.on('data', (text) => {
      this.#heard += text;
    });
  }

  static async login(server: LegacyServer, user: string, resource: string): Promise<BareClient> {
    const client = new BareClient(server);
    const open = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>`;
    await client.#say(open, '</stream:features>');
    const plain = Buffer.from(`\0${user}\0${user}`).toString('base64');
    await client.#say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`, '<success');
    await client.#say(open, '</stream:features>');
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind>`;
    await client.#say(`<iq type='set' id='bind'>${bind}</iq>`, '</jid>');
    return client;
  }

  async #say(xml: string, answer: string): Promise<void> {
    const from = this.#heard.length;
    this.#socket.write(xml);
    const deadline = Date.now() + 8000;
    while (!this.#heard.includes(answer, from)) {
      if (Date.now() > deadline) throw new Error(`waited in vain for ${answer}; got ${this.#heard.slice(from)}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Sends, and resolves when the server has done it. */
  async send(xml = ''): Promise<void> {
    this.#steps += 1;
    const id = `step${this.#steps}`;
    await this.#say(
      `${xml}<iq type='get' id='${id}' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>`,
      `id='${id}'`,
    );
    await this.#server.settle();
  }

  async leave(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.write('</stream:stream>');
    await closed;
    await this.#server.settle();
  }

  /** All it was sent once logged in, without what differs from run to run: ids that the server makes, times, the order of attributes. */
  recording(): string {
    return this.#heard
      .slice(this.#heard.lastIndexOf('</bind>'))
      .replace(/<[a-z][^ >]*( [^>]*?)(?=\/?>)/g, sorted)
      .replace(/<(?:stanza-id|archived|occupant-id|result) [^>]*>/g, (tag) => tag.replace(/ id='[^']*'/, " id='…'"))
      .replace(/<(first|last)[ >][^<]*<\/\1>/g, '')
      .replace(/ id='(push)?\d{9,}'/g, " id='…'")
      .replace(/stamp='[^']*'/g, "stamp='…'")
      .replaceAll('><', '>\n<');
  }
}

function unordered(lines: string): string {
  return lines.split('\n').toSorted().join('\n');
}

function sorted(tag: string, attributes: string): string {
  const all = attributes.match(/ [^ =]+='[^']*'/g) ?? [];
  return tag.slice(0, -attributes.length) + all.toSorted().join('');
}

const message = (to: string, body: string, type = 'chat') =>
  `<message to='${to}' type='${type}' id='${body}'><body>${body}</body></message>`;
const receipt = (to: string, id: string) =>
  `<message to='${to}' id='r${id}'><received xmlns='urn:xmpp:receipts' id='${id}'/></message>`;

/** What a day brings: away, two devices, carbons, a full address, a room, a block, errors, away again, and back. */
async function day(server: LegacyServer): Promise<Record<string, string>> {
  const alice = await BareClient.login(server, 'alice', 'desk');
  await alice.send(`<presence/><presence to='${BOB}' type='subscribe'/>`);
  await alice.send(message(BOB, 'while you were away') + message(`${BOB}/phone`, 'also away'));
  const phone = await BareClient.login(server, 'bob', 'phone');
  await phone.send(
    `<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence><priority>5</priority></presence>`,
  );
  await phone.send(`<presence to='${ALICE}' type='subscribed'/>`);
  const tablet = await BareClient.login(server, 'bob', 'tablet');
  await tablet.send(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>`);
  await alice.send(message(BOB, 'to all') + message(`${BOB}/tablet`, 'to one') + message(`${BOB}/nowhere`, 'to none'));
  await alice.send(message(BOB, 'news', 'headline') + receipt(BOB, '1') + receipt(`${BOB}/phone`, '2'));
  await phone.send(message(ALICE, 'to contact') + receipt(`${ALICE}/desk`, '3') + message(BOB, 'to myself'));
  await tablet.send(message('nobody@example.com', 'bounces') + message('example.com', 'to host'));
  await phone.send(`<presence to='${ROOM}/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await phone.send(message(ROOM, 'in the room', 'groupchat').replace('<body>', '<subject/><body>'));
  await tablet.leave(); // before the block, which concerns each resource, in no order
  await phone.send(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='${ALICE}'/></block></iq>`);
  await alice.send(message(BOB, 'blocked'));
  await phone.send(`<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'><item jid='${ALICE}'/></unblock></iq>`);
  await phone.leave();
  await alice.send(message(BOB, 'away again'));
  const again = await BareClient.login(server, 'bob', 'phone');
  await again.send('<presence/>');
  await again.send(`<iq type='set' id='m'><query xmlns='urn:xmpp:mam:2'/></iq>`);
  await alice.send();
  await again.leave();
  await alice.leave();
  return { alice: alice.recording(), phone: phone.recording(), tablet: tablet.recording(), again: again.recording() };
}

async function record(server: ServerKind, begin: (stage: Stage) => Promise<RawComponent | undefined>, attach = true) {
  const stage = await Stage.open(server, ['alice', 'bob'], { archive: true, attach });
  try {
    const gateway = await begin(stage);
    const recording = await day(stage.server);
    if (!server.keepsOrder) for (const [who, lines] of Object.entries(recording)) recording[who] = unordered(lines);
    return { recording, gateway };
  } finally {
    await stage.close();
  }
}

async function begin(stage: Stage, ...users: string[]): Promise<RawComponent> {
  const gateway = await stage.component(GATEWAY);
  await gateway.hello();
  for (const user of users) await gateway.observe(user);
  return gateway;
}

test.each(servers)(
  '$name: the streams of an observed user and of a contact are those of a server without the module',
  async (server) => {
    const without = await record(server, async () => undefined, false);
    expect(without.recording.again).toContain('away again');

    const observing = await record(server, (stage) => begin(stage, 'bob', 'alice'));
    expect(observing.gateway?.copies(BOB)).toContain('in to one');
    expect(observing.recording).toEqual(without.recording);

    const away = await record(server, async (stage) => {
      const gateway = await begin(stage, 'bob', 'alice');
      await gateway.kill();
      return gateway;
    });
    expect(away.recording).toEqual(without.recording);

    // That a difference would show: an attached session is seen.
    const attached = await record(server, async (stage) => {
      const gateway = await begin(stage);
      await gateway.attach('bob', { presence: AVAILABLE });
      return gateway;
    });
    expect(attached.recording.phone).not.toEqual(without.recording.phone);
  },
  60_000,
);
