// A legacy client on slixmpp, the third party's word on what people with other software see: says things, and tells what it heard.

import type { Element } from 'ltx';
import { Happenings } from './happenings.ts';
import { Puppet } from './puppet.ts';
import { parseXml } from './xml.ts';

export interface Heard {
  from: string;
  to: string;
  id: string;
  type: string;
  body: string;
  /** XEP-0203 stamp, ms since 1970. */
  delay: number | null;
  xml: Element;
}

export interface Seen {
  from: string;
  type: string;
  show: string;
}

export interface ContactOptions {
  jid: string;
  password: string;
  port: number;
  /** Of the first presence; null: none is sent. Default 0. */
  priority?: number | null;
  /** XEP-0280. Default false. */
  carbons?: boolean;
  /** XEP-0198. Default false. */
  managed?: boolean;
}

const carbonsNs = 'urn:xmpp:carbons:2';

export class Contact {
  readonly jid: string;
  readonly messages = new Happenings<Heard>();
  readonly presences = new Happenings<Seen>();
  readonly #answers = new Happenings<Element>();
  readonly #puppet: Puppet;
  #ids = 0;

  constructor(jid: string, puppet: Puppet) {
    this.jid = jid;
    this.#puppet = puppet;
    puppet.onEvent = (event) => {
      if (event.event === 'presence') this.presences.add(event as unknown as Seen);
      else if (event.event === 'iq') this.#answers.add(parseXml(String(event.xml)));
      else if (event.event === 'message') {
        const { delay, xml, ...rest } = event as unknown as Record<'delay' | 'xml', string> &
          Omit<Heard, 'delay' | 'xml'>;
        this.messages.add({ ...rest, delay: delay ? Date.parse(delay) : null, xml: parseXml(xml) });
      }
    };
  }

  /** It stands still, and its connection stays; until `resume`. */
  pause(): void {
    this.#puppet.pause();
  }

  resume(): void {
    this.#puppet.resume();
  }

  say(to: string, body: string, id?: string): void {
    this.#puppet.tell({ do: 'send', to, body, id: id ?? `${this.jid}-${++this.#ids}` });
  }

  /** Sends what is written, unchecked. */
  send(xml: string): void {
    this.#puppet.tell({ do: 'raw', xml });
  }

  /** Asks; resolves with the answer, a result or an error. */
  async iq(to: string, type: 'get' | 'set', payload: string): Promise<Element> {
    const id = `iq-${++this.#ids}`;
    this.send(`<iq type='${type}' to='${to}' id='${id}'>${payload}</iq>`);
    return await this.#answers.until((answers) => answers.find(({ attrs }) => attrs.id === id), `the answer to ${id}`);
  }

  /** The first message with this body, or for which the test holds. */
  async hears(what: string | ((message: Heard) => boolean), timeoutMs?: number): Promise<Heard> {
    const fits = typeof what === 'string' ? ({ body }: Heard) => body === what : what;
    const name = typeof what === 'string' ? `"${what}"` : String(what);
    return await this.messages.until((all) => all.find(fits), `${name} at ${this.jid}`, timeoutMs);
  }

  /** The bodies it has heard, in order: all, or those of one bare JID. */
  bodies(from?: string): string[] {
    const isFrom = (message: Heard) => from === undefined || message.from.split('/')[0] === from;
    return this.messages.items.filter((message) => message.body !== '' && isFrom(message)).map(({ body }) => body);
  }

  /** The bodies of the carbons it was sent (XEP-0280), in order, each behind `>` (it was sent) or `<` (it was received). */
  carbons(): string[] {
    return this.messages.items.flatMap(({ xml }) => {
      const carbon = xml.getChild('sent', carbonsNs) ?? xml.getChild('received', carbonsNs);
      const inner = carbon?.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message');
      const body = inner?.getChildText('body');
      return body ? [`${carbon?.name === 'sent' ? '>' : '<'}${body}`] : [];
    });
  }

  /** Resolves once this resource shows itself like that, after the first `from` presences. */
  async sees(wanted: Seen, from = 0): Promise<void> {
    const fits = ({ from, type, show }: Seen) => from === wanted.from && type === wanted.type && show === wanted.show;
    await this.presences.until((all) => all.slice(from).find(fits), `${JSON.stringify(wanted)} at ${this.jid}`);
  }

  /** Resolves when the server has ended its stream with an error. */
  async isEnded(): Promise<{ condition: string; text: string }> {
    const { condition, text } = await this.#puppet.first('stream-error');
    return { condition: String(condition), text: String(text) };
  }

  async leave(): Promise<void> {
    await this.#puppet.quit();
  }
}

/** Logs in; resolves when the server has processed its first presence. */
export async function contact(options: ContactOptions): Promise<Contact> {
  const { jid, password, port, priority = 0, carbons = false, managed = false } = options;
  const extras = [...(carbons ? ['carbons'] : []), ...(managed ? ['sm'] : [])];
  const puppet = new Puppet('slixmpp_client.py', [jid, password, String(port), ...extras]);
  const contact = new Contact(jid.split('/')[0]!, puppet);
  const full = String((await puppet.first('online')).jid);
  if (priority !== null) {
    puppet.tell({ do: 'presence', priority });
    await contact.presences.until((all) => all.find(({ from }) => from === full), `the reflected presence of ${jid}`);
  }
  return contact;
}
