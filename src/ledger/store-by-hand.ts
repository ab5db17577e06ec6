// The store's verbs for an operator: retry, take out for a return, end; each with its line in the audit.

import type { DatabaseSync } from 'node:sqlite';
import {
  accepted,
  acked,
  dead,
  discarded,
  type KeySpace,
  type Place,
  parked,
  returned,
  returnKeyOf,
  sole,
  toMqtt,
  toXmpp,
} from './codes.ts';
import type { Derived } from './derived.ts';
import type { AuditNote, Retried, TakenOut } from './ledger.ts';
import type { Operations } from './operations.ts';
import { requestKey } from './repeat.ts';
import { ender, type Standing } from './store-life.ts';
import type { Tally } from './tally.ts';

type ByHand = Pick<Operations, 'retry' | 'takeOut' | 'notTaken' | 'endByHand'>;

/** The condition of an entry that is being handed back: after a crash in the middle, `return` finds it again. */
const returning = 'returning';

interface Row extends Standing, Place {
  custody: number;
  at: number;
  app_acked_at: number | null;
  id: string | null;
  has_body: number;
  original: string | null;
  condition: string | null;
  text: string | null;
}

export function byHandOperations(
  db: DatabaseSync,
  { tally, derived, space }: { tally: Tally; derived: Derived; space: KeySpace },
): ByHand {
  const end = ender(db, tally, derived);
  const find = finder(db);
  const note = recorder(db);
  const setAside = db.prepare(`UPDATE entry SET state = ${dead}, ended_at = ?, condition = ?, text = ? WHERE seq = ?`);
  const requeue = requeuer(db);
  const explain = db.prepare('UPDATE entry SET text = ? WHERE seq = ?');
  return {
    retry: retryOperation(db, { tally, derived, find, note }),
    takeOut({ seq, at }): TakenOut {
      const row = find(seq);
      const why = row ? whyNotReturn(row) : 'absent';
      if (!row || why) return { kind: why ?? 'absent' };
      const { user, original, state, condition, text } = row;
      setAside.run(at, returning, 'an operator hands it back', seq);
      tally.move(row.lane, state, dead);
      return {
        kind: 'taken',
        user,
        key: returnKeyOf(space, seq, row),
        at: row.at,
        original: original ?? '',
        fault: state === dead ? { condition: condition ?? '', text: text ?? '' } : undefined,
      };
    },
    notTaken({ seq, at, fault }) {
      const row = find(seq);
      if (row?.state !== dead || row.condition !== returning) return;
      if (fault) setAside.run(at, fault.condition, fault.text, seq);
      else {
        requeue.run(seq);
        tally.move(row.lane, dead, accepted);
      }
    },
    endByHand({ seq, at, as, reason, note: line }) {
      const row = find(seq);
      if (!row || row.state > dead) return false;
      if (as === 'returned') end(row, returned, at);
      else {
        end(row, discarded, at, 'operator');
        explain.run(reason ?? null, seq);
      }
      note(line);
      return true;
    },
  };
}

function whyNotReturn(row: Row): Exclude<TakenOut['kind'], 'taken'> | null {
  if (row.lane !== toMqtt || row.state > dead) return 'not-so';
  if (row.app_acked_at !== null) return 'app-has';
  if (row.custody !== sole) return 'copy';
  if (row.original === null) return 'no-body';
  return row.state === acked ? 'with-broker' : null;
}

function finder(db: DatabaseSync): (seq: number) => Row | undefined {
  const row = db.prepare(
    `SELECT entry.seq, user, lane, state, custody, at, app_acked_at, id, link, n, condition, text, body.seq IS NOT NULL AS has_body, original
       FROM entry LEFT JOIN body USING (seq) WHERE entry.seq = ?`,
  );
  return (seq) => row.get(seq) as unknown as Row | undefined;
}

function requeuer(db: DatabaseSync) {
  return db.prepare(
    `UPDATE entry SET state = ${accepted}, ended_at = NULL, condition = NULL, text = NULL WHERE seq = ?`,
  );
}

function recorder(db: DatabaseSync): (line: AuditNote | undefined) => void {
  const insert = db.prepare('INSERT INTO audit (at, who, what, user, reason, detail) VALUES (?, ?, ?, ?, ?, ?)');
  return (line) => {
    if (!line) return;
    insert.run(line.at, line.who, line.what, line.user ?? null, line.reason ?? null, line.detail ?? null);
  };
}

function retryOperation(
  db: DatabaseSync,
  {
    tally,
    derived,
    find,
    note,
  }: {
    tally: Tally;
    derived: Derived;
    find: (seq: number) => Row | undefined;
    note: (line: AuditNote | undefined) => void;
  },
): ByHand['retry'] {
  const requeue = requeuer(db);
  const holder = db.prepare('SELECT seq FROM entry WHERE seq = ?1 AND request_key = ?2 AND seq <> ?3');
  const claim = db.prepare('UPDATE entry SET request_key = ? WHERE seq = ?');
  return ({ seq, note: line }): Retried => {
    const row = find(seq);
    if (!row) return 'absent';
    if (row.state !== parked && row.state !== dead) return 'not-so';
    if (!row.has_body) return 'no-body';
    // The server may have it. That it has not, only its own answer says.
    if (row.condition === returning) return 'returning';
    if (row.lane === toXmpp && row.id !== null) {
      // It lost its key when it was refused; whoever has the id now is the app's own second attempt.
      const key = requestKey({ user: row.user, id: row.id });
      if (derived.known(key).some((known) => holder.get(known, key, seq))) return 'repeated';
      claim.run(key, seq);
      derived.learned(key, seq);
    }
    requeue.run(seq);
    tally.move(row.lane, row.state, accepted);
    note(line);
    return 'done';
  };
}
