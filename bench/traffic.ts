// What is sent in the benchmark, and whether it came: 350-byte chat messages to 1,000 users, in turn. Pure.

export const host = 'example.com';
export const users = 1000;
export const stanzaBytes = 350;

/** A way through which the same messages go: a gateway (`gateway`, `gateway-…`), or a bridge it is measured against. */
export type Side = string;

export function isGateway(side: Side): boolean {
  return side.startsWith('gateway');
}

/** Its address as a component. */
export function domainOf(side: Side): string {
  return `${side}.${host}`;
}

/** Its topics begin with this: two gateways at one broker must not take each other's messages. */
export function rootOf(side: Side): string {
  return isGateway(side) && side !== 'gateway' ? `chat/${side}` : 'chat';
}

/** One round's messages are told from another's by their tag. */
export interface Load {
  tag: string;
  count: number;
  /** Evenly in time; absent: as fast as they are taken. */
  perSecond?: number;
  /** The conversations are those of so many users; absent: each has its own. */
  owners?: number;
  /** So many legacy clients are at the other end; absent: one for each user. */
  friends?: number;
}

export function localOf(user: number): string {
  return `user${String(user).padStart(4, '0')}`;
}

/** The conversation that message `at` belongs to; there are as many as users. */
export function conversationOf(at: number): number {
  return at % users;
}

/** The user whose conversation it is. */
export function userOf(load: Load, at: number): number {
  return conversationOf(at) % (load.owners ?? users);
}

/** The legacy client at the other end. */
export function friendOf(at: number, friends = users): string {
  return `friend${localOf(at % friends).slice(-4)}@${host}`;
}

/** Some of it beyond ASCII, as people write; nothing that XML or JSON has to escape. */
export function bodyOf(at: number): string {
  return `${at}: Grüße aus Köln, wir sehen uns um acht am Bahnhof – 你好 🎉`;
}

/** A stanza of exactly `stanzaBytes`, as a client sends it: a body and the request for a receipt. `more`: of its start tag. */
export function stanzaOf({ tag, at, to, more = '' }: { tag: string; at: number; to: string; more?: string }): string {
  const head = `<message from="${friendOf(at)}/phone" to="${to}" type="chat" id="${tag}-${at}"><body>${bodyOf(at)}`;
  const tail = '</body><request xmlns="urn:xmpp:receipts"/></message>';
  const fill = '.'.repeat(stanzaBytes - Buffer.byteLength(head) - tail.length);
  return `<message${more}${head.slice('<message'.length)}${fill}${tail}`;
}

/** The same the other way: what an app publishes. */
export function payloadOf({ tag, friends }: Load, at: number): string {
  const payload = { id: `${tag}-${at}`, to: friendOf(at, friends), type: 'chat', body: bodyOf(at), wantsReceipt: true };
  const missing = stanzaBytes - Buffer.byteLength(JSON.stringify(payload));
  return JSON.stringify({ ...payload, body: payload.body + '.'.repeat(Math.max(0, missing)) });
}

/** What became of a load. */
export interface Verdict {
  received: number;
  lost: number;
  repeated: number;
  /** Came after a later message of the same conversation. */
  late: number;
  /** The text is not the one that was sent. */
  damaged: number;
  /** When each came (ms, by its number), of a load that is evenly spread. */
  arrivedAt?: number[];
}

/** Takes down what arrives, in the order in which it does. */
export class Check {
  readonly #load: Load;
  readonly #seen: Uint8Array;
  readonly #last = new Int32Array(users).fill(-1);
  readonly #verdict = { received: 0, lost: 0, repeated: 0, late: 0, damaged: 0 };
  readonly #arrivedAt: number[] = [];

  constructor(load: Load) {
    this.#load = load;
    this.#seen = new Uint8Array(load.count);
  }

  /** `now`: when it came (ms). */
  take(id: string, body: string, now: number): void {
    const [tag, number] = id.split('-');
    const at = Number(number);
    if (tag !== this.#load.tag || !(at < this.#load.count)) return;
    if (this.#seen[at]) {
      this.#verdict.repeated += 1;
      return;
    }
    this.#seen[at] = 1;
    this.#arrivedAt[at] = now;
    this.#verdict.received += 1;
    if (this.#last[conversationOf(at)]! > at) this.#verdict.late += 1;
    else this.#last[conversationOf(at)] = at;
    if (body.replace(/\.*$/, '') !== bodyOf(at)) this.#verdict.damaged += 1;
  }

  verdict(): Verdict {
    const lost = this.#load.count - this.#verdict.received;
    return { ...this.#verdict, lost, ...(this.#load.perSecond !== undefined && { arrivedAt: this.#arrivedAt }) };
  }
}
