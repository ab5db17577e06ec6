// A model of the legacy server beside its link: accounts, legacy clients, offline storage, and where a message goes.

import { Archive } from './archive.ts';
import { bare, type Chat, toSeconds } from './chat.ts';
import { type AttachedSession, type Host, Link, type ServerSettings } from './server-link.ts';
import type { Message, Witness } from './witness.ts';
import type { World } from './world.ts';

export interface Account {
  jid: string;
  /** The client's priority; the session's is 0. */
  priority: number;
  clientOnline: boolean;
  session: AttachedSession | null;
  /** By the link that asked for it. */
  observer: Link | null;
  isLocked: boolean;
  /** The server has ended the session by itself, and there is no other yet. */
  isKicked: boolean;
  offline: Chat[];
  archive: Archive | null;
}

export class LegacyServer implements Host {
  readonly accounts = new Map<string, Account>();
  readonly world: World;
  readonly witness: Witness;
  link: Link | null = null;
  isUp = true;
  /** How often it has lost its memory of our sessions. */
  epochs = 0;
  readonly settings: ServerSettings;
  /** Something the gateway asked for has changed what the server keeps for a user. */
  onChanged: (account: Account) => void = () => {};
  /** A message for the user is in the archive from now on. */
  onArchived: (account: Account, name: string) => void = () => {};
  /** What was for the session alone died with the server. */
  onLost: (user: string, name: string) => void = () => {};

  constructor(world: World, witness: Witness, settings: ServerSettings) {
    this.world = world;
    this.witness = witness;
    this.settings = settings;
  }

  addAccount(jid: string, { clientOnline, priority }: { clientOnline: boolean; priority: number }): void {
    const { hasArchive, pageMax } = this.settings;
    const nothing = { session: null, observer: null, isLocked: false, isKicked: false, offline: [] };
    const archive = hasArchive ? new Archive(jid, pageMax) : null;
    this.accounts.set(jid, { jid, priority, clientOnline, archive, ...nothing });
  }

  /** A legacy client sends. */
  chat(message: Message, to: string): void {
    this.world.say('server', () => `takes ${message.name} for ${to}`);
    this.route({ message, to });
  }

  /** From a client, or (`session`) from an attached session. */
  route(chat: Chat, session?: AttachedSession): void {
    chat.message.accepted = true;
    const sender = this.accounts.get(bare(chat.message.from));
    if (sender) this.#copySent(sender, this.#archive(sender, chat), session);
    const account = this.accounts.get(bare(chat.to));
    if (!account) return;
    const archived = this.#archive(account, chat);
    this.#observe(account, archived, 'in');
    this.#deliver(account, archived);
  }

  /** The message with the id it has in this account's archive, without the one of another's. */
  #archive(account: Account, chat: Chat): Chat {
    const { jid, archive } = account;
    if (!archive) return chat;
    const id = archive.add(chat, this.world.now);
    this.onArchived(account, chat.message.name);
    return { ...chat, archived: { by: jid, id } };
  }

  /** What the user sends goes to observers, and to the user's other resources as carbons. */
  #copySent(sender: Account, chat: Chat, session?: AttachedSession): void {
    this.#observe(sender, chat, 'out');
    if (!session && sender.session) sender.session.link.push(sender.session, { chat, carbon: 'sent' }, false);
  }

  #observe(account: Account, chat: Chat, dir: 'in' | 'out'): void {
    if (!account.observer) return;
    if (dir === 'in') this.witness.toBoth.add(chat.message.name);
    account.observer.pushCopy(account.jid, chat, dir);
  }

  /** RFC 6121 §8.5.2.1.1, §8.5.3: the highest priority gets what goes to the bare JID, all of them if equal; the others a carbon. */
  #deliver(account: Account, chat: Chat): void {
    const { jid, session, clientOnline, priority } = account;
    // A resource that is not there is as if none had been named.
    const isFull = chat.to === session?.jid || (clientOnline && chat.to === `${jid}/desk`);
    const visible = session?.shown ? session : null;
    const toSession = isFull ? chat.to === session?.jid : visible !== null && (!clientOnline || priority <= 0);
    const isForSession = session !== null && toSession;
    const isForClient = clientOnline && (isFull ? !isForSession : priority >= 0 || !visible);
    if (isForSession && session.link.push(session, { chat }, isForClient)) {
      if (!isForClient) return;
      this.witness.toBoth.add(chat.message.name);
    } else if (visible && isForClient) {
      this.witness.toBoth.add(chat.message.name);
      visible.link.push(visible, { chat, carbon: 'received' }, false);
    } else if (isForSession && !clientOnline) {
      this.witness.overflowed.add(chat.message.name);
    }
    this.toLegacy(jid, chat, isForClient || clientOnline);
  }

  /** To the legacy client, else to offline storage. */
  toLegacy(jid: string, chat: Chat, clientOnline = this.accounts.get(jid)?.clientOnline): void {
    const account = this.accounts.get(jid);
    const { name } = chat.message;
    if (!account) return;
    if (clientOnline) {
      this.world.say('client', () => `of ${jid} sees ${name}${chat.stamp === undefined ? '' : ' (stamped)'}`);
      this.witness.saw(jid, name);
    } else {
      this.world.say('server', () => `stores ${name} for ${jid}`);
      this.witness.stored.add(name);
      account.offline.push({ ...chat, stamp: chat.stamp ?? toSeconds(this.world.now) });
    }
  }

  /** Hands a stanza back: neither to the attached session nor to the archive; an observer may see it again. False: there is nobody. */
  giveBack(jid: string, chat: Chat, when: number): boolean {
    const account = this.accounts.get(jid);
    if (!account) return false;
    const stamped = { ...chat, stamp: chat.stamp ?? toSeconds(when) };
    if (this.world.chance(0.3)) this.#observe(account, stamped, 'in');
    this.toLegacy(jid, stamped);
    return true;
  }

  clientOnline(jid: string): void {
    const account = this.accounts.get(jid);
    if (!account || account.clientOnline || account.isLocked) return;
    account.clientOnline = true;
    this.world.say('client', () => `of ${jid} logs in`);
    for (const chat of account.offline.splice(0)) this.toLegacy(jid, chat);
  }

  clientOffline(jid: string): void {
    const account = this.accounts.get(jid);
    if (!account?.clientOnline) return;
    account.clientOnline = false;
    this.world.say('client', () => `of ${jid} logs out`);
  }

  deleteAccount(jid: string): void {
    if (!this.accounts.delete(jid)) return;
    this.world.say('server', () => `deletes ${jid}`);
    this.link?.kick(jid, 'deleted');
  }

  /** The first presence of an attached session: offline storage is flushed to it, once and in order. What does not fit stays. */
  available(session: AttachedSession): void {
    const account = this.accounts.get(session.user)!;
    const overflow = account.offline.splice(0).filter((chat) => !session.link.push(session, { chat }, false));
    account.offline.push(...overflow);
    for (const { message } of overflow) this.witness.overflowed.add(message.name);
  }

  sessionUp(session: AttachedSession): void {
    const account = this.accounts.get(session.user)!;
    account.session = session;
    account.isKicked = false;
  }

  sessionDown(session: AttachedSession): void {
    const account = this.accounts.get(session.user);
    if (account?.session === session) account.session = null;
  }

  newLink(): Link {
    this.endLink('a new epoch');
    this.link = new Link(this, `E${++this.epochs}`);
    return this.link;
  }

  /**
   * The end of an epoch: sessions, observes and locks are gone, then what was not acknowledged goes back to its users, in order, or
   * (`forgets`) is lost.
   */
  endLink(reason: string, forgets = false): void {
    const { link } = this;
    if (!link) return;
    this.link = null;
    this.world.say('server', () => `forgets epoch ${link.epoch}: ${reason}`);
    for (const account of this.accounts.values()) {
      if (account.observer === link) account.observer = null;
      account.isLocked = false;
    }
    link.end(forgets);
  }

  /** Orderly: nothing is lost, but epoch and sessions are gone. Killed: what it had only in memory is lost, too. */
  restart(downMs: number, how: 'orderly' | 'killed' = 'orderly'): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.world.say('server', () => `${how === 'killed' ? 'is killed' : 'restarts'}, away for ${downMs} ms`);
    this.endLink('restart', how === 'killed');
    for (const { jid, clientOnline } of this.accounts.values()) {
      if (clientOnline) this.world.after(downMs + 1, () => this.clientOnline(jid));
      this.clientOffline(jid);
    }
    this.world.after(downMs, () => {
      this.isUp = true;
    });
  }
}
