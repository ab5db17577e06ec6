// The gateway's half of the attach protocol as the parts under test see it: requests, arrivals, cumulative acks.

import type { Element } from 'ltx';
import type { GiveBack, LegacyServer as Server } from '../../src/migration/server.ts';
import { nameOfShown, type Shown } from '../../src/migration/shown.ts';
import { AckWindow } from '../../src/xmpp/ack-window.ts';
import type { Arrival, SendResult } from '../../src/xmpp/session.ts';
import type { ArchiveQuery } from './archive.ts';
import type { Frame, Load } from './frame.ts';
import type { LegacyServer } from './legacy-server.ts';
import type { Life } from './life.ts';
import { Connection } from './pipe.ts';
import type { Link } from './server-link.ts';
import {
  carbonStanza,
  chatStanza,
  finStanza,
  noiseStanza,
  readArchiveQuery,
  readChat,
  resultStanza,
} from './stanzas.ts';
import type { World } from './world.ts';

export const linkName = 'gw.example.com/example.com';

export interface LinkParts {
  world: World;
  server: LegacyServer;
  life: Life;
  /** What is on disk about the link. */
  position(): Promise<{ epoch: string; h: number } | null>;
  receive(stanza: Element, arrival: Arrival, accepted: () => void): void;
  /** A chat message comes to the parts under test. */
  onChat(frame: Frame): void;
  /** Copies of the user's were left out. */
  onMissed(user: string, accepted: () => void): void;
  onUp(resumed: boolean): void;
  onDetached(jid: string, h: number, reason: string): void;
  /** The server was told that it may forget everything up to h. */
  onAcknowledged(epoch: string, h: number): void;
}

export class AttachLink implements Server {
  readonly link = linkName;
  readonly #parts: LinkParts;
  #connection: Connection | null = null;
  #welcomed = false;
  #epoch = '';
  #window = new AckWindow(0);
  #received = 0;
  #ackDue = false;
  readonly #pending = new Set<() => void>();

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  get up(): boolean {
    return this.#welcomed && this.#parts.life.isAlive;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get hasArchive(): boolean {
    return this.#parts.server.settings.hasArchive;
  }

  readonly lacks = new Set<never>();

  stands(): boolean {
    return this.up;
  }

  mayHold(epoch: string): boolean {
    return epoch === this.#epoch;
  }

  jidOf(user: string): string {
    return `${user}/mqtt`;
  }

  async connect(): Promise<void> {
    const { world, server, life, position } = this.#parts;
    const stored = this.#epoch === '' ? await position() : null;
    if (!life.step('hello')) return;
    if (stored) {
      this.#epoch = stored.epoch;
      this.#window = new AckWindow(stored.h);
    }
    const h = this.#window.h;
    const connection = new Connection(world, world.between(1, 30));
    this.#connection = connection;
    connection.onEnd(() => this.#lost(connection));
    connection.up(() => {
      if (!server.isUp) return connection.cut();
      const resumed = server.link !== null && server.link.epoch === this.#epoch;
      const link = resumed ? server.link! : server.newLink();
      if (resumed) this.#processAck(link, h);
      const welcome = { epoch: link.epoch, h: link.queue.acked, resumed };
      connection.down(() => this.#welcome(welcome));
      link.connect(connection, {
        hear: (frame) => this.#hear(frame),
        hearDetached: (jid, h, reason) => this.#hearDetached(jid, h, reason),
      });
    });
  }

  /** The network loses the connection. */
  cut(): void {
    this.#connection?.cut();
  }

  attach(user: string, shown: Shown | null) {
    return this.#ask(`attach ${user} ${nameOfShown(shown)}`, (link) => link.attach(user, shown));
  }

  show(jid: string, shown: Shown) {
    return this.#ask(`show ${jid} ${nameOfShown(shown)}`, (link) => link.show(jid, shown)) as Promise<{
      kind: 'processed';
    }>;
  }

  observe(user: string) {
    return this.#ask(`observe ${user}`, (link) => link.observe(user, true));
  }

  unobserve(user: string) {
    return this.#ask(`unobserve ${user}`, (link) => link.observe(user, false));
  }

  lock(user: string) {
    return this.#ask(`lock ${user}`, (link) => link.lock(user, true));
  }

  unlock(user: string) {
    return this.#ask(`unlock ${user}`, (link) => link.lock(user, false));
  }

  detach(jid: string) {
    this.#acknowledge();
    return this.#ask(`detach ${jid}`, (link) => link.detach(jid)) as Promise<{ kind: 'detached'; h: number }>;
  }

  giveBack({ user, key, at, stanza }: GiveBack) {
    const { life, server } = this.#parts;
    const chat = readChat(stanza, server.witness)!;
    const stamp = Math.floor(at / 1000) * 1000;
    return this.#ask(`return ${chat.message.name}`, (link) => {
      if (server.accounts.has(user)) life.told.returned(key, chat.message.name);
      return link.giveBack(user, key, chat, stamp);
    }) as Promise<{ kind: 'processed' }>;
  }

  sendAttached(jid: string, stanza: string, key: string): Promise<SendResult> {
    const chat = readChat(stanza, this.#parts.server.witness);
    const query = chat ? null : readArchiveQuery(stanza);
    const { life } = this.#parts;
    const { name, poison } = chat?.message ?? {};
    if (key.startsWith('k-')) life.told.sends(key);
    const what = `send ${name ?? (query ? asked(query) : 'an answer')} as ${jid}`;
    return this.#ask(what, (link) => link.send(jid, key, chat ?? query), poison === 'deadly') as Promise<SendResult>;
  }

  #ask<Answer extends { kind: string }>(
    what: string,
    work: (link: Link) => Answer,
    isDeadly = false,
  ): Promise<Answer | { kind: 'lost' }> {
    const { life, server, world } = this.#parts;
    const connection = this.#connection;
    if (!life.step(what)) return new Promise(() => {});
    if (!this.#welcomed || !connection?.isOpen) return Promise.resolve({ kind: 'lost' });
    return new Promise((resolve) => {
      const lost = () => resolve({ kind: 'lost' });
      this.#pending.add(lost);
      connection.up(() => {
        if (isDeadly) return connection.cut();
        const answer = work(server.link!);
        world.say('server', () => `${what}: ${answer.kind}`);
        connection.down(() => {
          this.#pending.delete(lost);
          if (life.step(`the result of ${what}`)) resolve(answer);
        });
      });
    });
  }

  /** The server's h may be beyond what is on disk: presence and requests leave no trace there. As src/xmpp/attach-link.ts does it. */
  #welcome({ epoch, h, resumed }: { epoch: string; h: number; resumed: boolean }): void {
    const { life, world, onUp } = this.#parts;
    if (!life.step('welcome')) return;
    world.say('gateway', () => `link up, epoch ${epoch}, ${resumed ? `resumed at ${h}` : 'new'}`);
    this.#welcomed = true;
    if (!resumed) this.#window = new AckWindow(0);
    this.#window.acceptAll(h);
    this.#epoch = epoch;
    this.#received = h;
    onUp(resumed);
  }

  #lost(connection: Connection): void {
    const { life, world } = this.#parts;
    if (this.#connection !== connection || !life.isAlive) return;
    world.say('gateway', () => 'link lost');
    this.#connection = null;
    this.#welcomed = false;
    for (const lost of this.#pending) lost();
    this.#pending.clear();
    life.clock.after(
      world.between(100, world.isRough && world.chance(0.1) ? 30_000 : 2_000),
      () => void this.connect(),
    );
  }

  #hear(frame: Frame): void {
    const { epoch, n, user, jid, seen, dir, load } = frame;
    const { life, world, receive } = this.#parts;
    if (!life.step(`d n=${n}`)) return;
    if (n !== this.#received + 1) return world.broke(`the link has a gap: ${n} came after ${this.#received}`);
    this.#received = n;
    const window = this.#window;
    if (window.has(n)) return;
    if ('taken' in load) return this.#accepted(window, n);
    if ('missed' in load) return this.#parts.onMissed(user, () => this.#accepted(window, n));
    const arrival = { user, seen, dir, position: { link: linkName, epoch, n } };
    const stanza = stanzaOf(load, user, jid, n);
    this.#parts.onChat(frame);
    let calls = 0;
    receive(stanza, arrival, () => {
      if (++calls > 1) world.broke(`accepted was called twice for n=${n}`);
      this.#accepted(window, n);
    });
  }

  #hearDetached(jid: string, h: number, reason: string): void {
    if (this.#parts.life.step('detached')) this.#parts.onDetached(jid, h, reason);
  }

  #accepted(window: AckWindow, n: number): void {
    const { life, world } = this.#parts;
    if (!life.step(`accepted n=${n}`) || !window.accept(n) || window !== this.#window || this.#ackDue) return;
    this.#ackDue = true;
    life.clock.after(world.between(0, 100), () => {
      this.#ackDue = false;
      this.#acknowledge();
    });
  }

  #acknowledge(): void {
    if (!this.#welcomed || !this.#parts.life.step('a')) return;
    const [epoch, h] = [this.#epoch, this.#window.h];
    this.#connection?.up(() => {
      const { link } = this.#parts.server;
      if (link?.epoch === epoch) this.#processAck(link, h);
    });
  }

  #processAck(link: Link, h: number): void {
    this.#parts.onAcknowledged(link.epoch, h);
    link.queue.ack(h);
  }
}

function stanzaOf(load: Exclude<Load, { taken: true } | { missed: true }>, user: string, jid: string, n: number) {
  if ('noise' in load) return noiseStanza(load.noise, jid, n);
  if ('fin' in load) return finStanza(load.fin, user, jid);
  const { chat, carbon, result } = load;
  if (result) return resultStanza(chat, result, jid);
  return carbon ? carbonStanza(chat, carbon, user, jid) : chatStanza(chat);
}

function asked({ after, start, max }: ArchiveQuery): string {
  const from = after ?? (start === undefined ? 'the end' : new Date(start).toISOString());
  return `a query for ${max} of the archive from ${from}`;
}
