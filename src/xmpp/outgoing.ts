// What a client session sends: numbered (XEP-0198), each key on disk before its stanza is written, answered when the server has counted it.

import { NS_SM } from './namespaces.ts';
import type { SendResult } from './session.ts';
import type { SessionMemory } from './session-memory.ts';
import { refusalOf, type StanzaError } from './stanza-error.ts';
import { tag } from './xml-writer.ts';

export interface OutgoingParts {
  link: string;
  memory: Pick<SessionMemory, 'placed' | 'resolved' | 'forgotten'>;
  write: (text: string) => void;
  /** Calls back when all has come that the server had to say about what it has counted. */
  confirm: (done: () => void) => void;
}

interface Item {
  n: number;
  key: string;
  /**
   * An error stanza with the key as id is the answer to it. A server may count it before it sends that (XEP-0198 puts
   * nothing in their order), so to be counted is no answer yet.
   */
  isReturn: boolean;
  done: (result: SendResult) => void;
}

const askForAck = tag('r', { xmlns: NS_SM });

export class Outgoing {
  readonly #parts: OutgoingParts;
  #n = 0;
  /** Written or to be written, and not counted by the server. */
  #items: Item[] = [];
  /** Counted, and perhaps refused yet. */
  readonly #returns = new Set<Item>();
  /** In order; what is not on disk yet holds back what is behind it. */
  #queue: { n: number; text: string; isReady: boolean }[] = [];
  /** The last that was written. */
  #written = 0;
  /** Keys that the server has processed in a connection before. */
  #processed = new Set<string>();
  #placing: Promise<void> = Promise.resolve();
  /** What was written when an ack was last asked for; null: the answer has come. */
  #askedAt: number | null = null;

  constructor(parts: OutgoingParts) {
    this.#parts = parts;
  }

  /** The number of the last stanza that was written. */
  get written(): number {
    return this.#written;
  }

  /** A connection begins; in the one before the server had counted up to h. Resolves when it is known what that was. */
  async begin(h: number): Promise<void> {
    this.#n = this.#written = h;
    const keys = await this.#parts.memory.resolved(this.#parts.link, h);
    this.#processed = new Set(keys);
  }

  /**
   * A key that was processed is answered, and not sent again; but not one that is handed back. Counted is not taken there: the error
   * may come behind the count, in another connection, even to a process that is gone. To hand back again may repeat a message, to
   * believe the count may lose it; and ids that were refused, remembered in the session, would not outlive the process.
   */
  send(text: string, key: string, isReturn = false): Promise<SendResult> {
    if (this.#processed.delete(key) && !isReturn) {
      this.#forgetSoon([key]);
      return Promise.resolve({ kind: 'processed' });
    }
    const n = this.#place(text, key);
    return new Promise((done) => this.#items.push({ n, key, isReturn, done }));
  }

  /** Sends what nobody waits for. */
  tell(text: string): void {
    this.#queue.push({ n: ++this.#n, text, isReady: true });
    this.#flush();
  }

  /** The same, with a key that stays on disk until it is forgotten: the next connection knows by it whether the server has processed this. */
  note(text: string, key: string): void {
    this.#place(text, key);
  }

  /** Whether the server has processed what has this key in a connection before. */
  has(key: string): boolean {
    return this.#processed.has(key);
  }

  forget(key: string): void {
    this.#processed.delete(key);
    this.#parts.memory.forgotten(this.#parts.link, [key]);
  }

  /** Resolves, with the number of the last stanza until now, once that is written. */
  settled(): Promise<number> {
    const n = this.#n;
    return this.#placing.then(() => n);
  }

  /**
   * False, and nothing is answered, where the server counts more than it was sent (XEP-0198 §4): it cannot be believed. Below 0 is
   * what it would reach on the wire only far beyond that.
   */
  acknowledged(h: number): boolean {
    if (h > this.#written || h < 0) return false;
    const at = this.#items.findIndex(({ n }) => n > h);
    const items = this.#items.splice(0, at < 0 ? this.#items.length : at);
    const returns = items.filter(({ isReturn }) => isReturn);
    this.#processedAll(items.filter(({ isReturn }) => !isReturn));
    if (returns.length > 0) this.#confirm(returns);
    const before = this.#askedAt;
    this.#askedAt = null;
    if (before !== null && before < this.#written && this.#items.length > 0) this.#ask();
    return true;
  }

  /** True if an error with this id answers something that was handed back: the server does not take it. */
  refused(id: string, error: StanzaError): boolean {
    const item = [...this.#returns, ...this.#items].find(({ key, isReturn }) => isReturn && key === id);
    item?.done(refusalOf(error));
    return item !== undefined;
  }

  /** The connection is gone. */
  lost(): void {
    this.#queue = [];
    for (const { done } of [...this.#returns, ...this.#items.splice(0)]) done({ kind: 'lost' });
    this.#returns.clear();
  }

  /** In line, with its number; it goes out when its key is on disk. */
  #place(text: string, key: string): number {
    const n = ++this.#n;
    const entry = { n, text, isReady: false };
    this.#queue.push(entry);
    const ready = () => {
      entry.isReady = true;
      this.#flush();
    };
    // A ledger that is closed: it is not sent, and lost with the connection.
    this.#placing = this.#parts.memory.placed(this.#parts.link, key, n).then(ready, () => {});
    return n;
  }

  #confirm(returns: Item[]): void {
    for (const item of returns) this.#returns.add(item);
    this.#parts.confirm(() => {
      for (const item of returns) this.#returns.delete(item);
      this.#processedAll(returns);
    });
  }

  /** One that was refused has its answer already. */
  #processedAll(items: Item[]): void {
    for (const { done } of items) done({ kind: 'processed' });
    if (items.length > 0) this.#forgetSoon(items.map(({ key }) => key));
  }

  #flush(): void {
    let text = '';
    for (let next = this.#queue[0]; next?.isReady; next = this.#queue[0]) {
      text += next.text;
      this.#written = next.n;
      this.#queue.shift();
    }
    if (text === '') return;
    this.#parts.write(text);
    if (this.#askedAt === null && this.#items.length > 0) this.#ask();
  }

  #ask(): void {
    this.#askedAt = this.#written;
    this.#parts.write(askForAck);
  }

  /** After those who were answered have told the ledger. */
  #forgetSoon(keys: string[]): void {
    setImmediate(() => this.#parts.memory.forgotten(this.#parts.link, keys));
  }
}
