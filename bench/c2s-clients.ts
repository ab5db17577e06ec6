// A process: legacy clients of a real XMPP server, each on a bare socket; they send and count, and look at what came when the time is taken.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerCalls, Counter, now } from './child.ts';
import { bodyOf, Check, friendOf, host, type Load, localOf, type Side, stanzaBytes, userOf } from './traffic.ts';

const chunkBytes = 16 * 1024;

class Client {
  readonly #socket: Socket;
  #unread = '';
  #isOpen = false;
  arrived: string[] = [];
  chunks: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Logs in, binds a resource, and is available. */
  static async open(port: number, local: string, password: string): Promise<Client> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
    await once(socket, 'connect');
    const client = new Client(socket);
    socket.on('data', (text) => client.#read(String(text)));
    const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${host}' version='1.0'>`;
    await client.#ask(header, '</stream:features>');
    const secret = Buffer.from(`\0${local}\0${password}`).toString('base64');
    await client.#ask(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${secret}</auth>`, '<success');
    await client.#ask(header, '</stream:features>');
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind>`;
    await client.#ask(`<iq type='set' id='b'>${bind}</iq>`, '</iq>');
    // What comes of the presence is read before the answer that follows.
    await client.#ask(`<presence/><iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`, "id='r'");
    client.#isOpen = true;
    client.#unread = '';
    return client;
  }

  async #ask(text: string, until: string): Promise<void> {
    this.#unread = '';
    this.#socket.write(text);
    while (!this.#unread.includes(until)) await once(this.#socket, 'data');
  }

  #read(text: string): void {
    this.#unread += text;
    if (!this.#isOpen) return;
    const end = '</message>';
    let at = 0;
    for (;;) {
      const next = this.#unread.indexOf(end, at);
      if (next < 0) break;
      const stanza = this.#unread.slice(at, next);
      if (stanza.includes('<body>')) this.arrived.push(stanza);
      if (stanza.includes('<body>')) counter.add(1);
      at = next + end.length;
    }
    this.#unread = this.#unread.slice(at);
  }

  async blast(): Promise<void> {
    for (const chunk of this.chunks.splice(0)) if (!this.#socket.write(chunk)) await once(this.#socket, 'drain');
  }
}

/** What a client of the server writes: as `stanzaOf`, but the server says whom it is from. */
function messageOf(tag: string, at: number, to: string): string {
  const head = `<message to='${to}' type='chat' id='${tag}-${at}'><body>${bodyOf(at)}`;
  const tail = `</body><request xmlns='urn:xmpp:receipts'/></message>`;
  return head + '.'.repeat(Math.max(0, stanzaBytes - Buffer.byteLength(head) - tail.length)) + tail;
}

const counter = new Counter();
let clients: Client[] = [];
let arrival = Promise.resolve(0);

answerCalls({
  async open({ port, friends, password }: { port: number; friends: number; password: string }) {
    const names = Array.from({ length: friends }, (_, at) => friendOf(at, friends).split('@')[0]!);
    clients = await Promise.all(names.map((name) => Client.open(port, name, password)));
  },
  prepare({ side, load }: { side: Side; load: Load }) {
    const texts = clients.map(() => '');
    for (let at = 0; at < load.count; at += 1) {
      const which = at % clients.length;
      texts[which] += messageOf(load.tag, at, `${addressee(side, userOf(load, at))}@${host}`);
      if (texts[which]!.length < chunkBytes && at < load.count - clients.length) continue;
      clients[which]!.chunks.push(texts[which]!);
      texts[which] = '';
    }
  },
  blast() {
    const startedAt = now();
    for (const client of clients) void client.blast();
    return startedAt;
  },
  expect({ load }: { side: Side; load: Load }) {
    for (const client of clients) client.arrived = [];
    arrival = counter.until(load.count);
  },
  arrived: () => arrival,
  /** The server tells its clients nothing of that. */
  acknowledged: () => {},
  check({ load }: { side: Side; load: Load }) {
    const check = new Check(load);
    for (const client of clients) {
      for (const stanza of client.arrived.splice(0)) {
        const id = /\sid=['"]([^'"]+)/.exec(stanza)?.[1] ?? '';
        check.take(id, /<body>([^<]*)/.exec(stanza)?.[1] ?? '', 0);
      }
    }
    return check.verdict();
  },
});

/** The gateway has users of its own, and so has the bare end of the link. */
function addressee(side: Side, user: number): string {
  return side === 'bare' ? `bare${localOf(user)}` : localOf(user);
}
