// A model of the server's half of the attach protocol (docs/attach-protocol.md): one link in one epoch.

import type { Timer } from '../../src/clock.ts';
import { nameOfShown, type Shown } from '../../src/migration/shown.ts';
import type { SendResult } from '../../src/xmpp/session.ts';
import type { ArchiveQuery } from './archive.ts';
import { type Chat, toSeconds } from './chat.ts';
import { type Fin, type LinkEnd, type Load, type Noise, nameOf } from './frame.ts';
import { seqOf } from './invariants-archive.ts';
import type { Account } from './legacy-server.ts';
import { isCopy, LinkQueue, type Queued } from './link-queue.ts';
import type { Connection } from './pipe.ts';
import type { Witness } from './witness.ts';
import type { World } from './world.ts';

export interface AttachedSession {
  user: string;
  jid: string;
  shown: Shown | null;
  link: Link;
}

export interface ServerSettings {
  resumeTimeoutMs: number;
  hasArchive: boolean;
  /** The archive's oldest messages expire. */
  forgets: boolean;
  /** So many results of the archive at once. */
  pageMax: number;
  /** So many stanzas may wait for the gateway's acknowledgement. */
  maxUnacked: number;
}

/** The server around its link. */
export interface Host {
  readonly world: World;
  readonly witness: Witness;
  readonly settings: ServerSettings;
  readonly link: Link | null;
  readonly accounts: Map<string, Account>;
  onChanged(account: Account): void;
  onLost(user: string, name: string): void;
  endLink(reason: string): void;
  available(session: AttachedSession): void;
  sessionUp(session: AttachedSession): void;
  sessionDown(session: AttachedSession): void;
  route(chat: Chat, session?: AttachedSession): void;
  clientOffline(jid: string): void;
  giveBack(jid: string, chat: Chat, when: number): boolean;
}

export class Link {
  readonly epoch: string;
  readonly #server: Host;
  readonly queue: LinkQueue;
  readonly #sessions = new Map<string, AttachedSession>();
  readonly #ended = new Map<string, { h: number; untold: string | null }>();
  readonly #keys = new Set<string>();
  /** Messages of apps that were processed: each once in an epoch, since the keys are kept as long. */
  readonly #sent = new Set<string>();
  #connection: Connection | null = null;
  #end: LinkEnd | null = null;
  #expiry?: Timer;

  constructor(server: Host, epoch: string) {
    this.#server = server;
    this.epoch = epoch;
    const { world, settings } = server;
    this.queue = new LinkQueue({
      ...{ world, epoch, maxUnacked: settings.maxUnacked },
      write: (frame) => this.#numbered(frame),
    });
  }

  /** After the welcome: what is not acknowledged follows again. */
  connect(connection: Connection, end: LinkEnd): void {
    this.#expiry?.cancel();
    this.#connection = connection;
    this.#end = end;
    connection.onEnd(() => this.#lost(connection));
    for (const [jid, { h, untold }] of this.#ended)
      if (untold !== null) connection.down(() => end.hearDetached(jid, h, untold));
    for (const frame of this.queue.frames.values()) this.#write(frame);
  }

  #lost(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#end = null;
    this.#expiry = this.#server.world.after(this.#server.settings.resumeTimeoutMs, () => {
      if (this.#server.link === this) this.#server.endLink('the gateway stayed away');
    });
  }

  #write(frame: Queued): void {
    const end = this.#end;
    if (!end) return;
    const { session: _session, at: _at, ...sent } = frame;
    this.#connection!.down(() => end.hear(sent));
  }

  #numbered(frame: Queued): void {
    const { n, dir, jid, seen, load } = frame;
    const how = `${seen ? ' (seen)' : ''}${dir ? ` (observed ${dir})` : ''}`;
    this.#server.world.say('server', () => `d n=${n} ${nameOf(load)} for ${jid}${how}`);
    this.#write(frame);
  }

  /** False where it does not fit and nobody else has it: the session does not take it. */
  push(session: AttachedSession, load: Load, seen: boolean): boolean {
    const { user, jid } = session;
    const frame = { user, jid, seen, load, session };
    if (!this.queue.isFull) {
      this.queue.add(frame);
      return true;
    }
    if ('chat' in load) this.queue.miss(user);
    return isCopy(frame);
  }

  /** What `observe` sees. */
  pushCopy(user: string, chat: Chat, dir: 'in' | 'out'): void {
    if (this.queue.isFull) this.queue.miss(user);
    else this.queue.add({ user, jid: user, seen: false, dir, load: { chat }, session: null });
  }

  noise(user: string, noise: Noise): void {
    for (const session of this.#sessions.values()) if (session.user === user) this.push(session, { noise }, false);
  }

  attach(user: string, shown: Shown | null): Attached | typeof noAccount {
    const account = this.#server.accounts.get(user);
    if (!account) return noAccount;
    let session = [...this.#sessions.values()].find((one) => one.user === user);
    const resumed = session !== undefined;
    if (!session) {
      session = { user, jid: `${user}/mqtt`, shown: null, link: this };
      this.#sessions.set(session.jid, session);
      this.#ended.delete(session.jid);
      this.#server.world.say('server', () => `attaches ${user} (${nameOfShown(shown)})`);
      this.#server.sessionUp(session);
    }
    if (shown && !session.shown) this.#present(session, shown);
    this.#server.onChanged(account);
    return { kind: 'attached', jid: session.jid, resumed };
  }

  show(jid: string, shown: Shown): SendResult {
    const session = this.#sessions.get(jid);
    if (!session) return gone;
    this.#present(session, shown);
    this.#server.onChanged(this.#server.accounts.get(session.user)!);
    return { kind: 'processed' };
  }

  #present(session: AttachedSession, shown: Shown): void {
    const isFirst = !session.shown;
    session.shown = shown;
    if (isFirst) this.#server.available(session);
  }

  observe(user: string, isOn: boolean): SendResult {
    return this.#keep(user, (account) => {
      account.observer = isOn ? this : null;
    });
  }

  lock(user: string, isOn: boolean): SendResult {
    return this.#keep(user, (account) => {
      account.isLocked = isOn;
      if (isOn) this.#server.clientOffline(user);
    });
  }

  #keep(user: string, change: (account: Account) => void): SendResult {
    const account = this.#server.accounts.get(user);
    if (!account) return noAccount;
    change(account);
    this.#server.onChanged(account);
    return { kind: 'processed' };
  }

  send(jid: string, key: string, chat: Chat | ArchiveQuery | null): SendResult {
    const session = this.#sessions.get(jid);
    if (!session) return gone;
    if (this.#keys.has(key)) return { kind: 'processed' };
    if (this.#server.world.isRough && this.#server.world.chance(0.02)) {
      return { kind: 'wait', condition: 'resource-constraint', text: 'busy' };
    }
    if (chat && 'message' in chat && chat.message.from.startsWith('carol@') && chat.message.n === 3) {
      return { kind: 'refused', condition: 'not-acceptable', text: 'carol sends no third message' };
    }
    this.#keys.add(key);
    if (chat && 'message' in chat) {
      this.#server.witness.processed.add(seqOf(key));
      this.#say(session, chat);
    } else if (chat) this.#answer(session, chat);
    return { kind: 'processed' };
  }

  #say(session: AttachedSession, chat: Chat): void {
    if (this.#sent.has(chat.message.name))
      this.#server.world.broke(`${chat.message.name} was sent twice in epoch ${this.epoch}`);
    this.#sent.add(chat.message.name);
    this.#server.route({ ...chat, from: session.jid }, session);
  }

  /** XEP-0313: the results, then the iq's; all of them, or the answer does not fit either. */
  #answer(session: AttachedSession, query: ArchiveQuery): void {
    const { world, accounts, witness } = this.#server;
    if (!session.shown) world.broke(`${session.jid} asked the archive before its first presence: no flush any more`);
    const page = accounts.get(session.user)!.archive!.page(query);
    const isPage = page !== 'item-not-found';
    for (const { id, at, chat } of isPage ? page.items : []) {
      witness.toBoth.add(chat.message.name);
      this.push(session, { chat, result: { queryId: query.queryId, id, at } }, false);
    }
    const answer: Fin['answer'] = isPage ? { isComplete: page.isComplete, last: page.items.at(-1)?.id } : page;
    this.push(session, { fin: { iqId: query.iqId, answer } }, false);
  }

  giveBack(user: string, key: string, chat: Chat, when: number): SendResult {
    if (this.#keys.has(key)) return { kind: 'processed' };
    if (!this.#server.accounts.has(user)) return noAccount;
    this.#keys.add(key);
    this.#server.witness.countHandedBack(chat.message.name, false);
    this.#server.giveBack(user, chat, when);
    return { kind: 'processed' };
  }

  detach(jid: string): { kind: 'detached'; h: number } | SendResult {
    const session = this.#sessions.get(jid);
    if (session) this.#finish(session, null);
    const ended = this.#ended.get(jid);
    if (!ended) return { ...gone, kind: 'refused' } as SendResult;
    ended.untold = null;
    const account = session && this.#server.accounts.get(session.user);
    if (account) this.#server.onChanged(account);
    return { kind: 'detached', h: ended.h };
  }

  /** The server ends a session by itself. */
  kick(user: string, reason: 'reset' | 'deleted'): void {
    const session = [...this.#sessions.values()].find((one) => one.user === user);
    if (!session) return;
    this.#server.world.say('server', () => `kicks ${session.jid}`);
    const account = this.#server.accounts.get(user);
    if (account) account.isKicked = true;
    this.#finish(session, reason);
    const end = this.#end;
    const h = this.queue.acked;
    if (end) this.#connection!.down(() => end.hearDetached(session.jid, h, reason));
  }

  #finish(session: AttachedSession, untold: string | null): void {
    this.#sessions.delete(session.jid);
    this.#ended.set(session.jid, { h: this.queue.acked, untold });
    this.#server.sessionDown(session);
    this.#reroute(
      this.queue.take((frame) => frame.session === session),
      untold !== null,
    );
    this.queue.tellMissed();
  }

  /** `forgets`: the server dies, and what it had in memory only is gone. */
  end(forgets: boolean): void {
    this.#expiry?.cancel();
    this.#connection?.cut();
    this.#expiry?.cancel();
    for (const session of this.#sessions.values()) this.#server.sessionDown(session);
    this.#sessions.clear();
    const taken = this.queue.take(() => true);
    if (forgets) for (const frame of taken) this.#lose(frame);
    else this.#reroute(taken, true);
  }

  /** What another resource has seen is not given back, nor are copies of what is kept elsewhere: the gateway is told to look there. */
  #reroute(frames: Queued[], unasked: boolean): void {
    const { witness } = this.#server;
    for (const frame of frames) {
      const { load } = frame;
      if (!('chat' in load)) continue;
      witness.expected.get(frame.user)?.delete(load.chat.message.name);
      if (!isCopy(frame)) {
        witness.countHandedBack(load.chat.message.name, unasked);
        this.#server.giveBack(frame.user, load.chat, toSeconds(frame.at));
      } else if (frame.session) this.queue.miss(frame.user);
    }
  }

  #lose(frame: Queued): void {
    const { witness } = this.#server;
    if (!('chat' in frame.load)) return;
    const { name } = frame.load.chat.message;
    witness.expected.get(frame.user)?.delete(name);
    if (!isCopy(frame)) this.#server.onLost(frame.user, name);
  }
}

const noAccount = { kind: 'refused', condition: 'item-not-found', text: 'there is no such account' } as const;

interface Attached {
  kind: 'attached';
  jid: string;
  resumed: boolean;
}

const gone = { kind: 'wait', condition: 'item-not-found', text: 'there is no such attached session' } as const;
