// The archive of a user, played: it answers queries by RSM as Prosody's mod_mam does (XEP-0313, XEP-0059).

import type { Element } from 'ltx';
import { NS_DATA_FORMS, NS_MAM, NS_RSM } from '../../src/xmpp/namespaces.ts';
import { bob, type CoreStage, session } from './core-stage.ts';

export interface Archived {
  id: string;
  at: number;
  /** The message's text, its root stating jabber:client. */
  message: string;
}

export class PlayedArchive {
  readonly items: Archived[] = [];
  /** How often it was asked, and for what. */
  readonly asked: string[] = [];
  /** Answers a query in its place. */
  refuse: ((query: Element) => string | null) | undefined;
  errorType = 'cancel';
  /** No answer at all. */
  isMute = false;
  /** So many stanzas of an answer find room in the server's queue; the rest is left out, and the server says so. */
  room = Number.POSITIVE_INFINITY;

  add(id: string, at: number, message: string): Archived {
    const item = { id, at, message };
    this.items.push(item);
    return item;
  }

  /** An onSend for the stage. */
  hear(stanza: Element, stage: CoreStage): void {
    const query = stanza.getChild('query', NS_MAM);
    if (stanza.name !== 'iq' || !query || this.isMute) return;
    void this.#answer(stanza, query, stage);
  }

  /** As Prosody sends it: the own account needs no `from`. */
  static result(queryId: string | undefined, { id, at, message }: Archived, from?: string): string {
    const delay = `<delay xmlns='urn:xmpp:delay' stamp='${new Date(at).toISOString()}'/>`;
    const sender = from ? ` from='${from}'` : '';
    return `<message${sender} to='${session}'><result xmlns='${NS_MAM}' queryid='${queryId}' id='${id}'><forwarded xmlns='urn:xmpp:forward:0'>${delay}${message}</forwarded></result></message>`;
  }

  async #answer(stanza: Element, query: Element, stage: CoreStage): Promise<void> {
    const set = query.getChild('set', NS_RSM);
    const start = query
      .getChild('x', NS_DATA_FORMS)
      ?.getChildElements()
      .find(({ attrs }) => attrs.var === 'start')
      ?.getChildText('value');
    const after = set?.getChildText('after') ?? undefined;
    const max = Number(set?.getChildText('max'));
    this.asked.push(after ?? start ?? 'end');
    const reply = (type: string, inside: string) =>
      stage.arrives(`<iq type='${type}' id='${stanza.attrs.id}' from='${bob}' to='${session}'>${inside}</iq>`);
    const condition =
      this.refuse?.(query) ?? (after && !this.items.some(({ id }) => id === after) ? 'item-not-found' : null);
    if (condition) {
      await reply(
        'error',
        `<error type='${this.errorType}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
      );
      return;
    }
    const behind = this.items
      .slice(after ? this.items.findIndex(({ id }) => id === after) + 1 : 0)
      .filter(({ at }) => !start || at >= Date.parse(start));
    const page = after || start ? behind.slice(0, max) : behind.slice(-max);
    const complete = page.length === behind.length ? " complete='true'" : '';
    // Not awaited: results and answer come in one go.
    for (const item of page.slice(0, this.room)) void stage.arrives(PlayedArchive.result(query.attrs.queryid, item));
    if (page.length >= this.room) return void stage.core.missed(bob, () => {});
    const last = page.at(-1) ? `<last>${page.at(-1)?.id}</last>` : '';
    await reply('result', `<fin xmlns='${NS_MAM}'${complete}><set xmlns='${NS_RSM}'>${last}</set></fin>`);
  }
}
