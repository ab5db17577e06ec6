// The people with legacy clients: how they become contacts, what they write, and what a contact list shows of somebody.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Element } from 'ltx';
import type { LegacyClient } from '../test/harness/legacy-client.ts';
import { escapeXml } from '../test/harness/xml.ts';

/** Resolves with true once the condition holds, with false when it has not in time. */
export async function eventually(condition: () => boolean, timeoutMs = 20_000): Promise<boolean> {
  for (const until = Date.now() + timeoutMs; !condition(); await sleep(10)) if (Date.now() > until) return false;
  return true;
}

export function say(client: LegacyClient, to: string, body: string, id: string): Promise<void> {
  return client.send(`<message to='${to}' type='chat' id='${id}'><body>${escapeXml(body)}</body></message>`);
}

/** Each comes into the other's contact list and sees the other's presence (RFC 6121 §3). */
export async function befriend(one: LegacyClient, other: LegacyClient): Promise<void> {
  for (const [asker, asked] of [
    [one, other],
    [other, one],
  ] as const) {
    await asker.send(`<presence to='${bare(asked.jid)}' type='subscribe'/>`);
    await asked.inbox.first('a request', ({ attrs }) => attrs.type === 'subscribe' && attrs.from === bare(asker.jid));
    await asked.send(`<presence to='${bare(asker.jid)}' type='subscribed'/>`);
    await asker.inbox.first('the presence', ({ name, attrs }) => name === 'presence' && attrs.from === asked.jid);
  }
}

export interface ContactSeen {
  /** The contact's resources that are online. */
  online: string[];
  /** Of the last presence: its `show`, `online` without one. */
  show: string;
  /** How often the last resource went away. */
  wentOffline: number;
}

/** What a contact list that got these stanzas has shown of the contact. */
export function contactSeen(stanzas: readonly Element[], contact: string): ContactSeen {
  const online = new Set<string>();
  let show = 'offline';
  let wentOffline = 0;
  for (const stanza of stanzas) {
    const { name, attrs } = stanza;
    const [from = '', resource = ''] = (attrs.from ?? '').split('/');
    if (name !== 'presence' || from !== contact || resource === '') continue;
    if (attrs.type === undefined) {
      online.add(resource);
      show = stanza.getChildText('show') ?? 'online';
    } else if (attrs.type === 'unavailable' && online.delete(resource) && online.size === 0) {
      wentOffline++;
      show = 'offline';
    }
  }
  return { online: [...online], show, wentOffline };
}

export const bare = (jid: string) => jid.split('/')[0]!;

export function numbered(count: number, text: string): string[] {
  return Array.from({ length: count }, (_, n) => `${text} ${n + 1}`);
}

/** How many of the expected stand where they should. */
export function inOrder(got: readonly string[], expected: readonly string[]): number {
  return got.filter((text, n) => text === expected[n]).length;
}
