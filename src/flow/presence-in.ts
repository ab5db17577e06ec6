// Presence from the legacy server: who is there passes, as it comes; what concerns a subscription waits for the app; an error answers what the app sent.

import type { Element } from 'ltx';
import type { Ledger } from '../ledger/ledger.ts';
import type { PresenceMappings } from '../mapping/compile.ts';
import type { SubscriptionType } from '../migration/subscription.ts';
import type { User, Users } from '../migration/users.ts';
import { isRefusal } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { Arrival } from '../xmpp/session.ts';
import { errorReply } from '../xmpp/stanza-error.ts';
import type { Contacts } from './contacts.ts';
import { bring } from './copies.ts';
import { type EntriesIn, errorFields } from './entries-in.ts';
import type { LegacyLogins } from './legacy-logins.ts';
import type { OwnServer } from './own-server.ts';
import { routeOf } from './route.ts';
import { isSubscription, repeatOf } from './subscriptions.ts';

export interface PresenceInParts {
  users: Users;
  mappings: PresenceMappings;
  ledger: Ledger;
  contacts: Contacts;
  logins: LegacyLogins;
  ownServer: OwnServer;
  entries: EntriesIn;
  fault: (error: unknown) => void;
}

export class PresenceIn {
  readonly #parts: PresenceInParts;

  constructor(parts: PresenceInParts) {
    this.#parts = parts;
  }

  receive(stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { contacts, logins, users, mappings, ledger, entries, ownServer, fault } = this.#parts;
    const user = users.get(arrival.user);
    const { type, id, from = '' } = stanza.attrs;
    if (!user && ownServer.isOwn(arrival.user)) {
      ownServer.unknown(arrival.user, stanza);
      return accepted();
    }
    if (user?.own && type === 'probe') {
      ownServer.probed(user.jid, from);
      return accepted();
    }
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
    if (user.own) return this.#ofOwn(user, stanza, arrival, accepted);
    // While a rollback is under way: the server has it, and tells the legacy client.
    if (!users.isPublished(user.jid)) return accepted();
    const { archiveKey, renews } = repeatOf(user, stanza, arrival);
    // In the order of the calls: done before the entry is looked at.
    if (renews !== undefined) ledger.do('renewed', { archiveKey: renews }).catch(fault);
    const brought = bring(stanza, 'direct', arrival);
    entries.accept(user, brought, arrival, { ...mappings.toPayload(stanza), archiveKey }, accepted);
  }

  /** No server keeps the roster of such a user: what the contact says counts here, and what changes nothing is no news. */
  #ofOwn(user: User, stanza: Element, arrival: Arrival, accepted: () => void): void {
    const { mappings, entries, ownServer } = this.#parts;
    const contact = prepareBare(stanza.attrs.from ?? '');
    if (contact === null) return accepted();
    const heard = ownServer.heard(user.jid, contact, stanza.attrs.type as SubscriptionType);
    if (isRefusal(heard)) {
      const error = errorReply(stanza, heard);
      if (error) ownServer.reply(user.jid, error);
      return accepted();
    }
    if (!heard.isNews) return accepted();
    entries.accept(user, bring(stanza, 'direct', arrival), arrival, mappings.toPayload(stanza), accepted);
    if (heard.isGranted) ownServer.grant(user.jid, contact);
  }
}
