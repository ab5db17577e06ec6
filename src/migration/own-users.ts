// Addresses on the component's own domain: those of the configuration and those an operator has added, what was set for each, and
// their contacts, of whom nobody else keeps a roster. In memory, and each change on disk before it counts.

import type { Clock } from '../clock.ts';
import type { AuditNote, Ledger } from '../ledger/ledger.ts';
import type { OwnUserRow } from '../ledger/own.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { escapeLocal, parseJid, unescapeLocal } from '../xmpp/jid.ts';
import type { Profile } from './profile.ts';
import { isNothing, type Standing, type SubscriptionPolicy } from './subscription.ts';
import { Turns } from './turns.ts';
import type { Users } from './users.ts';

export interface OwnUser {
  readonly jid: string;
  /** By an operator; else by the configuration. */
  readonly added: boolean;
  /** Absent: what the configuration says. */
  subscriptions?: SubscriptionPolicy;
  /** Named in the domain's disco#items. */
  listed: boolean;
  profile: Profile;
  changedAt: number;
}

export type OwnChange = Partial<Pick<OwnUser, 'subscriptions' | 'listed' | 'profile'>>;
export type Note = Pick<AuditNote, 'who' | 'reason'>;

export interface OwnUsersParts {
  /** The component's own domain. */
  domain: string;
  /** Of users for whom nothing else is set. */
  subscriptions: SubscriptionPolicy;
  users: Users;
  ledger: Ledger;
  clock: Clock;
}

const pageSize = 10_000;
/** A stranger costs a row by asking, so there is an end to it. */
const maxAsking = 1_000;
const maxContacts = 100_000;

export class OwnUsers {
  readonly #parts: OwnUsersParts;
  readonly #users = new Map<string, OwnUser>();
  readonly #contacts = new Map<string, Map<string, Standing>>();
  readonly #turns = new Turns<string>();

  /** A user was added, or something that contacts see, or are told, was changed. */
  onChanged: (jid: string, isNew: boolean) => void = () => {};
  /** A user is to be removed: its contacts are told. */
  onRemoving: (jid: string) => void = () => {};

  constructor(parts: OwnUsersParts) {
    this.#parts = parts;
  }

  /** After `users.load`, which makes known who there is. */
  async load(): Promise<void> {
    const { users, ledger } = this.#parts;
    const rows = new Map((await ledger.do('ownUsers', {})).map((row) => [row.jid, row]));
    for (const { jid, own } of users.all()) if (own) this.#users.set(jid, fromRow(jid, rows.get(jid)));
    for (let after = { user: '', contact: '' }; ; ) {
      const page = await ledger.do('ownContacts', { after, limit: pageSize });
      for (const { user, contact, sees, seen } of page) this.#of(user).set(contact, { sees, seen } as Standing);
      if (page.length < pageSize) return;
      after = page.at(-1)!;
    }
  }

  /** Is this bare JID, there or not, on the component's domain, or that domain itself? */
  isOwn(jid: string): boolean {
    const { domain } = this.#parts;
    return jid === domain || jid.endsWith(`@${domain}`);
  }

  get(jid: string): OwnUser | undefined {
    return this.#users.get(jid);
  }

  all(): IterableIterator<OwnUser> {
    return this.#users.values();
  }

  /** As people know it: the name of its profile, else the one that its address was made of (XEP-0106). */
  nameOf({ jid, profile }: OwnUser): string {
    return profile.name ?? unescapeLocal(jid.slice(0, jid.lastIndexOf('@')));
  }

  policyOf(jid: string): SubscriptionPolicy {
    return this.#users.get(jid)?.subscriptions ?? this.#parts.subscriptions;
  }

  standing(jid: string, contact: string): Standing {
    return this.#contacts.get(jid)?.get(contact) ?? {};
  }

  contacts(jid: string): ReadonlyMap<string, Standing> {
    return this.#contacts.get(jid) ?? new Map();
  }

  /** Who sees the user. */
  subscribers(jid: string): string[] {
    return [...this.contacts(jid)].flatMap(([contact, { sees }]) => (sees === 'yes' ? [contact] : []));
  }

  /** Whom the user sees. */
  visible(jid: string): string[] {
    return [...this.contacts(jid)].flatMap(([contact, { seen }]) => (seen === 'yes' ? [contact] : []));
  }

  /** Why nobody more can ask for, or be asked for, a subscription; null where there is room. */
  fullness(jid: string, contact: string): Refusal | null {
    const contacts = this.contacts(jid);
    if (contacts.has(contact)) return null;
    if (contacts.size >= maxContacts)
      return refuse('resource-constraint', `${jid} has ${maxContacts} contacts already`);
    // Looked for only where there may be so many.
    if (contacts.size < maxAsking || [...contacts.values()].filter(({ sees }) => sees === 'asks').length < maxAsking)
      return null;
    return refuse('resource-constraint', `${jid} has not answered ${maxAsking} others yet: ask again later`);
  }

  /** True at once in memory, since the next stanza may ask; resolves when it is on disk. */
  async setStanding(user: string, contact: string, next: Standing): Promise<void> {
    const { ledger, clock } = this.#parts;
    const contacts = this.#of(user);
    const now = contacts.get(contact) ?? {};
    if (now.sees === next.sees && now.seen === next.seen) return;
    if (isNothing(next)) contacts.delete(contact);
    else contacts.set(contact, next);
    await ledger.do('putOwnContact', { user, contact, ...next, changedAt: clock.now() });
  }

  /** Why this cannot be the address of a user here, or null. */
  refusal(jid: string): Refusal | null {
    const { domain } = this.#parts;
    const address = parseJid(jid);
    if (address && address.domain === domain && address.local !== '' && address.resource === '') return null;
    const name = jid.endsWith(`@${domain}`) ? escapeLocal(jid.slice(0, -domain.length - 1)) : null;
    if (name !== null && parseJid(`${name}@${domain}`))
      return refuse(
        'jid-malformed',
        `"${jid.slice(0, 200)}" is no address; for this name write ${name}@${domain} (XEP-0106)`,
      );
    return refuse('not-acceptable', `"${jid.slice(0, 200)}" is not an address such as name@${domain}`);
  }

  /**
   * Adds a user, or changes what is set for it, as `decide` says when it is its turn: two changes at once would each be made from what
   * was before both. `jid` is prepared, and `refusal` has nothing against it. Answers with whether it is new.
   */
  put(
    jid: string,
    decide: (now: OwnUser | undefined) => OwnChange | Refusal,
    note: Note,
  ): Promise<{ user: OwnUser; isNew: boolean } | Refusal> {
    return this.#turns.take(jid, async () => {
      const before = this.#users.get(jid);
      const change = decide(before);
      return isRefusal(change) ? change : await this.#put(jid, before, change, note);
    });
  }

  async #put(jid: string, before: OwnUser | undefined, change: OwnChange, note: Note) {
    const { users, ledger, clock } = this.#parts;
    const at = clock.now();
    const user: OwnUser = { ...(before ?? fromRow(jid, undefined, true)), ...change, changedAt: at };
    const what = before ? 'user.set' : 'user.add';
    const detail = Object.keys(change).join(', ') || undefined;
    await ledger.do('putOwnUser', { row: toRow(user), audit: { ...note, at, what, user: jid, detail } });
    if (!before) await users.addOwn(jid);
    this.#users.set(jid, user);
    this.onChanged(jid, before === undefined);
    return { user, isNew: before === undefined };
  }

  /** Ends a user that an operator has added. Refused while messages wait: they would wait for ever. */
  remove(jid: string, note: Note): Promise<OwnUser | Refusal> {
    return this.#turns.take(jid, () => this.#remove(jid, note));
  }

  async #remove(jid: string, note: Note): Promise<OwnUser | Refusal> {
    const { users, ledger, clock } = this.#parts;
    const user = this.#users.get(jid);
    if (!user) return refuse('item-not-found', `${jid} is not known here`);
    if (!user.added)
      return refuse(
        'not-acceptable',
        `${jid} is declared in the configuration: take it out of xmpp.component.users and start again`,
      );
    // From here on nothing is accepted for it, so what is counted is all there is.
    const taken = users.takeOut(jid);
    let isGone = false;
    try {
      const { piles } = await ledger.do('piles', { user: jid, limit: Number.MAX_SAFE_INTEGER });
      const left = piles.reduce((sum, { state, count, sole }) => sum + (state === 'acked' ? sole : count), 0);
      if (left > 0) return refuse('conflict', openEntries(jid, left));
      // What the broker has, and nobody waits for.
      await ledger.do('discardRest', { user: jid, at: clock.now(), reason: 'user removed' });
      await ledger.do('removeOwnUser', { jid, audit: { ...note, at: clock.now(), what: 'user.remove', user: jid } });
      isGone = true;
    } finally {
      if (!isGone && taken) users.putBack(taken);
    }
    this.onRemoving(jid);
    this.#users.delete(jid);
    this.#contacts.delete(jid);
    return user;
  }

  #of(user: string): Map<string, Standing> {
    let contacts = this.#contacts.get(user);
    if (!contacts) {
      contacts = new Map();
      this.#contacts.set(user, contacts);
    }
    return contacts;
  }
}

function openEntries(jid: string, count: number): string {
  const entries = count === 1 ? 'one open entry' : `${count} open entries`;
  return `${jid} still has ${entries}: let its app take them, or end them with \`crossfade ledger discard --user ${jid} --reason …\``;
}

function fromRow(jid: string, row: OwnUserRow | undefined, added = false): OwnUser {
  return {
    jid,
    added: row?.added ?? added,
    ...(row?.subscriptions !== undefined && { subscriptions: row.subscriptions as SubscriptionPolicy }),
    listed: row?.listed ?? false,
    profile: row?.profile === undefined ? {} : JSON.parse(row.profile),
    changedAt: row?.changedAt ?? 0,
  };
}

function toRow({ jid, added, subscriptions, listed, profile, changedAt }: OwnUser): OwnUserRow {
  return { jid, added, subscriptions, listed, profile: JSON.stringify(profile), changedAt };
}
