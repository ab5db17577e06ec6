// A model of the server's half of the attach protocol (docs/attach-protocol.md): one link in one epoch.

import type { Timer } from '../../src/clock.ts';
import { nameOfShown, type Shown } from '../../src/migration/shown.ts';
import type { SendResult } from '../../src/xmpp/session.ts';
import { type Chat, toSeconds } from './chat.ts';
import { type Frame, type LinkEnd, type Load, nameOf } from './frame.ts';
import type { Account } from './legacy-server.ts';
import type { Connection } from './pipe.ts';
import type { Witness } from './witness.ts';
import type { World } from './world.ts';

export interface AttachedSession {
  user: string;
  jid: string;
  shown: Shown | null;
  link: Link;
}

/** The server around its link. */
export interface Host {
  readonly world: World;
  readonly witness: Witness;
  readonly settings: { resumeTimeoutMs: number };
  readonly link: Link | null;
  readonly accounts: Map<string, Account>;
  onChanged(account: Account): void;
  endLink(reason: string): void;
  available(session: AttachedSession): void;
  sessionUp(session: AttachedSession): void;
  sessionDown(session: AttachedSession): void;
  route(chat: Chat, session?: AttachedSession): void;
  clientOffline(jid: string): void;
  giveBack(jid: string, chat: Chat, when: number): boolean;
}

interface Queued extends Frame {
  /** None: a copy. */
  session: AttachedSession | null;
  at: number;
}

export class Link {
  readonly epoch: string;
  readonly #server: Host;
  n = 0;
  acked = 0;
  readonly queue = new Map<number, Queued>();
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
  }

  /** After the welcome: what is not acknowledged follows again. */
  connect(connection: Connection, end: LinkEnd): void {
    this.#expiry?.cancel();
    this.#connection = connection;
    this.#end = end;
    connection.onEnd(() => this.#lost(connection));
    for (const [jid, { h, untold }] of this.#ended)
      if (untold !== null) connection.down(() => end.hearDetached(jid, h, untold));
    for (const frame of this.queue.values()) this.#write(frame);
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

  push(session: AttachedSession, load: Load, seen: boolean): void {
    this.#queue({ user: session.user, jid: session.jid, seen, load, session });
  }

  /** What `observe` sees. */
  pushCopy(user: string, chat: Chat, dir: 'in' | 'out'): void {
    this.#queue({ user, jid: user, seen: false, dir, load: { chat }, session: null });
  }

  noise(user: string, noise: 'presence' | 'ping'): void {
    for (const session of this.#sessions.values()) if (session.user === user) this.push(session, { noise }, false);
  }

  #queue(what: Omit<Queued, 'epoch' | 'n' | 'at'>): void {
    const frame: Queued = { ...what, epoch: this.epoch, n: ++this.n, at: this.#server.world.now };
    const { n, dir, jid, seen, load } = frame;
    this.queue.set(n, frame);
    const how = `${seen ? ' (seen)' : ''}${dir ? ` (observed ${dir})` : ''}`;
    this.#server.world.say('server', () => `d n=${n} ${nameOf(load)} for ${jid}${how}`);
    this.#write(frame);
  }

  /** Cumulative. */
  ack(h: number): void {
    for (let n = this.acked + 1; n <= h; n++) this.queue.delete(n);
    this.acked = Math.max(this.acked, h);
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

  send(jid: string, key: string, chat: Chat | null): SendResult {
    const session = this.#sessions.get(jid);
    if (!session) return gone;
    if (this.#keys.has(key)) return { kind: 'processed' };
    if (this.#server.world.isRough && this.#server.world.chance(0.02)) {
      return { kind: 'wait', condition: 'resource-constraint', text: 'busy' };
    }
    if (chat?.message.from.startsWith('carol@') && chat.message.n === 3) {
      return { kind: 'refused', condition: 'not-acceptable', text: 'carol sends no third message' };
    }
    this.#keys.add(key);
    if (!chat) return { kind: 'processed' };
    if (this.#sent.has(chat.message.name))
      this.#server.world.broke(`${chat.message.name} was sent twice in epoch ${this.epoch}`);
    this.#sent.add(chat.message.name);
    this.#server.route({ ...chat, from: jid }, session);
    return { kind: 'processed' };
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
    const h = this.acked;
    if (end) this.#connection!.down(() => end.hearDetached(session.jid, h, reason));
  }

  #finish(session: AttachedSession, untold: string | null): void {
    this.#sessions.delete(session.jid);
    this.#ended.set(session.jid, { h: this.acked, untold });
    this.#server.sessionDown(session);
    this.#reroute(
      [...this.queue.values()].filter((frame) => frame.session === session),
      untold !== null,
    );
  }

  end(): void {
    this.#expiry?.cancel();
    this.#connection?.cut();
    this.#expiry?.cancel();
    for (const session of this.#sessions.values()) this.#server.sessionDown(session);
    this.#sessions.clear();
    this.#reroute([...this.queue.values()], true);
  }

  /** Takes frames out of the queue; their numbers stay, as empty `<d/>`. What another resource has seen is not given back. */
  #reroute(frames: Queued[], unasked: boolean): void {
    for (const frame of frames) {
      const { load } = frame;
      frame.load = { taken: true };
      // Copies of what is kept elsewhere are not given back.
      if ('chat' in load) this.#server.witness.expected.get(frame.user)?.delete(load.chat.message.name);
      if (!('chat' in load) || load.carbon || frame.dir || frame.seen) continue;
      this.#server.witness.countHandedBack(load.chat.message.name, unasked);
      this.#server.giveBack(frame.user, load.chat, toSeconds(frame.at));
    }
  }
}

const noAccount = { kind: 'refused', condition: 'item-not-found', text: 'there is no such account' } as const;

interface Attached {
  kind: 'attached';
  jid: string;
  resumed: boolean;
}

const gone = { kind: 'wait', condition: 'item-not-found', text: 'there is no such attached session' } as const;
