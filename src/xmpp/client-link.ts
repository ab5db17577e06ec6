// Users on a server without the module: one client session each, made a few a second, and the server looked for while it is away
// (docs/decisions/attach-client.md).

import { randomBytes } from 'node:crypto';
import { type Clock, every, type Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { ArchiveWatch } from './archive-watch.ts';
import type { MissedHandler, SkippedHandler } from './arrivals.ts';
import { HandBack, type Shown } from './client-hand-back.ts';
import { type Failure, Logins, type LoginsOptions } from './client-logins.ts';
import { Lookout } from './client-lookout.ts';
import { ClientSession, type Opened } from './client-session.ts';
import type { ClientTarget, Closed } from './client-stream.ts';
import { prepareBare } from './jid.ts';
import type { Ability, Attached, AttachRequest, Detached, GiveBackRequest, Link, LinkUp } from './link.ts';
import { Remembered } from './remembered.ts';
import type { SendResult, StanzaHandler } from './session.ts';
import { linkOf, type SessionMemory } from './session-memory.ts';
import type { ReaderLimits } from './stanza-limits.ts';

export interface ClientLinkOptions {
  target: ClientTarget;
  resource: string;
  /** Logins in a second. */
  perSecond: number;
  credentialOf: LoginsOptions['credentialOf'];
  /** From one visit to the archive of a user in `shadow` to the next. */
  archiveEveryMs: number;
  memory: SessionMemory;
  limits: Partial<ReaderLimits>;
  clock: Clock;
  log: Log;
}

interface Held extends Shown {
  /** It was there already. */
  isResumed: boolean;
}

const lookEveryMs = 15_000;
const silentMs = 60_000;
const deadMs = 120_000;
/** How the session shows itself: undirected. */
const ownPresence = /^<presence(?![^>]* to=)/;
/** Ended by these, a session is not looked for: somebody has decided it. */
const ended = ['conflict', 'policy-violation', 'not-authorized', 'not-allowed'];

export class ClientLink implements Link {
  readonly name: string;
  readonly epoch = randomBytes(12).toString('base64url');
  readonly lacks: ReadonlySet<Ability> = new Set(['liveCopies', 'lock', 'return'] as const);
  onUp: (up: LinkUp) => void = () => {};
  onDown: () => void = () => {};
  onRefused: (reason: string) => void = () => {};
  onStanza: StanzaHandler = () => {};
  onSkipped: SkippedHandler = () => {};
  onMissed: MissedHandler = () => {};
  onDetached: (detached: { jid: string; reason: string; h: number }) => void = () => {};
  onLost: (jid: string) => void = () => {};
  onCopiesLost: (user: string) => void = () => {};
  readonly #options: ClientLinkOptions;
  readonly #logins: Logins;
  readonly #lookout: Lookout;
  readonly #watch: ArchiveWatch;
  readonly #handBack: HandBack;
  readonly #held = new Map<string, Held>();
  /** Not held yet. */
  readonly #opening = new Set<ClientSession>();
  /** One thing after the other for each user. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Names other than the configured one, of users from whom a client took that. A name that is forgotten costs one more conflict. */
  readonly #resources: Remembered<string>;
  #up = false;
  #wasUp = false;
  #hasArchive: boolean | null = null;
  #isPaused = false;
  #isStopped = false;
  #looking?: Timer;

  constructor(options: ClientLinkOptions) {
    this.#options = options;
    this.name = `c2s/${options.target.domain}`;
    this.#resources = new Remembered(options.clock);
    this.#logins = new Logins(options);
    this.#lookout = new Lookout({
      ...options,
      link: this.name,
      found: () => this.#isThere(),
      refused: (reason) => this.onRefused(reason),
    });
    this.#watch = new ArchiveWatch({
      ...options,
      everyMs: options.archiveEveryMs,
      logins: this.#logins,
      onStanza: (stanza, arrival, accepted) => this.onStanza(stanza, arrival, accepted),
      onLost: (user) => this.onCopiesLost(user),
    });
    this.#handBack = new HandBack({
      clock: options.clock,
      held: (user) => this.#standing(user),
      open: (user) => this.#open(user, { resource: options.resource, carbons: false, mustResume: false }),
      inTurn: (user, act) => this.#inTurn(user, act),
    });
  }

  get up(): boolean {
    return this.#up;
  }

  get hasArchive(): boolean {
    return this.#hasArchive ?? false;
  }

  start(): void {
    const { clock, log } = this.#options;
    const failed = (fault: unknown) => log.error({ event: 'client.fault', fault: String(fault) });
    this.#looking = every(clock, lookEveryMs, () => this.#lookAround(), failed);
    this.#lookout.look();
  }

  /** The sessions stay on the server, to be resumed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#up = false;
    this.#looking?.cancel();
    this.#lookout.stop();
    this.#watch.stop();
    for (const session of this.#opening) session.drop('stopped');
    await this.#handBack.stop(this.#held.values());
    await Promise.all([...this.#held.values()].map(({ session }) => session.suspend()));
  }

  pauseReading(): void {
    this.#isPaused = true;
    for (const { session } of this.#held.values()) session.pause();
  }

  resumeReading(): void {
    this.#isPaused = false;
    for (const { session } of this.#held.values()) session.resume();
  }

  stands(jid: string): boolean {
    return this.#of(jid) !== undefined;
  }

  /** Sessions outlive connections, and this process. */
  mayHold(): boolean {
    return true;
  }

  attach(requests: AttachRequest[]): Promise<Attached[]> {
    const { domain } = this.#options.target;
    return Promise.all(
      requests.map((request) => {
        const user = `${request.user}@${domain}`;
        return this.#inTurn(user, () => this.#attach(user, request));
      }),
    );
  }

  async send(from: string, stanza: string, key: string): Promise<SendResult> {
    const held = this.#of(from);
    if (!held) return { kind: 'lost' };
    const isShown = ownPresence.test(stanza);
    if (isShown) {
      held.presence = stanza;
      held.session.isAvailable = true;
      this.#handBack.taken(held.session.user, held.session);
    }
    const result = await held.session.send(stanza, key);
    if (isShown && result.kind === 'processed') held.session.appeared();
    return result;
  }

  giveBack(request: GiveBackRequest): Promise<SendResult> {
    return this.#inTurn(request.to, () => this.#handBack.giveBack(request));
  }

  detach(jid: string): Promise<Detached> {
    const user = prepareBare(jid) ?? jid;
    return this.#inTurn(user, () => this.#detach(user));
  }

  /** Late copies only. */
  async observe(user: string): Promise<SendResult> {
    return this.#up ? this.#watch.observe(`${user}@${this.#options.target.domain}`) : { kind: 'lost' };
  }

  async unobserve(user: string): Promise<SendResult> {
    return this.#watch.unobserve(`${user}@${this.#options.target.domain}`);
  }

  lock(): Promise<SendResult> {
    return Promise.resolve(cannot);
  }

  unlock(): Promise<SendResult> {
    return Promise.resolve(cannot);
  }

  #of(jid: string): Held | undefined {
    const held = this.#standing(prepareBare(jid) ?? jid);
    return held?.session.jid === jid ? held : undefined;
  }

  #standing(user: string): Held | undefined {
    const held = this.#held.get(user);
    return held?.session.stands ? held : undefined;
  }

  #inTurn<T>(user: string, act: () => Promise<T>): Promise<T> {
    const mine = (this.#turns.get(user) ?? Promise.resolve()).then(act);
    const after = mine.catch(() => {});
    this.#turns.set(user, after);
    void after.then(() => this.#turns.get(user) === after && this.#turns.delete(user));
    return mine;
  }

  async #attach(user: string, { resource, carbons, presence }: AttachRequest): Promise<Attached> {
    const there = this.#standing(user);
    const opened = there ?? (await this.#open(user, { resource, carbons, mustResume: false }));
    if ('kind' in opened) return opened.kind === 'gone' ? { kind: 'lost' } : opened;
    const { session } = opened;
    this.#handBack.taken(user, session);
    if (carbons) session.wantCarbons();
    opened.presence = presence ?? opened.presence;
    // One that shows itself already is shown otherwise by whoever asked for it.
    if (opened.presence !== null && !session.isAvailable && !(await session.show(opened.presence)))
      return { kind: 'lost' };
    session.isMade();
    return { kind: 'attached', jid: session.jid, resumed: there !== undefined || opened.isResumed };
  }

  async #detach(user: string): Promise<Detached> {
    const done = { kind: 'detached', h: 0, returned: 0 } as const;
    let held = this.#standing(user);
    if (held) this.#handBack.taken(user, held.session);
    else {
      const { memory, resource } = this.#options;
      const old = await memory.position(linkOf(user));
      if (!old || old.epoch === '') return done;
      const opened = await this.#open(user, { resource, carbons: false, mustResume: true });
      if ('kind' in opened) {
        // Who may not log in cannot hold a session for long either.
        return opened.kind === 'gone' || opened.kind === 'refused' ? done : opened;
      }
      held = opened;
    }
    return (await held.session.leave()) ? done : { kind: 'lost' };
  }

  async #open(
    user: string,
    how: { resource: string; carbons: boolean; mustResume: boolean },
  ): Promise<Held | Failure | { kind: 'gone' }> {
    const { target, limits, clock, memory, log } = this.#options;
    const admitted = await this.#logins.admit(user);
    if (admitted.kind !== 'admitted') return admitted;
    if (!this.#up) return { kind: 'lost' };
    const { login } = admitted;
    const resource = this.#resources.get(user) ?? how.resource;
    const session = new ClientSession({
      ...{ target, limits, clock, memory, log, user, login, resource, carbons: how.carbons },
      ...{ mustResume: how.mustResume, hasArchive: this.#hasArchive, events: this },
      onClosed: (closed) => this.#closed(user, session, closed),
    });
    this.#opening.add(session);
    const opened = await session.opened;
    this.#opening.delete(session);
    if (opened.kind === 'failed') return this.#failed(user, opened.closed);
    if (opened.kind === 'gone') return opened;
    // It may be over already.
    if (!session.stands) return { kind: 'lost' };
    return this.#opened(user, session, opened);
  }

  #opened(user: string, session: ClientSession, { resumed, hasArchive }: Extract<Opened, { kind: 'open' }>): Held {
    const held: Held = { session, isResumed: resumed, presence: null };
    this.#held.set(user, held);
    // Not before: what it has to be told while it is made is little, and a server that is not read does not answer.
    if (this.#isPaused) session.pause();
    this.#logins.passed(user);
    this.#hasArchive = hasArchive ?? this.#hasArchive;
    this.#options.log.debug({ event: 'client.open', user, jid: held.session.jid, resumed });
    return held;
  }

  #failed(user: string, closed: Closed): Failure {
    if (closed.by === 'unreachable') this.#down(`${closed.condition}: ${closed.text}`);
    return this.#logins.failed(user, closed);
  }

  /** A session that stood has lost its connection, or was ended by the server. */
  #closed(user: string, session: ClientSession, { by, condition, text }: Closed): void {
    const held = this.#held.get(user);
    if (held?.session !== session) return;
    const wasLeft = by === 'us' && condition === 'ended';
    const wasEnded = by === 'stream-error' && ended.includes(condition);
    this.#handBack.taken(user, session);
    this.#held.delete(user);
    if (this.#isStopped || wasLeft) return;
    this.#options.log.info({ event: 'client.lost', user, jid: session.jid, by, condition, text });
    if (wasEnded) {
      // Whoever took the name keeps it; else both would take it from each other for ever.
      if (condition === 'conflict')
        this.#resources.set(user, `${this.#options.resource}-${randomBytes(3).toString('hex')}`);
      this.onDetached({ jid: session.jid, reason: condition, h: 0 });
    } else this.onLost(session.jid);
  }

  #lookAround(): void {
    const now = this.#options.clock.now();
    for (const { session } of this.#held.values()) {
      if (now - session.heardAt > deadMs && !this.#isPaused) session.drop('no sign of life');
      else if (now - session.heardAt > silentMs) session.ping();
    }
  }

  #down(reason: string): void {
    if (!this.#up) return;
    this.#up = false;
    this.#options.log.warn({ event: 'attach.down', link: this.name, reason });
    this.onDown();
    this.#lookout.lookLater();
  }

  #isThere(): void {
    this.#up = true;
    this.#options.log.info({ event: 'attach.up', link: this.name, resumed: this.#wasUp, epoch: this.epoch });
    const up = { resumed: this.#wasUp, missed: false, epoch: this.epoch, sessions: this.#held.size };
    this.#wasUp = true;
    this.onUp(up);
  }
}

const cannot: SendResult = {
  kind: 'refused',
  condition: 'feature-not-implemented',
  text: 'only the server module can do that',
};
