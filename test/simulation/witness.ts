// Writes down what every party sent and saw, as nobody inside the system can.

import type { World } from './world.ts';

/** `refused`: by a broker that gives reasons. */
export type Poison = 'refused' | 'deadly';

/** One chat message; its body is its name, and no other has it. */
export interface Message {
  name: string;
  /** Full JID. */
  from: string;
  /** Bare JID. */
  to: string;
  id?: string;
  /** Its place among all this sender sent to this receiver. */
  n: number;
  /** What becomes of it on the way out of the gateway: the broker refuses it for good, or whoever gets it ends the connection. */
  poison?: Poison;
  /** The server has it: it came from a legacy client, or from an app and was sent on. */
  accepted: boolean;
}

/** What one place (a legacy client, a device) saw, in order. */
export interface Sight {
  name: string;
  /** Apps only: the ledger's key. */
  key?: string;
  at: number;
}

export class Witness {
  readonly messages = new Map<string, Message>();
  /** By place: `bob@example.com` for a legacy client, `bob@example.com/phone1` for a device. */
  readonly sights = new Map<string, Sight[]>();
  /** Messages of which the server gave copies to the legacy client and to the attached session. */
  readonly toBoth = new Set<string>();
  /** Messages that left the gateway's or the link's custody and may come to somebody else: how often. */
  readonly handedBack = new Map<string, number>();
  /** Of those, the ones the server took out of its queue without the gateway's having asked for it. */
  readonly rerouted = new Map<string, number>();
  /** Messages that lay in offline storage or were handed back: they come late. */
  readonly stored = new Set<string>();
  /** When the broker first took what stands under a key. */
  readonly published = new Map<string, number>();
  /** When a device's session with the broker began: what was published before is not promised to it. */
  readonly subscribed = new Map<string, number>();
  /** What came to the gateway while its user's apps were served: epoch and number. */
  readonly served = new Set<string>();
  /** By user: messages that came to the gateway while the user's apps were served, and have not been rolled back since. */
  readonly expected = new Map<string, Set<string>>();
  /** By user: messages in the user's archive that the apps are to get. */
  readonly promised = new Map<string, Set<string>>();
  /** Messages an archive result of which came to the gateway: they come late. When the first did. */
  readonly fromArchive = new Map<string, number>();
  /** Messages for the attached session alone that died with the server. */
  readonly lost = new Set<string>();
  /** Of those, the ones that are nowhere else. */
  untold: { user: string; name: string; at: number }[] = [];
  /** Times of which the gateway says that messages may be missing. */
  readonly gaps: { user: string; from: number; to: number }[] = [];
  /** Messages that did not fit into the server's queue and lie in offline storage. */
  readonly overflowed = new Set<string>();
  /** Messages the gateway returned, and the keys of their entries. */
  readonly returned = new Set<string>();
  readonly returnedKeys = new Set<string>();
  /** Under which key each of them was returned last. */
  readonly lastReturned = new Map<string, string>();
  /** Keys of entries that an operator wanted to be handed back, and the names of those that were. */
  readonly byHand = new Set<string>();
  /** Numbers of the entries towards XMPP that the server has processed. */
  readonly processed = new Set<number>();
  readonly #world: World;
  readonly #counters = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Names a new message. */
  compose(from: string, to: string, id: 'own' | 'none', poison?: Poison): Message {
    const sender = from.slice(0, from.indexOf('@'));
    const receiver = to.slice(0, to.indexOf('@'));
    const pair = `${from}>${to}`;
    const n = (this.#counters.get(pair) ?? 0) + 1;
    this.#counters.set(pair, n);
    const device = from.includes('/phone') ? from.slice(from.indexOf('/phone') + 1) : '';
    const name = `${sender}${device && `.${device}`}>${receiver}#${n}`;
    const message: Message = { name, from, to, id: id === 'own' ? name : undefined, n, poison, accepted: false };
    this.messages.set(name, message);
    return message;
  }

  expect(user: string, name: string): void {
    addTo(this.expected, user, name);
  }

  promise(user: string, name: string): void {
    addTo(this.promised, user, name);
  }

  /** The user's apps are not served any more: nothing of before is promised to them. */
  forget(user: string): void {
    this.expected.delete(user);
    this.promised.delete(user);
    this.untold = this.untold.filter((one) => one.user !== user);
  }

  saw(place: string, name: string, key?: string): void {
    const sight: Sight = { name, key, at: this.#world.now };
    const seen = this.sights.get(place);
    if (seen) seen.push(sight);
    else this.sights.set(place, [sight]);
  }

  at(place: string): readonly Sight[] {
    return this.sights.get(place) ?? [];
  }

  countHandedBack(name: string, unasked: boolean): void {
    this.stored.add(name);
    this.handedBack.set(name, (this.handedBack.get(name) ?? 0) + 1);
    if (unasked) this.rerouted.set(name, (this.rerouted.get(name) ?? 0) + 1);
    this.#world.say('server', () => `takes ${name} back`);
  }
}

function addTo(sets: Map<string, Set<string>>, user: string, name: string): void {
  const names = sets.get(user);
  if (names) names.add(name);
  else sets.set(user, new Set([name]));
}
