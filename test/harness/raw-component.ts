// A component on a bare TCP socket (XEP-0114) that speaks the attach protocol word by word, for tests of the server module.

import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Element } from 'ltx';
import { Inbox } from './inbox.ts';
import { escapeXml, readStream } from './xml.ts';

export const NS = 'urn:crossfade:attach:1';

export interface RawComponentOptions {
  port: number;
  domain: string;
  secret: string;
  /** Resolves when what is on its way inside the server has arrived; before each fence. */
  settle?: () => Promise<void>;
}

/** One numbered `<d/>`: `stanza` is missing where the server has taken it back, or left copies out (`missed`). */
export interface Delivered {
  epoch: string;
  n: number;
  to: string;
  seen: boolean;
  /** Set on an observer's copies. */
  dir: string | undefined;
  missed: boolean;
  /** The archive's id, where it does not stand in the stanza. */
  sid: string | undefined;
  stanza: Element | undefined;
}

/** The children of an iq's answer; `condition` and `type` are set when it is an error. */
export interface Answer {
  children: Element[];
  condition: string | undefined;
  type: string | undefined;
  text: string | undefined;
}

export class RawComponent {
  /** Everything but the answers to iqs. */
  readonly inbox = new Inbox();
  /** Every `<d/>` in the order of arrival. */
  readonly delivered: Delivered[] = [];
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  private ids = 0;
  private readonly asked = new Map<string, (answer: Element) => void>();
  private readonly socket: Socket;
  private readonly domain: string;
  private readonly settle: (() => Promise<void>) | undefined;

  private constructor(socket: Socket, domain: string, settle: (() => Promise<void>) | undefined) {
    this.socket = socket;
    this.settle = settle;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    this.domain = domain;
  }

  /** Resolves after the handshake; rejects if the server refuses it. */
  static async open({ port, domain, secret, settle }: RawComponentOptions): Promise<RawComponent> {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    const component = new RawComponent(socket, domain, settle);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const reader = readStream(
      (stanza) => {
        if (stanza.name === 'handshake') resolve();
        else component.take(stanza);
      },
      ({ id }) => {
        const hash = createHash('sha1').update(`${id}${secret}`).digest('hex');
        socket.write(`<handshake>${hash}</handshake>`);
      },
    );
    socket.on('data', (text) => reader.write(String(text)));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the component stream')));
    socket.write(
      `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
    );
    await promise;
    return component;
  }

  private take(stanza: Element): void {
    const d = stanza.name === 'message' ? stanza.getChild('d') : undefined;
    if (d?.attrs.xmlns === NS) {
      const { epoch, n, to, seen, dir, missed, sid } = d.attrs;
      const inner = d.getChildElements();
      if (inner.length > 1) throw new Error(`more than one stanza in ${d}`);
      const flags = { seen: seen === '1', dir, missed: missed === '1', sid };
      this.delivered.push({ epoch: epoch!, n: Number(n), to: to!, ...flags, stanza: inner[0] });
    }
    if (stanza.name === 'iq') this.asked.get(stanza.attrs.id!)?.(stanza);
    else this.inbox.add(stanza);
  }

  write(text: string): void {
    this.socket.write(text);
  }

  /** Writes an iq with this id as it is, and resolves with its answer. */
  answerTo(id: string, text: string): Promise<Element> {
    const { promise, resolve } = Promise.withResolvers<Element>();
    this.asked.set(id, (answer) => {
      this.asked.delete(id);
      resolve(answer);
    });
    this.write(text);
    return promise;
  }

  /** Sends one iq of the given type with this content and resolves with its answer, error or not. */
  async iq(content: string, type = 'set'): Promise<Answer> {
    this.ids += 1;
    const id = `q${this.ids}`;
    const text = `<iq type='${type}' to='example.com' from='${this.domain}' id='${id}'>${content}</iq>`;
    const answer = await this.answerTo(id, text);
    const error = answer.attrs.type === 'error' ? answer.getChild('error') : undefined;
    return {
      children: answer.getChildElements(),
      type: error?.attrs.type,
      condition: error?.getChildElements().find((child) => child.name !== 'text')?.name,
      text: error
        ?.getChildElements()
        .find((child) => child.name === 'text')
        ?.getText(),
    };
  }

  /** The same, expecting a result; resolves with its only child, or undefined if it is empty. */
  async ask(content: string): Promise<Element | undefined> {
    const answer = await this.iq(content);
    if (answer.condition) throw new Error(`${answer.condition}: ${answer.text} (to ${content})`);
    return answer.children[0];
  }

  async hello(epoch?: string, h?: number): Promise<{ epoch: string; h: number; sessions: number; queue: number }> {
    const resume = epoch === undefined ? '' : ` epoch='${epoch}' h='${h}'`;
    const welcome = await this.ask(`<hello xmlns='${NS}' v='1'${resume}/>`);
    const { attrs } = welcome!;
    return { epoch: attrs.epoch!, h: Number(attrs.h), sessions: Number(attrs.sessions), queue: Number(attrs.queue) };
  }

  /** Attaches one session; resolves with `<attached/>` or `<refused/>`. */
  async attach(user: string, { resource = 'mqtt', carbons = true, presence = '' } = {}): Promise<Element> {
    const answer = await this.ask(
      `<attach xmlns='${NS}' user='${escapeXml(user)}' resource='${escapeXml(resource)}'${carbons ? " carbons='1'" : ''}>${presence}</attach>`,
    );
    return answer!;
  }

  /** Sends one stanza, given in the client namespace's short form, as the attached session `from`. */
  send(from: string, key: string, stanza: string): Promise<Answer> {
    return this.iq(`<send xmlns='${NS}' from='${escapeXml(from)}' key='${key}'>${inClientNamespace(stanza)}</send>`);
  }

  giveBack(to: string, key: string, stamp: string, stanza: string): Promise<Answer> {
    return this.iq(
      `<return xmlns='${NS}' to='${to}' key='${key}' stamp='${stamp}'>${inClientNamespace(stanza)}</return>`,
    );
  }

  ack(epoch: string, h: number): Promise<Answer> {
    return this.iq(`<a xmlns='${NS}' epoch='${epoch}' h='${h}'/>`);
  }

  detach(jid: string): Promise<Answer> {
    return this.iq(`<detach xmlns='${NS}' jid='${escapeXml(jid)}'/>`);
  }

  observe(user: string): Promise<Answer> {
    return this.iq(`<observe xmlns='${NS}' user='${escapeXml(user)}'/>`);
  }

  unobserve(user: string): Promise<Answer> {
    return this.iq(`<unobserve xmlns='${NS}' user='${escapeXml(user)}'/>`);
  }

  lock(user: string, text: string, kick = false): Promise<Answer> {
    const attributes = `user='${escapeXml(user)}'${kick ? " kick='1'" : ''}`;
    return this.iq(`<lock xmlns='${NS}' ${attributes}>${escapeXml(text)}</lock>`);
  }

  unlock(user: string): Promise<Answer> {
    return this.iq(`<unlock xmlns='${NS}' user='${escapeXml(user)}'/>`);
  }

  /** Resolves when everything the server has sent us so far is here. */
  async fence(): Promise<void> {
    await this.settle?.();
    await this.iq(`<ping xmlns='urn:xmpp:ping'/>`, 'get');
  }

  /** The bodies of the chat messages delivered to `jid`, in order. */
  bodies(jid: string): string[] {
    return this.delivered.flatMap(({ to, stanza }) => {
      const body = to === jid && stanza?.name === 'message' ? stanza.getChildText('body') : null;
      return body === null ? [] : [body];
    });
  }

  /** The observer's copies of chat messages for `jid`, in order: each the way it went and its body. Not what errors quote. */
  copies(jid: string): string[] {
    return this.delivered.flatMap(({ to, dir, stanza }) => {
      const isOurs = to === jid && dir !== undefined && stanza?.attrs.type !== 'error';
      const body = isOurs ? stanza?.getChildText('body') : undefined;
      return body ? [`${dir} ${body}`] : [];
    });
  }

  /** Resolves with the delivery of the message with this body. */
  deliveryOf(body: string): Promise<Delivered> {
    return this.inbox.until(`the delivery of ${body}`, () =>
      this.delivered.find(({ stanza }) => stanza?.getChildText('body') === body),
    );
  }

  /** Drops the connection as a killed process does. */
  async kill(): Promise<void> {
    this.socket.resetAndDestroy();
    await this.closed;
  }
}

/** The ids that the archive of `by` is said to have given a stanza, the last by the server itself. */
export function archiveIds({ sid, stanza }: Delivered, by: string): string[] {
  const inside = (stanza?.getChildElements() ?? []).flatMap(({ name, attrs }) =>
    name === 'stanza-id' && attrs.xmlns === 'urn:xmpp:sid:0' && attrs.by === by ? [attrs.id!] : [],
  );
  return sid === undefined ? inside : [...inside, sid];
}

/** The stanza with its namespace spelt out, as it must be inside a request. */
export function inClientNamespace(stanza: string): string {
  if (/^<[a-z]+[^>]*\sxmlns=/.test(stanza)) return stanza;
  return stanza.replace(/^<([a-z]+)/, `<$1 xmlns='jabber:client'`);
}

export const AVAILABLE = `<presence xmlns='jabber:client'><priority>0</priority></presence>`;
