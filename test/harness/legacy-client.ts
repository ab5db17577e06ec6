// A legacy XMPP client, as users have them: @xmpp/client on a plain TCP stream, with an inbox to wait on.

import type { Socket } from 'node:net';
import type { Element } from 'ltx';
import { Inbox } from './inbox.ts';
import { parseXml } from './xml.ts';

interface XmppEntity {
  start(): Promise<{ toString(): string }>;
  stop(): Promise<void>;
  send(element: Element): Promise<void>;
  on(event: string, listener: (argument: never) => void): void;
  /** Null when the server has closed it. */
  socket: Socket | null;
  /** Null once the stream has ended. */
  parser: { write(text: string): void } | null;
  _onData(data: Buffer): void;
  reconnect: { stop(): void };
  /** For each step of opening the stream, and of closing it. */
  timeout: number;
  iqCaller: { request(element: Element): Promise<Element> };
}
type Authenticate = (credentials: Record<string, string>, mechanism: string) => Promise<void>;
type MakeClient = (options: Record<string, unknown>) => XmppEntity;

export interface LegacyOptions {
  port: number;
  user: string;
  password: string;
  resource?: string;
  /** Of the first presence; null: sends none. Default 0. */
  priority?: number | null;
  carbons?: boolean;
  /** Hears every stanza, besides the inbox. */
  onStanza?: (stanza: Element) => void;
}

export interface LegacyClient {
  readonly jid: string;
  readonly inbox: Inbox;
  /** Sends one stanza, written as XML in the stream's namespace. */
  send(xml: string): Promise<void>;
  /** Sends an iq and resolves with its result; rejects on a stanza error. */
  iq(xml: string): Promise<Element>;
  /** Bodies of the messages that came directly, in order. */
  bodies(): string[];
  message(body: string): Promise<Element>;
  stop(): Promise<void>;
  /** Reads nothing any more, as a client on a dead line. */
  freeze(): void;
  /** Loses the connection without a word; the server may keep the session for a resumption (XEP-0198). */
  drop(): void;
}

/** Logs in and resolves when the session is bound, and its first presence, if any, is processed by the server. */
export async function legacyClient(options: LegacyOptions): Promise<LegacyClient> {
  const { client } = (await import('@xmpp/client' as string)) as { client: MakeClient };
  const { port, user, password, resource, priority = 0, carbons = false, onStanza } = options;
  // PLAIN: the library's SCRAM takes half a second of this process.
  const credentials = (authenticate: Authenticate) => authenticate({ username: user, password }, 'PLAIN');
  const settings = { service: `xmpp://127.0.0.1:${port}`, domain: 'example.com', username: user, credentials };
  const xmpp = client(resource === undefined ? settings : { ...settings, resource });
  const inbox = new Inbox();
  xmpp.reconnect.stop();
  // What comes behind the end of the stream the library gives to a parser that is gone: it throws past everybody, and the test run fails.
  const read = xmpp._onData;
  xmpp._onData = (data) => {
    if (xmpp.parser) read.call(xmpp, data);
  };
  xmpp.on('error', () => {}); // an ended stream shows in what the test waits for
  xmpp.on('stanza', (stanza: Element) => {
    inbox.add(stanza);
    onStanza?.(stanza);
  });
  const managed = new Promise<void>((resolve) => {
    xmpp.on('element', (element: Element) => element.name === 'enabled' && resolve());
  });
  const { timeout } = xmpp;
  xmpp.timeout = 10_000; // its own 2 s are short for a login where other tests run beside
  const jid = String(await xmpp.start());
  xmpp.timeout = timeout;
  await managed; // a presence sent before it confuses the counters of XEP-0198
  await new Promise((resolve) => setImmediate(resolve));

  const legacy: LegacyClient = {
    jid,
    inbox,
    send: (xml) => xmpp.send(parseXml(xml)),
    iq: (xml) => xmpp.iqCaller.request(parseXml(xml)),
    bodies: () => inbox.all.flatMap((stanza) => (stanza.name === 'message' ? (stanza.getChildText('body') ?? []) : [])),
    message: (body) => inbox.first(`message ${body}`, (s) => s.name === 'message' && s.getChildText('body') === body),
    stop: () => xmpp.stop(),
    freeze: () => void xmpp.socket?.pause(),
    drop: () => void xmpp.socket?.destroy(),
  };
  if (carbons) await legacy.iq(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  if (priority !== null) {
    await legacy.send(`<presence><priority>${priority}</priority></presence>`);
    await inbox.first('the reflected presence', (s) => s.name === 'presence' && s.attrs.from === jid);
  }
  return legacy;
}
