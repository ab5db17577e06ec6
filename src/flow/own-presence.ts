// Presence of the component's own users as their server has to tell it (RFC 6121 §4): to everybody who sees them when it changes and
// when the link comes, to whoever probes, and "unavailable" when the gateway stops.

import { Element } from 'ltx';
import type { Devices } from '../migration/devices.ts';
import type { OwnUsers } from '../migration/own-users.ts';
import { avatarHash } from '../migration/profile.ts';
import { isSameShown, type Shown } from '../migration/shown.ts';
import { NS_VCARD_UPDATE } from '../xmpp/namespaces.ts';
import { writeElement } from '../xmpp/xml-writer.ts';
import type { OwnCapabilities } from './own-capabilities.ts';
import type { OwnOutbox } from './own-outbox.ts';

/** Addresses beside the contacts that one user shows itself to, at a time. */
const maxDirected = 1_000;

export interface OwnPresenceParts {
  own: OwnUsers;
  devices: Devices;
  outbox: OwnOutbox;
  capabilities: OwnCapabilities;
}

export class OwnPresence {
  readonly #parts: OwnPresenceParts;
  /** As contacts were told; null: unavailable. Absent: nobody knows yet, and the first that is known is told to all. */
  readonly #shown = new Map<string, Shown | null>();
  /** Who else has been shown a user (§4.6), and is told when it goes. */
  readonly #directed = new Map<string, Set<string>>();

  constructor(parts: OwnPresenceParts) {
    this.#parts = parts;
  }

  shown(jid: string): Shown | null | undefined {
    return this.#shown.get(jid);
  }

  /** The apps of this user may have come or gone; null: those of all. */
  look(jid: string | null): void {
    if (jid !== null) return this.#look(jid);
    for (const { jid } of this.#parts.own.all()) this.#look(jid);
  }

  /** The link stands: nobody can know what the other side has heard last. */
  up(): void {
    for (const { jid } of this.#parts.own.all()) this.tellAll(jid);
  }

  /** What contacts see of the user has changed, beside its availability. */
  tellAll(jid: string): void {
    if (this.#shown.get(jid) === undefined) return;
    for (const contact of this.#parts.own.subscribers(jid)) this.tell(jid, contact);
  }

  /** How things are, to one contact; nothing while nobody knows, since then all are told soon. */
  tell(jid: string, contact: string): void {
    if (this.#shown.get(jid) === undefined) return;
    this.#parts.outbox.put(`presence ${jid} ${contact}`, jid, () => this.#presence(jid, contact));
  }

  /** One contact sees the user no more. */
  hide(jid: string, contact: string): void {
    if (!this.#shown.get(jid)) return;
    this.#parts.outbox.put(`presence ${jid} ${contact}`, jid, () => unavailable(jid, contact));
  }

  /** An app has shown its user to this address, or has taken that back. */
  directed(jid: string, to: string, isThere: boolean): void {
    const shownTo = this.#directed.get(jid) ?? new Set();
    this.#directed.set(jid, shownTo);
    shownTo.delete(to);
    if (isThere) shownTo.add(to);
    const [first] = shownTo;
    if (shownTo.size > maxDirected && first !== undefined) shownTo.delete(first);
  }

  /** The user is to be removed: everybody who sees it sees it go. */
  forget(jid: string): void {
    if (this.#shown.get(jid)) this.#goes(jid);
    this.#shown.delete(jid);
    this.#directed.delete(jid);
  }

  /** The gateway stops. */
  stop(): void {
    for (const [jid, shown] of this.#shown) if (shown) this.#goes(jid);
    this.#shown.clear();
    this.#parts.outbox.flush();
  }

  #look(jid: string): void {
    const { own, devices } = this.#parts;
    if (!own.get(jid)) return;
    const status = devices.statusOf(jid);
    if (status === 'unknown') return;
    const before = this.#shown.get(jid);
    const shown = status === 'here' ? devices.shown(jid) : null;
    if (before !== undefined && isSameShown(before, shown)) return;
    this.#shown.set(jid, shown);
    if (before && !shown) this.#undirect(jid);
    this.tellAll(jid);
  }

  #goes(jid: string): void {
    for (const contact of this.#parts.own.subscribers(jid)) this.hide(jid, contact);
    this.#undirect(jid);
  }

  #undirect(jid: string): void {
    for (const to of this.#directed.get(jid) ?? [])
      this.#parts.outbox.put(`presence ${jid} ${to}`, jid, () => unavailable(jid, to));
    this.#directed.delete(jid);
  }

  #presence(jid: string, contact: string): Element {
    const shown = this.#shown.get(jid);
    if (!shown) return unavailable(jid, contact);
    const presence = new Element('presence', { from: jid, to: contact });
    if (shown.show) presence.c('show').t(shown.show);
    if (shown.text && isWritable(shown.text)) presence.c('status').t(shown.text);
    // XEP-0153 §3.1; empty: there is none.
    const avatar = this.#parts.own.get(jid)?.profile.avatar;
    const photo = presence.c('x', { xmlns: NS_VCARD_UPDATE }).c('photo');
    if (avatar) photo.t(avatarHash(avatar));
    return presence.cnode(this.#parts.capabilities.element()).up();
  }
}

function unavailable(from: string, to: string): Element {
  return new Element('presence', { from, to, type: 'unavailable' });
}

/** An app may have put a character into its text that XML has not. */
function isWritable(text: string): boolean {
  const status = new Element('status');
  status.t(text);
  return typeof writeElement(status) === 'string';
}
