// Catch-up: what a user's archive on the legacy server has and the ledger has not, page by page, through the user's session (DESIGN §4).

import type { Clock, Timer } from '../clock.ts';
import type { Ledger, Mark, Missed } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { Line } from '../migration/line.ts';
import type { LegacyServer } from '../migration/server.ts';
import type { Users } from '../migration/users.ts';
import { archiveQuery, type NoPage, type Page, Reading, readPage, type Wish } from '../xmpp/archive-query.ts';
import type { Asks } from './asks.ts';
import type { Sessions } from './sessions.ts';

/** So many users at once: the legacy server has its clients to serve. */
const concurrent = 4;
/** A user with a long gap has so many pages at a time; then it is the turn of others. */
const pagesInARow = 10;
const pageMax = 100;
const pageMin = 10;
const firstRetryMs = 1_000;
const lastRetryMs = 300_000;
/** An archive that refuses so often in a row is none. */
const maxRefusals = 5;
/** The server's clock and ours: what is asked for by time is asked for from a little before. What is here already is a repeat. */
const skewMs = 10_000;
const forgottenSkewMs = 60_000;
const loadPage = 1_000;

export interface CatchUpParts {
  users: Users;
  ledger: Ledger;
  server: LegacyServer;
  sessions: Sessions;
  asks: Asks;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  fault: (error: unknown) => void;
}

/** What came of one step for one user. */
type Step = 'done' | 'again' | 'failed';
type Refused = Pick<NoPage, 'condition' | 'isRefusal'>;

export class CatchUp {
  readonly #parts: CatchUpParts;
  readonly #waiting = new Line<string>();
  /** Under way, and due once more after that. */
  readonly #dueAgain = new Set<string>();
  /** Users under way, with the query of each that has one. */
  readonly #running = new Map<string, Reading | null>();
  /** In a row, of each user: what failed, and the refusals among it. */
  readonly #failures = new Map<string, number>();
  readonly #refusals = new Map<string, number>();
  readonly #retries = new Map<string, Timer>();
  /** Of users under way for whom the server's queue did not take a larger page. */
  readonly #fitting = new Map<string, number>();
  #stopped = false;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** The last run may have died between writing down what may be missing and logging it. */
  async start(): Promise<void> {
    for (const { user, missed } of await this.#parts.ledger.do('untoldGaps', {})) this.#report(user, missed);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#retries.values()) timer.cancel();
  }

  /** The user's session has shown itself, so the server has flushed what lay offline: now the archive may be asked. */
  available(user: string): void {
    this.#lineUp(user);
    this.#pump();
  }

  /** The link is the old one: what a crash or a lost connection has left undone is taken up. */
  linkResumed(): void {
    this.#load().catch(this.#parts.fault);
  }

  /** Messages of the user may have been missed. Resolves when that is on disk. */
  async missed(user: string): Promise<void> {
    const { ledger, clock } = this.#parts;
    this.#running.get(user)?.isCut();
    await ledger.do('gapOpened', { user, at: clock.now() });
    this.available(user);
  }

  /** The query of ours that a result of the archive says it answers, if it is open. */
  reading(user: string, queryId: string | undefined): Reading | undefined {
    const reading = this.#running.get(user);
    return reading?.queryId === queryId ? (reading ?? undefined) : undefined;
  }

  async #load(): Promise<void> {
    for (let after = ''; ; ) {
      const page = await this.#parts.ledger.do('marksToMend', { after, limit: loadPage });
      for (const { user } of page) if (this.#turnOf(user) !== 'never') this.#lineUp(user);
      this.#pump();
      if (page.length < loadPage) return;
      after = page.at(-1)!.user;
    }
  }

  /**
   * Without a session, or with one that nobody sees, nothing is asked: the gap stays open until `available`. `soon`: how the session
   * shows itself is being changed, and nobody says when that is over.
   */
  #turnOf(jid: string): 'now' | 'soon' | 'never' {
    const { users, sessions } = this.#parts;
    const attached = users.get(jid)?.attached;
    if (this.#stopped || !attached || !users.isPublished(jid) || !sessions.of(jid)) return 'never';
    if (attached.shown === undefined) return 'soon';
    return attached.shown === null ? 'never' : 'now';
  }

  #lineUp(user: string): void {
    if (this.#running.has(user)) this.#dueAgain.add(user);
    else this.#waiting.add(user);
  }

  #pump(): void {
    while (!this.#stopped && this.#running.size < concurrent) {
      const user = this.#waiting.take();
      if (user === undefined) return;
      const turn = this.#turnOf(user);
      if (turn === 'soon') this.#lookAgain(user, firstRetryMs);
      else this.#noRetry(user);
      // Without a session nobody comes back to it: what is known of its failures goes, too.
      if (turn === 'never') this.#forgetFailures(user);
      if (turn !== 'now') continue;
      this.#running.set(user, null);
      this.#run(user).catch(this.#parts.fault);
    }
  }

  async #run(user: string): Promise<void> {
    let step: Step = 'again';
    for (let pages = 0; pages < pagesInARow && step === 'again' && this.#turnOf(user) === 'now'; pages++)
      step = await this.#step(user);
    this.#running.delete(user);
    this.#fitting.delete(user);
    if (this.#stopped) return;
    if (step === 'failed' && this.#turnOf(user) === 'now') this.#later(user);
    else {
      this.#forgetFailures(user);
      // Broken off, or others are to have their turn.
      if (step !== 'done') this.#waiting.add(user);
    }
    if (this.#dueAgain.delete(user)) this.#waiting.add(user);
    this.#pump();
  }

  /** One page further. */
  async #step(user: string): Promise<Step> {
    const { ledger, server, clock } = this.#parts;
    const mark = await ledger.do('mark', { user });
    if (!mark || (mark.gapAt === undefined && mark.id !== undefined)) return 'done';
    const now = clock.now();
    if (!server.hasArchive) return this.#giveUp(user, mark, { from: mark.at, to: now, reason: 'no-archive' });
    if (mark.gapAt === undefined) return this.#anchor(user);
    const { page, reading } = await this.#ask(user, mark.id ? { after: mark.id } : { since: mark.at - skewMs });
    if (page.kind === 'unknown') return this.#stepByTime(user, mark);
    if (page.kind !== 'page') return this.#failed(user, mark, page);
    return this.#turn(user, mark, page, reading);
  }

  /** The archive has forgotten the place: it may have forgotten what came behind it, too. */
  async #stepByTime(user: string, mark: Mark): Promise<Step> {
    const { page, reading } = await this.#ask(user, { since: mark.at - forgottenSkewMs });
    if (page.kind !== 'page') return this.#failed(user, mark, page);
    const to = Math.max(mark.at, reading.firstAt ?? this.#parts.clock.now());
    return this.#turn(user, mark, page, reading, { from: mark.at, to, reason: 'mark-unknown' });
  }

  /** The page is on disk: the mark moves to its end. */
  async #turn(
    user: string,
    mark: Mark,
    page: Extract<Page, { kind: 'page' }>,
    reading: Reading,
    missed?: Missed,
  ): Promise<Step> {
    const { last, isComplete } = page;
    // It would be asked for the same page for ever.
    if (!isComplete && last === mark.id) return this.#failed(user, mark, { condition: 'bad-request', isRefusal: true });
    const at = Math.max(mark.at, reading.place?.at ?? mark.at);
    const place = { id: last ?? (missed ? undefined : mark.id), at };
    const { gapAt } = mark;
    const isMoved = await this.#parts.ledger.do('caughtUp', { user, gapAt, place, missed, done: isComplete });
    this.#forgetFailures(user);
    if (isMoved && missed) this.#report(user, missed);
    if (isMoved && isComplete) this.#parts.log.info({ event: 'catch-up.done', user, since: mark.gapAt });
    return 'again';
  }

  /** The mark of a user that has just been moved: what is in the archive already, the app asks for itself. */
  async #anchor(user: string): Promise<Step> {
    const { page, reading } = await this.#ask(user, 'end');
    if (page.kind !== 'page') return this.#isRefused(user, page) ? 'done' : 'failed';
    if (page.last === undefined || !reading.place) return 'done';
    const place = { id: page.last, at: reading.place.at };
    await this.#parts.ledger.do('caughtUp', { user, place, done: true });
    return 'done';
  }

  /** What the server's queue does not take of an answer is left out, and the answer's end with it: then a smaller page is asked for. */
  async #ask(user: string, wish: Wish): Promise<{ page: Page; reading: Reading }> {
    for (;;) {
      const reading = new Reading(wish);
      this.#running.set(user, reading);
      const max = wish === 'end' ? 1 : this.#pageSize(user);
      const query = archiveQuery({ user, queryId: reading.queryId, wish, max });
      const answer = await Promise.race([this.#parts.asks.ask(user, query), reading.cut]);
      this.#running.set(user, null);
      await reading.settled();
      if (answer !== 'cut') return { page: readPage(answer), reading };
      if (max === 1) return { page: readPage(null), reading };
      this.#fitting.set(user, max >> 1);
    }
  }

  #pageSize(user: string): number {
    const afterFailures = Math.max(pageMin, pageMax >> (this.#failures.get(user) ?? 0));
    return Math.min(afterFailures, this.#fitting.get(user) ?? pageMax);
  }

  #failed(user: string, mark: Mark, page: Refused): Step | Promise<Step> {
    if (!this.#isRefused(user, page)) return 'failed';
    this.#forgetFailures(user);
    return this.#giveUp(user, mark, { from: mark.at, to: this.#parts.clock.now(), reason: 'archive-refused' });
  }

  /** Whether there is no use in asking again. */
  #isRefused(user: string, { condition, isRefusal }: Refused): boolean {
    const refusals = (this.#refusals.get(user) ?? 0) + (isRefusal ? 1 : 0);
    this.#refusals.set(user, refusals);
    this.#parts.log.warn({ event: 'catch-up.failed', user, condition, refusals });
    return refusals >= maxRefusals;
  }

  #forgetFailures(user: string): void {
    this.#failures.delete(user);
    this.#refusals.delete(user);
  }

  /** Nothing can be asked: from now on all is here again. */
  async #giveUp(user: string, mark: Mark, missed: Missed): Promise<Step> {
    const { gapAt, id } = mark;
    if (gapAt === undefined) return 'done';
    const place = { id, at: missed.to };
    if (await this.#parts.ledger.do('caughtUp', { user, gapAt, place, missed, done: true })) this.#report(user, missed);
    return 'again';
  }

  /** It is on disk, as untold: after a crash in between it is told twice rather than never. */
  #report(user: string, { from, to, reason }: Missed): void {
    const { ledger, log, metrics } = this.#parts;
    metrics.gaps.inc({ reason });
    log.warn(
      { event: 'gateway.gap', user, reason, from: new Date(from).toISOString(), to: new Date(to).toISOString() },
      'messages of this time may be missing',
    );
    ledger.note('gapsTold', { user });
  }

  #later(user: string): void {
    const failures = this.#failures.get(user) ?? 0;
    this.#failures.set(user, failures + 1);
    this.#lookAgain(user, Math.min(lastRetryMs, firstRetryMs * 2 ** failures) * (0.5 + this.#parts.clock.random() / 2));
  }

  #lookAgain(user: string, delayMs: number): void {
    this.#noRetry(user);
    this.#retries.set(
      user,
      this.#parts.clock.after(delayMs, () => this.available(user)),
    );
  }

  #noRetry(user: string): void {
    this.#retries.get(user)?.cancel();
    this.#retries.delete(user);
  }
}
