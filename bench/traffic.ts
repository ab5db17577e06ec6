// What is sent in the benchmark, and whether it came: 350-byte chat messages to 1,000 users, in turn. Pure.

export const host = 'example.com';
export const users = 1000;
export const stanzaBytes = 350;

/** Ways through which the same messages go: the gateway, and the bridge it is measured against. */
export type Side = 'gateway' | 'bridge';
export const domains: Record<Side, string> = { gateway: 'gw.example.com', bridge: 'bridge.example.com' };

/** One round's messages are told from another's by their tag. */
export interface Load {
  tag: string;
  count: number;
}

export function localOf(user: number): string {
  return `user${String(user).padStart(4, '0')}`;
}

/** Message `at` goes to this user. */
export function userOf(at: number): number {
  return at % users;
}

/** Some of it beyond ASCII, as people write; nothing that XML or JSON has to escape. */
export function bodyOf(at: number): string {
  return `${at}: Grüße aus Köln, wir sehen uns um acht am Bahnhof – 你好 🎉`;
}

/** A stanza of exactly `stanzaBytes`, as a client sends it: a body and the request for a receipt. `more`: of its start tag. */
export function stanzaOf({ tag, at, to, more = '' }: { tag: string; at: number; to: string; more?: string }): string {
  const friend = `friend${localOf(userOf(at)).slice(-4)}@${host}/phone`;
  const head = `<message from="${friend}" to="${to}" type="chat" id="${tag}-${at}"><body>${bodyOf(at)}`;
  const tail = '</body><request xmlns="urn:xmpp:receipts"/></message>';
  const fill = '.'.repeat(stanzaBytes - Buffer.byteLength(head) - tail.length);
  return `<message${more}${head.slice('<message'.length)}${fill}${tail}`;
}

/** The same the other way: what an app publishes. */
export function payloadOf(tag: string, at: number): string {
  const to = `friend${localOf(userOf(at)).slice(-4)}@${host}`;
  const payload = { id: `${tag}-${at}`, to, type: 'chat', body: bodyOf(at), wantsReceipt: true };
  const missing = stanzaBytes - Buffer.byteLength(JSON.stringify(payload));
  return JSON.stringify({ ...payload, body: payload.body + '.'.repeat(Math.max(0, missing)) });
}

/** What became of a load. */
export interface Verdict {
  received: number;
  lost: number;
  repeated: number;
  /** Came after a later message of the same user. */
  late: number;
  /** The text is not the one that was sent. */
  damaged: number;
}

/** Takes down what arrives, in the order in which it does. */
export class Check {
  readonly #load: Load;
  readonly #seen: Uint8Array;
  readonly #last = new Int32Array(users).fill(-1);
  readonly #verdict: Verdict = { received: 0, lost: 0, repeated: 0, late: 0, damaged: 0 };

  constructor(load: Load) {
    this.#load = load;
    this.#seen = new Uint8Array(load.count);
  }

  take(id: string, body: string): void {
    const [tag, number] = id.split('-');
    const at = Number(number);
    if (tag !== this.#load.tag || !(at < this.#load.count)) return;
    if (this.#seen[at]) {
      this.#verdict.repeated += 1;
      return;
    }
    this.#seen[at] = 1;
    this.#verdict.received += 1;
    if (this.#last[userOf(at)]! > at) this.#verdict.late += 1;
    else this.#last[userOf(at)] = at;
    if (body.replace(/\.*$/, '') !== bodyOf(at)) this.#verdict.damaged += 1;
  }

  verdict(): Verdict {
    return { ...this.#verdict, lost: this.#load.count - this.#verdict.received };
  }
}
