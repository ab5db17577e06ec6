// A process: the XMPP server of the benchmark. It speaks XEP-0114 and the server's side of the attach protocol
// (docs/attach-protocol.md) to the gateway, XEP-0114 alone to the bridge, and does as little else as it can.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { answerCalls, Counter, now, pace } from './child.ts';
import { Check, domainOf, host, isGateway, type Load, localOf, type Side, stanzaOf, userOf, users } from './traffic.ts';

const epoch = 'bench';
const attachNs = 'urn:crossfade:attach:1';
const chunkBytes = 64 * 1024;
/** As many as a real server keeps unacknowledged (crossfade_max_unacked). */
const maxUnacked = 20_000;

/** One component's connection. What it writes has the fixed form of its serialiser, so it is searched, not parsed. */
class Connection {
  readonly #socket: Socket;
  #unread = '';
  readonly #side: Side;
  arrived: { stanza: string; at: number }[] = [];
  readonly counter = new Counter();
  readonly sessions = new Set<string>();
  rosters = 0;
  #n = 0;
  #acked = 0;
  #onAck = () => {};
  #chunks: { bytes: Buffer; n: number }[] = [];
  #now = 0;

  constructor(socket: Socket, side: Side) {
    this.#socket = socket;
    this.#side = side;
  }

  read(text: string): void {
    this.#unread += text;
    this.#now = now();
    const before = this.arrived.length;
    let answers = '';
    let at = 0;
    for (;;) {
      const name = this.#unread.startsWith('<iq', at) ? 'iq' : 'message';
      // A request may have one inside.
      const isSend = this.#unread.startsWith('<send ', this.#unread.indexOf('>', at) + 1);
      const closing = isSend ? '</send></iq>' : `</${name}>`;
      const end = this.#unread.indexOf(closing, at);
      if (end < 0) break;
      const next = end + closing.length;
      answers += this.#take(this.#unread.slice(at, next), name);
      at = next;
    }
    this.#unread = this.#unread.slice(at);
    if (answers !== '') this.#socket.write(answers);
    this.counter.add(this.arrived.length - before);
  }

  #take(stanza: string, name: 'iq' | 'message'): string {
    if (name === 'message') {
      this.arrived.push({ stanza, at: this.#now });
      return '';
    }
    const id = textAfter(stanza, ' id="');
    const result = `<iq type="result" from="${host}" to="${domainOf(this.#side)}" id="${id}">${this.#answer(stanza)}</iq>`;
    return stanza.includes('jabber:iq:roster') ? result + this.#noContacts(stanza) : result;
  }

  /** Asked for by each session once, before any load. */
  #noContacts(send: string): string {
    this.rosters += 1;
    const id = textAfter(send.slice(send.lastIndexOf('<iq ')), ' id="');
    const to = textAfter(send.slice(send.indexOf('<send ')), ' from="');
    return this.#deliver(
      to.slice(0, to.indexOf('/')),
      `<iq xmlns="jabber:client" type="result" id="${id}" to="${to}"><query xmlns="jabber:iq:roster"/></iq>`,
    );
  }

  #answer(iq: string): string {
    if (iq.includes('<send ')) {
      // Of presences there is nothing to count.
      if (iq.includes('<message ')) this.arrived.push({ stanza: iq, at: this.#now });
      return '';
    }
    if (iq.includes('<a ')) {
      this.#acked = Number(textAfter(iq, ' h="'));
      this.#onAck();
      return '';
    }
    if (iq.includes('<hello '))
      return `<welcome xmlns="${attachNs}" v="1" epoch="${epoch}" h="0" sessions="0" queue="0"/>`;
    return iq
      .split('<attach ')
      .slice(1)
      .map((request) => {
        const jid = `${textAfter(request, 'user="')}@${host}/${textAfter(request, 'resource="')}`;
        this.sessions.add(jid);
        return `<attached xmlns="${attachNs}" jid="${jid}"/>`;
      })
      .join('');
  }

  /** Makes all the bytes beforehand, so that nothing but writing them is left for the time that is measured. */
  prepare(load: Load): void {
    const { tag, count, perSecond } = load;
    const size = perSecond === undefined ? chunkBytes : 1;
    let text = '';
    for (let at = 0; at < count; at += 1) {
      const local = localOf(userOf(load, at));
      text += isGateway(this.#side)
        ? this.#delivery(tag, at, `${local}@${host}`)
        : stanzaOf({ tag, at, to: `${local}@${domainOf(this.#side)}` });
      if (text.length < size && at < count - 1) continue;
      this.#chunks.push({ bytes: Buffer.from(text), n: this.#n });
      text = '';
    }
  }

  #delivery(tag: string, at: number, to: string): string {
    return this.#deliver(to, stanzaOf({ tag, at, to, more: ' xmlns="jabber:client"' }));
  }

  #deliver(to: string, stanza: string): string {
    this.#n += 1;
    const d = `<d xmlns="${attachNs}" epoch="${epoch}" n="${this.#n}" to="${to}/mqtt">${stanza}</d>`;
    return `<message from="${host}" to="${domainOf(this.#side)}">${d}</message>`;
  }

  /** Answers when each message was written, if they are evenly spread. */
  async blast(perSecond?: number): Promise<number[]> {
    if (perSecond !== undefined) {
      const all = this.#chunks.splice(0);
      return await pace(all.length, perSecond, (at) => this.#socket.write(all[at]!.bytes));
    }
    for (const { bytes, n } of this.#chunks.splice(0)) {
      while (n - this.#acked > maxUnacked) await new Promise<void>((resolve) => (this.#onAck = resolve));
      if (!this.#socket.write(bytes)) await once(this.#socket, 'drain');
    }
    return [];
  }

  /** Resolves once everything that was delivered is acknowledged. */
  async acknowledged(): Promise<void> {
    while (this.#acked < this.#n) await new Promise<void>((resolve) => (this.#onAck = resolve));
  }

  check(load: Load): Check {
    const check = new Check(load);
    for (const { stanza, at } of this.arrived) {
      const message = stanza.slice(stanza.indexOf('<message '));
      const body = message.slice(message.indexOf('<body>') + 6, message.indexOf('</body>'));
      check.take(textAfter(message, ' id="'), body, at);
    }
    this.arrived = [];
    return check;
  }
}

function textAfter(text: string, attribute: string): string {
  const start = text.indexOf(attribute) + attribute.length;
  return text.slice(start, text.indexOf('"', start));
}

const connections: Record<Side, Connection> = {};

function serve(socket: Socket): void {
  socket.setEncoding('utf8').setNoDelay(true);
  socket.on('error', () => socket.destroy());
  let opening = '';
  let connection: Connection | undefined;
  socket.on('data', (data: unknown) => {
    if (connection) return connection.read(String(data));
    opening += data;
    const side = /\sto=["']([\w-]+)\.example\.com/.exec(opening)?.[1] ?? '';
    if (opening.includes('</handshake>')) {
      // Everybody is let in: this server is nobody's.
      socket.write('<handshake/>');
      connection = connections[side] = new Connection(socket, side);
    } else if (/<stream:stream[^>]*>\s*$/.test(opening)) {
      const xmlns = 'xmlns="jabber:component:accept" xmlns:stream="http://etherx.jabber.org/streams"';
      socket.write(`<?xml version="1.0"?><stream:stream ${xmlns} from="${domainOf(side)}" id="bench">`);
    }
  });
}

const server = createServer(serve);
const of = (side: Side) => {
  const connection = connections[side];
  if (!connection) throw new Error(`the ${side} is not connected`);
  return connection;
};
let arrival = Promise.resolve(0);
let sending: Promise<number[]> = Promise.resolve([]);

answerCalls({
  async listen() {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
  /** So many sessions are there, and those of the users that messages are sent to have asked for their contacts. */
  isReady({ side, sessions }: { side: Side; sessions: number }) {
    const connection = connections[side];
    const rosters = isGateway(side) ? users : 0;
    return connection !== undefined && connection.sessions.size >= sessions && connection.rosters >= rosters;
  },
  /** The next connection of this side is another one. */
  forget: (side: Side) => delete connections[side],
  prepare: ({ side, load }: { side: Side; load: Load }) => of(side).prepare(load),
  blast({ side, load: { perSecond } }: { side: Side; load: Load }) {
    const startedAt = now();
    sending = of(side).blast(perSecond);
    return startedAt;
  },
  sent: () => sending,
  acknowledged: (side: Side) => of(side).acknowledged(),
  expect({ side, load }: { side: Side; load: Load }) {
    of(side).arrived = [];
    arrival = of(side).counter.until(load.count);
  },
  arrived: () => arrival,
  check: ({ side, load }: { side: Side; load: Load }) => of(side).check(load).verdict(),
});
