// What an operator does to single entries: try again, hand back, discard. Nothing of the conversation goes out meanwhile.

import type { Clock } from '../clock.ts';
import type { AuditNote, EntryView, Ledger, Retried, State, TakenOut } from '../ledger/ledger.ts';
import type { LegacyServer } from '../migration/server.ts';
import type { User, Users } from '../migration/users.ts';
import type { AppNotices } from './app-notices.ts';
import type { Deliver } from './deliver.ts';

export type Act = 'retry' | 'return' | 'discard';

/** An operator's word about one entry. */
export interface Order {
  act: Act;
  key: string;
  /** Mandatory for `discard`. */
  reason?: string;
  who: string;
}

/** `state`: as it is now; absent where there is no such entry. `text`: why not. */
export interface Done {
  key: string;
  done: boolean;
  user?: string;
  state?: State;
  text?: string;
}

export interface ByHandParts {
  ledger: Ledger;
  users: Users;
  server: LegacyServer;
  deliver: Deliver;
  notices: AppNotices;
  /** Something is being done about this user on the legacy server. */
  isWorkedOn: (user: User) => boolean;
  clock: Clock;
}

const whyNotTaken: Record<Exclude<TakenOut['kind'], 'taken'>, string> = {
  absent: 'it has been forgotten',
  'not-so': 'it has ended, or goes towards XMPP: there is nothing to hand back',
  copy: 'somebody else has it, too (custody copy): the legacy side does not miss it',
  'no-body': 'it was refused as it came, so there is no body to hand back',
  'with-broker': 'the broker has it for the app; moving the user back to legacy hands back such entries',
  'app-has': 'the app has acknowledged it',
};
const whyNotRetried: Record<Exclude<Retried, 'done'>, string> = {
  absent: 'it has been forgotten',
  'not-so': 'it is neither parked nor dead',
  'no-body': 'it was refused as it came, so there is no body to send',
  returning: 'it is being handed back, and the legacy side may have it: return it again, or discard it',
  repeated: 'the app has sent the same id again, and that entry stands for it',
};

/** An entry that is out has so long to be answered. */
const patienceMs = 3_000;
const isOut = 'an entry of this conversation is on its way and not answered yet; try again';

export class ByHand {
  readonly #parts: ByHandParts;

  constructor(parts: ByHandParts) {
    this.#parts = parts;
  }

  /** Does not reject for anything an entry can be. */
  async order(order: Order): Promise<Done> {
    const found = await this.#find(order.key);
    if (!found) return { key: order.key, done: false, text: 'the ledger has no such entry' };
    const { lane, user, peer } = found;
    const done = await this.#parts.deliver.apart({ lane, user, peer }, patienceMs, () => this.#act(order));
    return done ?? { key: order.key, done: false, user, state: found.state, text: isOut };
  }

  async #act(order: Order): Promise<{ value: Done; freed: number[] }> {
    const { key } = order;
    const before = await this.#find(key);
    if (!before) return { value: { key, done: false, text: 'it has been forgotten' }, freed: [] };
    const act = { retry: this.#retry, return: this.#giveBack, discard: this.#discard }[order.act];
    const text = await act.call(this, before, order);
    const state = (await this.#find(key))?.state;
    const value: Done = { key, done: text === null, user: before.user, state, ...(text !== null && { text }) };
    return { value, freed: state === 'parked' || state === before.state ? [] : [before.seq] };
  }

  async #find(key: string): Promise<EntryView | undefined> {
    return (await this.#parts.ledger.do('entry', { key }))[0];
  }

  /** Each answers with why not, or null. */
  async #retry(entry: EntryView, order: Order): Promise<string | null> {
    const { ledger, users } = this.#parts;
    // Nobody would ever send it: with the rollback the conversation has gone to the legacy side.
    if (!users.isOpen(entry.user))
      return `${entry.user} is not open to apps in its phase; move the user, or discard it`;
    const note = this.#note(entry, order);
    const retried = await ledger.do('retry', { seq: entry.seq, note });
    return retried === 'done' ? null : whyNotRetried[retried];
  }

  /**
   * Set aside first, handed back then: whatever happens in between, it is not published any more, and `return` again, with the same
   * key, finishes it. Only where the server surely has not taken it does the entry go on as before.
   */
  async #giveBack(entry: EntryView, order: Order): Promise<string | null> {
    const { ledger, users, server, clock } = this.#parts;
    const { seq } = entry;
    const owner = users.get(entry.user);
    if (owner?.own) return 'an address on the component’s own domain has no legacy account';
    if (owner?.moving) return `${entry.user} is being moved; a move to legacy hands back by itself`;
    // Its session may be ending, which hands back, too.
    if (owner && this.#parts.isWorkedOn(owner)) return `${entry.user} is just being attached or detached; try again`;
    if (!server.up) return 'the link to the legacy server is down';
    const taken = await ledger.do('takeOut', { seq, at: clock.now() });
    if (taken.kind !== 'taken') return whyNotTaken[taken.kind];
    const { user, key, at, original: stanza, fault } = taken;
    const answer = await server.giveBack({ user, key, at, stanza, ends: false });
    if (answer.kind === 'processed') {
      await ledger.do('endByHand', { seq, at: clock.now(), as: 'returned', note: this.#note(entry, order) });
      return null;
    }
    if (answer.kind === 'lost') return 'the link broke before the answer; it is set aside (dead): return it again';
    await ledger.do('notTaken', { seq, at: clock.now(), fault });
    return `the legacy server does not take it: ${answer.text || answer.condition}`;
  }

  async #discard(entry: EntryView, order: Order): Promise<string | null> {
    const { ledger, notices, clock } = this.#parts;
    const { seq, lane, user, id, state } = entry;
    const note = this.#note(entry, order);
    const isEnded = await ledger.do('endByHand', {
      ...{ seq, at: clock.now(), as: 'discarded' as const, reason: order.reason, note },
    });
    if (!isEnded) return 'it has ended already';
    // The app was told that it is on its way; of a dead one it has heard.
    if (lane === 'toXmpp' && state !== 'dead')
      notices.error(user, { id, condition: 'not-acceptable', text: 'an operator has discarded it' });
    return null;
  }

  #note({ user, key, state, condition }: EntryView, { act, reason, who }: Order): AuditNote {
    const before = condition === undefined ? state : `${state}, ${condition}`;
    return { at: this.#parts.clock.now(), who, what: `entry.${act}`, user, reason, detail: `${key} (${before})` };
  }
}
