// A model of the legacy server beside its link: accounts, legacy clients, offline storage, and where a message goes.

import { bare, type Chat, toSeconds } from './chat.ts';
import { type AttachedSession, type Host, Link } from './server-link.ts';
import type { Message, Witness } from './witness.ts';
import type { World } from './world.ts';

interface Account {
  jid: string;
  clientOnline: boolean;
  session: AttachedSession | null;
  offline: Chat[];
}

export class LegacyServer implements Host {
  readonly accounts = new Map<string, Account>();
  readonly world: World;
  readonly witness: Witness;
  link: Link | null = null;
  isUp = true;
  /** How often it has lost its memory of our sessions. */
  epochs = 0;
  readonly settings: { resumeTimeoutMs: number };

  constructor(world: World, witness: Witness, settings: { resumeTimeoutMs: number }) {
    this.world = world;
    this.witness = witness;
    this.settings = settings;
  }

  addAccount(jid: string, clientOnline: boolean): void {
    this.accounts.set(jid, { jid, clientOnline, session: null, offline: [] });
  }

  /** A legacy client sends. */
  chat(message: Message, to: string): void {
    this.world.say('server', () => `takes ${message.name} for ${to}`);
    this.route({ message, to });
  }

  /** RFC 6121 §8.5.2.1.1: every resource has priority 0, so all of them get what goes to the bare JID. */
  route(chat: Chat): void {
    chat.message.accepted = true;
    const account = this.accounts.get(bare(chat.to));
    if (!account) return;
    const { session, clientOnline } = account;
    const isForSession = session !== null && (chat.to === session.jid || chat.to === account.jid);
    const isForClient = clientOnline && !(isForSession && chat.to === session?.jid);
    if (isForSession) {
      session.link.push(session, chat, isForClient);
      if (!isForClient) return;
      this.witness.toBoth.add(chat.message.name);
    }
    this.toLegacy(account.jid, chat, isForClient || clientOnline);
  }

  /** To the legacy client, else to offline storage. */
  toLegacy(jid: string, chat: Chat, clientOnline = this.accounts.get(jid)!.clientOnline): void {
    const { name } = chat.message;
    if (clientOnline) {
      this.world.say('client', () => `of ${jid} sees ${name}${chat.stamp === undefined ? '' : ' (stamped)'}`);
      this.witness.saw(jid, name);
    } else {
      this.world.say('server', () => `stores ${name} for ${jid}`);
      this.witness.stored.add(name);
      this.accounts.get(jid)!.offline.push({ ...chat, stamp: chat.stamp ?? toSeconds(this.world.now) });
    }
  }

  /** Hands a stanza back: neither to the attached session nor to the archive. */
  giveBack(jid: string, chat: Chat, when: number): void {
    this.toLegacy(jid, { ...chat, stamp: chat.stamp ?? toSeconds(when) });
  }

  clientOnline(jid: string): void {
    const account = this.accounts.get(jid)!;
    if (account.clientOnline) return;
    account.clientOnline = true;
    this.world.say('client', () => `of ${jid} logs in`);
    for (const chat of account.offline.splice(0)) this.toLegacy(jid, chat);
  }

  clientOffline(jid: string): void {
    const account = this.accounts.get(jid)!;
    if (!account.clientOnline) return;
    account.clientOnline = false;
    this.world.say('client', () => `of ${jid} logs out`);
  }

  /** The first presence of an attached session: offline storage is flushed to it, once and in order. */
  sessionUp(session: AttachedSession): void {
    const account = this.accounts.get(session.user)!;
    account.session = session;
    for (const chat of account.offline.splice(0)) session.link.push(session, chat, false);
  }

  sessionDown(session: AttachedSession): void {
    const account = this.accounts.get(session.user)!;
    if (account.session === session) account.session = null;
  }

  newLink(): Link {
    this.endLink('a new epoch');
    this.link = new Link(this, `E${++this.epochs}`);
    return this.link;
  }

  /** The end of an epoch: every session ends, then what was not acknowledged goes back to its users, in order. */
  endLink(reason: string): void {
    const { link } = this;
    if (!link) return;
    this.link = null;
    this.world.say('server', () => `forgets epoch ${link.epoch}: ${reason}`);
    link.end();
  }

  /** An orderly restart: nothing is lost, but epoch and sessions are gone. */
  restart(downMs: number): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.world.say('server', () => `restarts, away for ${downMs} ms`);
    this.endLink('restart');
    for (const { jid, clientOnline } of this.accounts.values()) {
      if (clientOnline) this.world.after(downMs + 1, () => this.clientOnline(jid));
      this.clientOffline(jid);
    }
    this.world.after(downMs, () => {
      this.isUp = true;
    });
  }
}
