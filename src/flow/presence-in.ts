// Presence from the legacy server: who is there passes, as it comes; what concerns a subscription waits for the app; an error answers what the app sent.

import type { Element } from 'ltx';
import type { Ledger } from '../ledger/ledger.ts';
import type { PresenceMappings } from '../mapping/compile.ts';
import type { Users } from '../migration/users.ts';
import type { Arrival } from '../xmpp/session.ts';
import type { Contacts } from './contacts.ts';
import { bring } from './copies.ts';
import { type EntriesIn, errorFields } from './entries-in.ts';
import type { LegacyLogins } from './legacy-logins.ts';
import { routeOf } from './route.ts';
import { isSubscription, repeatOf } from './subscriptions.ts';

export interface PresenceInParts {
  users: Users;
  mappings: PresenceMappings;
  ledger: Ledger;
  contacts: Contacts;
  logins: LegacyLogins;
  entries: EntriesIn;
  fault: (error: unknown) => void;
}

export class PresenceIn {
  readonly #parts: PresenceInParts;

  constructor(parts: PresenceInParts) {
    this.#parts = parts;
  }

  receive(stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { contacts, logins, users, mappings, ledger, entries, fault } = this.#parts;
    const user = users.get(arrival.user);
    const { type, id } = stanza.attrs;
    // Not of a user that is served, or was until its rollback is done.
    if (!user || arrival.dir || type === 'probe' || routeOf(user, 'direct', 'here') !== 'accept') return accepted();
    if (type === 'error') {
      // What the gateway itself sends has no id.
      if (id === undefined) return accepted();
      return entries.accept(user, bring(stanza, 'direct', arrival), arrival, errorFields(stanza), accepted);
    }
    if (!isSubscription(type)) {
      contacts.heard(user, stanza, arrival);
      logins.heard(user, stanza);
      return accepted();
    }
    // While a rollback is under way: the server has it, and tells the legacy client.
    if (!users.isPublished(user.jid)) return accepted();
    const { archiveKey, renews } = repeatOf(user, stanza, arrival);
    // In the order of the calls: done before the entry is looked at.
    if (renews !== undefined) ledger.do('renewed', { archiveKey: renews }).catch(fault);
    const brought = bring(stanza, 'direct', arrival);
    entries.accept(user, brought, arrival, { ...mappings.toPayload(stanza), archiveKey }, accepted);
  }
}
