// A model of the server's half of the attach protocol (docs/attach-protocol.md): one link in one epoch.

import type { Timer } from '../../src/clock.ts';
import { nameOfShown, type Shown } from '../../src/migration/shown.ts';
import type { SendResult } from '../../src/xmpp/session.ts';
import { type Chat, toSeconds } from './chat.ts';
import { type Frame, type LinkEnd, type Load, nameOf } from './frame.ts';
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
  endLink(reason: string): void;
  sessionUp(session: AttachedSession): void;
  sessionDown(session: AttachedSession): void;
  route(chat: Chat): void;
  giveBack(jid: string, chat: Chat, when: number): void;
}

interface Queued extends Frame {
  session: AttachedSession;
  at: number;
}

export class Link {
  readonly epoch: string;
  readonly #server: Host;
  n = 0;
  acked = 0;
  readonly queue = new Map<number, Queued>();
  readonly #sessions = new Map<string, AttachedSession>();
  readonly #ended = new Map<string, { h: number; untold: boolean }>();
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
    for (const [jid, ended] of this.#ended) if (ended.untold) connection.down(() => end.hearDetached(jid, ended.h));
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

  push(session: AttachedSession, chat: Chat, seen: boolean): void {
    this.#queue(session, { chat }, seen);
  }

  noise(user: string, noise: 'presence' | 'ping'): void {
    for (const session of this.#sessions.values()) if (session.user === user) this.#queue(session, { noise }, false);
  }

  #queue(session: AttachedSession, load: Load, seen: boolean): void {
    const { user, jid } = session;
    const frame: Queued = {
      epoch: this.epoch,
      n: ++this.n,
      user,
      jid,
      seen,
      load,
      session,
      at: this.#server.world.now,
    };
    this.queue.set(frame.n, frame);
    this.#server.world.say('server', () => `d n=${frame.n} ${nameOf(load)} for ${jid}${seen ? ' (seen)' : ''}`);
    this.#write(frame);
  }

  /** Cumulative. */
  ack(h: number): void {
    for (let n = this.acked + 1; n <= h; n++) this.queue.delete(n);
    this.acked = Math.max(this.acked, h);
  }

  attach(user: string, shown: Shown | null): { kind: 'attached'; jid: string } {
    let session = [...this.#sessions.values()].find((one) => one.user === user);
    if (!session) {
      session = { user, jid: `${user}/mqtt`, shown, link: this };
      this.#sessions.set(session.jid, session);
      this.#ended.delete(session.jid);
      this.#server.world.say('server', () => `attaches ${user} (${nameOfShown(shown)})`);
      this.#server.sessionUp(session);
    }
    session.shown = shown;
    return { kind: 'attached', jid: session.jid };
  }

  show(jid: string, shown: Shown): SendResult {
    const session = this.#sessions.get(jid);
    if (!session) return gone;
    session.shown = shown;
    return { kind: 'processed' };
  }

  send(jid: string, key: string, chat: Chat | null): SendResult {
    if (!this.#sessions.has(jid)) return gone;
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
    this.#server.route(chat);
    return { kind: 'processed' };
  }

  giveBack(user: string, key: string, chat: Chat, when: number): SendResult {
    if (this.#keys.has(key)) return { kind: 'processed' };
    this.#keys.add(key);
    this.#server.witness.countHandedBack(chat.message.name, false);
    this.#server.giveBack(user, chat, when);
    return { kind: 'processed' };
  }

  detach(jid: string): { kind: 'detached'; h: number } | SendResult {
    const session = this.#sessions.get(jid);
    if (session) this.#finish(session, false);
    const ended = this.#ended.get(jid);
    if (!ended) return { ...gone, kind: 'refused' } as SendResult;
    ended.untold = false;
    return { kind: 'detached', h: ended.h };
  }

  /** The server ends a session by itself. */
  kick(user: string): void {
    const session = [...this.#sessions.values()].find((one) => one.user === user);
    if (!session) return;
    this.#server.world.say('server', () => `kicks ${session.jid}`);
    this.#finish(session, true);
    const end = this.#end;
    const h = this.acked;
    if (end) this.#connection!.down(() => end.hearDetached(session.jid, h));
  }

  #finish(session: AttachedSession, untold: boolean): void {
    this.#sessions.delete(session.jid);
    this.#ended.set(session.jid, { h: this.acked, untold });
    this.#server.sessionDown(session);
    this.#reroute(
      [...this.queue.values()].filter((frame) => frame.session === session),
      untold,
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
      if (!('chat' in load) || frame.seen) continue;
      this.#server.witness.countHandedBack(load.chat.message.name, unasked);
      this.#server.giveBack(frame.user, load.chat, toSeconds(frame.at));
    }
  }
}

const gone = { kind: 'wait', condition: 'item-not-found', text: 'there is no such attached session' } as const;
