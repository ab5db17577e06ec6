// A small XEP-0114 server on a real socket that also speaks the server's side of the attach protocol: for what a real server
// cannot be made to do, and for the benchmark. It keeps no users: every address exists.

import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Element } from 'ltx';
import {
  NS_ATTACH,
  NS_CLIENT,
  NS_COMPONENT,
  NS_STANZA_ERRORS,
  NS_STREAM_ERRORS,
  NS_STREAMS,
} from '../../src/xmpp/namespaces.ts';
import { childOf, elementsOf } from '../../src/xmpp/stanza.ts';
import { XmlReader } from '../../src/xmpp/xml-reader.ts';
import { tag } from '../../src/xmpp/xml-writer.ts';

export interface FakeServerOptions {
  host?: string;
  secret?: string;
  /** How far it goes with a connection: not a byte, no answer to the handshake, or all the way. */
  manners?: 'mute' | 'half' | 'all';
  /** Refuses hello with this condition. */
  refuseHello?: string;
}

/** One stanza sent as an attached session. */
export interface Sent {
  from: string;
  key: string;
  stanza: Element;
}

const component = 'gw.example.com';

const isAnswer = ({ attrs: { type } }: Element) => type === 'result' || type === 'error';

export class FakeServer {
  readonly host: string;
  secret: string;
  manners: 'mute' | 'half' | 'all';
  refuseHello: string | undefined;
  /** The attach protocol's state. */
  epoch = randomUUID().slice(0, 8);
  n = 0;
  acked = 0;
  readonly unacked = new Map<number, string>();
  readonly sessions = new Set<string>();
  readonly keys = new Set<string>();
  connections = 0;
  /** Connections that the other side has closed. */
  hangUps = 0;
  /** Condition and type with which the next `<send/>` is refused. */
  refuseSend: { condition: string; type: string } | undefined;
  /** False: iqs are read, and not answered. */
  answers = true;
  onSent: (sent: Sent) => void = () => {};
  onAck: (h: number) => void = () => {};
  onStanza: (stanza: Element) => void = () => {};
  onIq: (iq: Element) => void = () => {};
  /** Answers a right handshake. */
  onHandshake: (socket: Socket) => void = (socket) => void socket.write('<handshake/>');
  /** The other side has ended its stream. */
  onEnd: (socket: Socket) => void = (socket) => void socket.end('</stream:stream>');
  socket: Socket | null = null;
  readonly #server: Server;

  constructor({
    host = 'example.com',
    secret = 'a-fake-secret',
    manners = 'all',
    refuseHello,
  }: FakeServerOptions = {}) {
    this.host = host;
    this.secret = secret;
    this.manners = manners;
    this.refuseHello = refuseHello;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.socket?.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Cuts the line, as a crash would. */
  kill(): void {
    this.socket?.destroy();
  }

  /** Writes text as it is. */
  raw(text: string | Uint8Array): boolean {
    return this.socket?.write(text) ?? false;
  }

  /** Queues one stanza (text, in jabber:client) for a session and sends it; gives its number. */
  deliver(to: string, stanza: string, more: Record<string, string> = {}): number {
    this.n += 1;
    const d = tag('d', { xmlns: NS_ATTACH, epoch: this.epoch, n: this.n, to, ...more }, stanza);
    const text = tag('message', { from: this.host, to: component }, d);
    this.unacked.set(this.n, text);
    this.raw(text);
    return this.n;
  }

  /** As after a restart of the server: sessions and queue are gone. */
  newEpoch(): void {
    this.epoch = randomUUID().slice(0, 8);
    this.n = this.acked = 0;
    this.unacked.clear();
    this.sessions.clear();
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.socket = socket;
    socket.on('error', () => socket.destroy());
    socket.on('end', () => {
      this.hangUps += 1;
      socket.end();
    });
    socket.setEncoding('utf8');
    socket.setNoDelay(true);
    if (this.manners === 'mute') {
      socket.resume();
      return;
    }
    const id = randomUUID();
    const reader = new XmlReader();
    reader.on('start', () => {
      const xmlns = `xmlns="${NS_COMPONENT}" xmlns:stream="${NS_STREAMS}"`;
      socket.write(`<?xml version="1.0"?><stream:stream ${xmlns} from="${component}" id="${id}">`);
    });
    reader.on('element', (element: Element) => {
      if (element.name === 'handshake') this.#shake(socket, element, id);
      else if (element.name === 'iq' && element.attrs.to === this.host && !isAnswer(element)) this.#iq(element);
      else this.onStanza(element);
    });
    reader.on('end', () => this.onEnd(socket));
    reader.on('error', () => socket.destroy());
    socket.on('data', (text: unknown) => reader.write(text as string));
  }

  #shake(socket: Socket, handshake: Element, id: string): void {
    if (this.manners === 'half') return;
    const expected = createHash('sha1')
      .update(id + this.secret)
      .digest('hex');
    if (handshake.getText() === expected) this.onHandshake(socket);
    else
      socket.end(`<stream:error>${tag('not-authorized', { xmlns: NS_STREAM_ERRORS })}</stream:error></stream:stream>`);
  }

  #iq(iq: Element): void {
    this.onIq(iq);
    if (!this.answers) return;
    const results = elementsOf(iq).map((request) => this.#request(request));
    const no = results.find((result) => typeof result === 'object');
    const payload = no
      ? tag('error', { type: no.type }, tag(no.condition, { xmlns: NS_STANZA_ERRORS }))
      : results.join('');
    const { id, from: to } = iq.attrs;
    this.raw(tag('iq', { type: no ? 'error' : 'result', id, from: this.host, to }, payload));
    if (childOf(iq, 'hello', NS_ATTACH) && !no) for (const text of this.unacked.values()) this.raw(text);
  }

  #request(request: Element): string | { condition: string; type: string } {
    const { name, attrs } = request;
    if (attrs.xmlns !== NS_ATTACH) return '';
    if (name === 'hello') return this.#hello(attrs);
    if (name === 'attach') {
      const jid = `${attrs.user}@${this.host}/${attrs.resource}`;
      const resumed = this.sessions.has(jid) ? '1' : undefined;
      this.sessions.add(jid);
      return tag('attached', { xmlns: NS_ATTACH, jid, resumed });
    }
    if (name === 'send' || name === 'return') return this.#send(request);
    if (name === 'a') {
      this.#ack(Number(attrs.h));
      return '';
    }
    if (name === 'detach') {
      this.sessions.delete(attrs.jid ?? '');
      return tag('detached', { xmlns: NS_ATTACH, jid: attrs.jid, h: this.acked, returned: 0 });
    }
    return { condition: 'bad-request', type: 'modify' };
  }

  #hello({ epoch, h }: Record<string, string>): string | { condition: string; type: string } {
    if (this.refuseHello) return { condition: this.refuseHello, type: 'cancel' };
    if (epoch !== this.epoch) this.newEpoch();
    else this.#ack(Number(h));
    const { acked, sessions, unacked } = this;
    return tag('welcome', {
      xmlns: NS_ATTACH,
      v: 1,
      epoch: this.epoch,
      h: acked,
      sessions: sessions.size,
      queue: unacked.size,
    });
  }

  #send(request: Element): string | { condition: string; type: string } {
    const no = this.refuseSend;
    this.refuseSend = undefined;
    if (no) return no;
    const { from = '', key = '' } = request.attrs;
    const [stanza] = elementsOf(request);
    if (stanza?.attrs.xmlns !== NS_CLIENT) return { condition: 'bad-request', type: 'modify' };
    if (this.keys.has(key)) return '';
    this.keys.add(key);
    this.onSent({ from, key, stanza });
    return '';
  }

  #ack(h: number): void {
    for (let n = this.acked + 1; n <= h; n += 1) this.unacked.delete(n);
    this.acked = Math.max(this.acked, h);
    this.onAck(this.acked);
  }
}
