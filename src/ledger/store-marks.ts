// Marks: how far each user's archive on the legacy server is known here (DESIGN §4, Catch-up). A mark may lie behind what is on disk,
// which costs repeats that are known, and never before it. So it is kept in memory and written now and then: on disk at once it would
// be a page of its own for nearly every message.

import type { DatabaseSync } from 'node:sqlite';
import type { ArchivePlace, Mark, Missed } from './ledger.ts';
import type { Operations } from './operations.ts';

/** Written when so many users have moved, or the first of them so long ago. */
const maxPending = 5_000;
const maxAgeMs = 60_000;

type Pending = Map<string, ArchivePlace>;

export class Marks {
  readonly operations: Pick<Operations, 'mark' | 'marksToMend' | 'gapOpened' | 'caughtUp' | 'untoldGaps' | 'gapsTold'>;
  readonly #advance;
  readonly #openAll;
  readonly #begin;
  readonly #end;
  #pending: Pending = new Map();
  /** Written into the open transaction. */
  #written: Pending = new Map();
  /** Of the oldest that is pending, by the clock of those who accept. */
  #since = 0;

  constructor(db: DatabaseSync) {
    this.#advance = db.prepare(
      'UPDATE mark SET id = ?, at = ? WHERE user = ? AND gap_at IS NULL AND (at <= ?2 OR id IS NULL)',
    );
    // Each time another number: what was begun to close the gap before cannot close this one.
    const opened = 'UPDATE mark SET gap_at = max(?1, ifnull(gap_at + 1, 0))';
    this.#openAll = db.prepare(opened);
    this.#begin = db.prepare('INSERT OR REPLACE INTO mark (user, at) VALUES (?, ?)');
    this.#end = db.prepare('DELETE FROM mark WHERE user = ?');
    const openOne = db.prepare(`${opened} WHERE user = ?2`);
    const one = db.prepare('SELECT * FROM mark WHERE user = ?');
    const some = db.prepare(
      'SELECT * FROM mark WHERE user > ? AND (gap_at IS NOT NULL OR id IS NULL) ORDER BY user LIMIT ? + 0',
    );
    const go = db.prepare(
      `UPDATE mark SET id = ifnull(?1, id), at = ?2, missed = ifnull(?3, missed), gap_at = iif(?4, NULL, gap_at)
         WHERE user = ?5 AND gap_at IS ?6`,
    );
    const keepUntold = db.prepare('INSERT INTO untold_gap (user, missed) VALUES (?, ?)');
    const untold = db.prepare('SELECT user, missed FROM untold_gap ORDER BY id');
    const told = db.prepare('DELETE FROM untold_gap WHERE user = ?');
    this.operations = {
      mark: ({ user }) => this.#read(one.get(user)),
      marksToMend: ({ after, limit }) => {
        this.#flush();
        return some.all(after, limit).map((row) => ({ user: String(row.user), mark: markOf(row) }));
      },
      gapOpened: ({ user, at }) => {
        this.#flush();
        openOne.run(at, user);
      },
      caughtUp: ({ user, gapAt, place, missed, done }) => {
        const text = missed ? JSON.stringify(missed) : null;
        if (go.run(place.id ?? null, place.at, text, done ? 1 : 0, user, gapAt ?? null).changes === 0) return false;
        if (text !== null) keepUntold.run(user, text);
        return true;
      },
      untoldGaps: () =>
        untold.all().map(({ user, missed }) => ({ user: String(user), missed: JSON.parse(String(missed)) as Missed })),
      gapsTold: ({ user }) => void told.run(user),
    };
  }

  /** A live message of the user that the archive has is here. While a gap is open this moves nothing. */
  moved(user: string, place: ArchivePlace, now: number): void {
    const pending = this.#pending.get(user);
    if (pending && pending.at > place.at) return;
    if (this.#pending.size === 0) this.#since = now;
    this.#pending.set(user, place);
    if (this.#pending.size >= maxPending || now - this.#since >= maxAgeMs) this.#flush();
  }

  /** Messages may have been missed by all. */
  allOpened(at: number): void {
    this.#flush();
    this.#openAll.run(at);
  }

  /** The user is moved to apps: what is older the archive keeps for whoever asks. */
  began(user: string, at: number): void {
    this.#pending.delete(user);
    this.#begin.run(user, at);
  }

  ended(user: string): void {
    this.#pending.delete(user);
    this.#end.run(user);
  }

  /** What was written goes back to the others: writing it twice changes nothing. */
  restore(): void {
    this.#pending = new Map([...this.#written, ...this.#pending]);
    this.#written = new Map();
  }

  committed(): void {
    if (this.#written.size > 0) this.#written = new Map();
  }

  /** The mark as it will be written. */
  #read(row: Record<string, unknown> | undefined): Mark | null {
    if (!row) return null;
    const mark = markOf(row);
    const place = this.#pending.get(String(row.user));
    const isMoved = place && mark.gapAt === undefined && (place.at >= mark.at || mark.id === undefined);
    return isMoved ? { ...mark, ...place } : mark;
  }

  /** In the order of the rows, so that each page of them is changed once. */
  #flush(): void {
    if (this.#pending.size === 0) return;
    for (const user of [...this.#pending.keys()].sort()) {
      const place = this.#pending.get(user)!;
      this.#advance.run(place.id ?? null, place.at, user);
      this.#written.set(user, place);
    }
    this.#pending = new Map();
  }
}

function markOf({ id, at, gap_at: gapAt, missed }: Record<string, unknown>): Mark {
  return {
    ...(id !== null && { id: String(id) }),
    at: Number(at),
    ...(gapAt !== null && { gapAt: Number(gapAt) }),
    ...(missed !== null && { missed: JSON.parse(String(missed)) }),
  };
}
