// The archive's language (XEP-0313 over XEP-0059): one page asked for, and what the answer says. Pure.

import { Element } from 'ltx';
import { NS_DATA_FORMS, NS_MAM, NS_RSM } from './namespaces.ts';
import { childOf } from './stanza.ts';
import { readError } from './stanza-error.ts';

/** A result: its id in the archive, and when it was written there (ms since 1970). */
export interface Place {
  id: string;
  at: number;
}

/** What is asked for: what comes behind an id or a time (ms since 1970), oldest first; or the end, that is, the last message. */
export type Wish = { after: string } | { since: number } | 'end';

export interface ArchiveQuery {
  /** Bare JID: whose archive; it is the sender of the results, so it must be named. */
  user: string;
  queryId: string;
  wish: Wish;
  max: number;
}

export function archiveQuery({ user, queryId, wish, max }: ArchiveQuery): Element {
  const iq = new Element('iq', { type: 'set', to: user });
  const query = iq.c('query', { xmlns: NS_MAM, queryid: queryId });
  if (wish !== 'end' && 'since' in wish) {
    const form = query.c('x', { xmlns: NS_DATA_FORMS, type: 'submit' });
    form.c('field', { var: 'FORM_TYPE', type: 'hidden' }).c('value').t(NS_MAM);
    form.c('field', { var: 'start' }).c('value').t(new Date(wish.since).toISOString());
  }
  const set = query.c('set', { xmlns: NS_RSM });
  set.c('max').t(String(max));
  if (wish === 'end') set.c('before');
  else if ('after' in wish) set.c('after').t(wish.after);
  return iq;
}

/**
 * `unknown`: the archive has no message with the id that was named. `last`: the id of the page's last message, if it has any.
 * `isRefusal`: asking again may not help; else there was no answer, or it says to wait.
 */
export type Page = { kind: 'page'; last?: string; isComplete: boolean } | NoPage;

export interface NoPage {
  kind: 'unknown' | 'failed';
  condition: string;
  isRefusal: boolean;
}

/** Reads the answer; null: there was none. */
export function readPage(answer: Element | null): Page {
  if (answer === null) return { kind: 'failed', condition: 'remote-server-timeout', isRefusal: false };
  if (answer.attrs.type === 'error') {
    const { condition, type } = readError(answer);
    return { kind: condition === 'item-not-found' ? 'unknown' : 'failed', condition, isRefusal: type !== 'wait' };
  }
  const fin = childOf(answer, 'fin', NS_MAM);
  if (!fin) return { kind: 'failed', condition: 'bad-request', isRefusal: true };
  const last = childOf(fin, 'set', NS_RSM)?.getChildText('last') || undefined;
  return { kind: 'page', last, isComplete: fin.attrs.complete === 'true' || last === undefined };
}

/** One query under way, and the results that have come for it. */
export class Reading {
  readonly queryId = crypto.randomUUID();
  readonly wish: Wish;
  /** The last result's. */
  place?: Place;
  /** The first result's time. */
  firstAt?: number;
  /** Resolves once it is known that results are left out. */
  readonly cut: Promise<'cut'>;
  #open = 0;
  #settled: (() => void) | undefined;
  #cut: () => void = () => {};

  constructor(wish: Wish) {
    this.wish = wish;
    this.cut = new Promise((resolve) => {
      this.#cut = () => resolve('cut');
    });
  }

  /** The server says that copies for this user did not fit: results may be among them, and then so is the answer. */
  isCut(): void {
    this.#cut();
  }

  /** A result has come; the answer is to be called once it is on disk. */
  came(place: Place): () => void {
    this.place = place;
    this.firstAt ??= place.at;
    this.#open++;
    return () => {
      this.#open--;
      if (this.#open === 0) this.#settled?.();
    };
  }

  /** Resolves when all that have come are on disk. */
  settled(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settled = resolve;
    });
  }
}
