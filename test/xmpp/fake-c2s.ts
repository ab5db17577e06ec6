// A server for clients on loopback that a test turns: SCRAM-SHA-1 (RFC 5802), binding, stream management (XEP-0198), one account.

import { createHash, createHmac, pbkdf2Sync, randomUUID } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Element } from 'ltx';
import { XmlReader } from '../../src/xmpp/xml-reader.ts';

export interface FakeC2sOptions {
  /** Where the server's proof stands: with success, or in a challenge of its own. */
  proofIn?: 'success' | 'challenge';
  /** What the proof is made with. */
  password?: string;
}

export const account = { user: 'bob', domain: 'example.com', password: 'pencil' };

/** A session, which outlives its connections. */
export interface FakeSession {
  resource: string;
  /** Of the client's stanzas it has counted so many, and sent so many itself; both modulo 2^32. */
  counted: number;
  sent: number;
  /** Undirected presence, as it came. */
  shown: 'available' | 'unavailable' | undefined;
}

const sm = `xmlns='urn:xmpp:sm:3'`;
const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
const header = (features: string) =>
  `<?xml version='1.0'?><stream:stream from='example.com' id='s' version='1.0' xmlns='jabber:client' ` +
  `xmlns:stream='http://etherx.jabber.org/streams'><stream:features>${features}</stream:features>`;

export class FakeC2s {
  readonly sessions = new Map<string, FakeSession>();
  /** Every element the client has sent, written down. */
  readonly heard: string[] = [];
  /** Set: what is sent to the own account comes back with this error, once the ack has gone that was asked for with it. */
  refuses?: string;
  /** What it hears and counts, but does not answer. */
  ignores: (element: Element) => boolean = () => false;
  readonly #options: FakeC2sOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  #write: (text: string) => void = () => {};
  #session: FakeSession | null = null;

  constructor(options: FakeC2sOptions = {}) {
    this.#options = options;
  }

  listen(): Promise<number> {
    return new Promise((resolve) =>
      this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as AddressInfo).port)),
    );
  }

  close(): Promise<void> {
    this.hangUp();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Every connection breaks; sessions stay. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** To the client that connected last. */
  send(text: string): void {
    this.#write(text);
  }

  /** One stanza more, counted. */
  sendStanza(text: string): void {
    this.#session!.sent = (this.#session!.sent + 1) % 2 ** 32;
    this.#write(text);
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
    socket.setEncoding('utf8');
    const write = (text: string) => void socket.write(text);
    let reader = new XmlReader();
    const login = this.#login(write, () => begin(`<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm ${sm}/>`));
    const begin = (features: string) => {
      reader = new XmlReader();
      reader.on('start', () => write(header(features)));
      reader.on('element', (element: Element) => {
        this.heard.push(element.toString());
        if (element.attrs.xmlns === 'urn:ietf:params:xml:ns:xmpp-sasl') login(element);
        else this.#take(element, write);
      });
    };
    begin(`<mechanisms ${sasl}><mechanism>SCRAM-SHA-1</mechanism></mechanisms>`);
    socket.on('data', (chunk: string) => reader.write(chunk));
  }

  #login(write: (text: string) => void, done: () => void): (element: Element) => void {
    const { proofIn = 'success', password = account.password } = this.#options;
    const mac = (key: Buffer, text: string) => createHmac('sha1', key).update(text).digest();
    const salted = pbkdf2Sync(password, 'salt', 16, 20, 'sha1');
    let [said, proof] = ['', ''];
    const challenge = (text: string) => write(`<challenge ${sasl}>${Buffer.from(text).toString('base64')}</challenge>`);
    const succeed = (text = '') => {
      write(`<success ${sasl}>${Buffer.from(text).toString('base64')}</success>`);
      done();
    };
    return (element) => {
      const text = Buffer.from(element.getText(), 'base64').toString();
      if (element.name === 'auth') {
        const first = text.slice('n,,'.length);
        const question = `r=${first.split('r=')[1]}server,s=${Buffer.from('salt').toString('base64')},i=16`;
        said = `${first},${question}`;
        return challenge(question);
      }
      if (proof !== '')
        return element.getText() === '' ? succeed() : write(`<failure ${sasl}><malformed-request/></failure>`);
      const stored = createHash('sha1').update(mac(salted, 'Client Key')).digest();
      const message = `${said},${text.split(',p=')[0]}`;
      const key = mac(stored, message).map((byte, at) => byte ^ Buffer.from(text.split(',p=')[1]!, 'base64')[at]!);
      if (password === account.password && !createHash('sha1').update(key).digest().equals(stored))
        return write(`<failure ${sasl}><not-authorized/></failure>`);
      proof = `v=${mac(mac(salted, 'Server Key'), message).toString('base64')}`;
      if (proofIn === 'challenge') challenge(proof);
      else succeed(proof);
    };
  }

  #take(element: Element, write: (text: string) => void): void {
    const { name, attrs } = element;
    if (attrs.xmlns === 'urn:xmpp:sm:3') return this.#manage(element, write);
    if (name === 'iq' && element.getChild('bind')) {
      const resource = element.getChild('bind')?.getChildText('resource') ?? randomUUID();
      this.#session = { resource, counted: 0, sent: 0, shown: undefined };
      const jid = `<jid>${account.user}@${account.domain}/${resource}</jid>`;
      return write(
        `<iq type='result' id='${attrs.id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${jid}</bind></iq>`,
      );
    }
    const session = this.#session;
    if (!session) return;
    session.counted = (session.counted + 1) % 2 ** 32;
    if (name === 'presence' && !attrs.to) session.shown = attrs.type === 'unavailable' ? 'unavailable' : 'available';
    if (name === 'iq' && !this.ignores(element)) this.sendStanza(`<iq type='result' id='${attrs.id}'/>`);
    const { refuses } = this;
    if (refuses !== undefined && name === 'message')
      setImmediate(() =>
        this.sendStanza(`<message type='error' from='${attrs.to}' id='${attrs.id}'>${refuses}</message>`),
      );
  }

  #manage(element: Element, write: (text: string) => void): void {
    const { name, attrs } = element;
    if (name === 'enable') {
      const id = randomUUID();
      this.sessions.set(id, this.#session!);
      this.#write = write;
      write(`<enabled ${sm} resume='true' id='${id}'/>`);
    } else if (name === 'resume') {
      const session = this.sessions.get(attrs.previd ?? '');
      if (!session) return write(`<failed ${sm}/>`);
      this.#session = session;
      this.#write = write;
      write(`<resumed ${sm} previd='${attrs.previd}' h='${session.counted}'/>`);
    } else if (name === 'r' && !this.ignores(element)) write(`<a ${sm} h='${this.#session!.counted}'/>`);
  }
}
