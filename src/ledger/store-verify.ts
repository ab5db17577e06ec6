// The store's check of its own account (DESIGN §8): the rows that are really there against what is counted, in pieces between which
// commits go on.

import type { DatabaseSync } from 'node:sqlite';
import { type Account, emptyCounts, type Fault, type FaultKind, type Piece } from './account.ts';
import { acked, dead, type KeySpace, keyOf, lanes, parked, settled, states, toXmpp } from './codes.ts';
import type { Derived } from './derived.ts';
import type { Operations } from './operations.ts';
import type { Tally } from './tally.ts';

const maxFaults = 100;
const maxKeys = 5;

export interface VerifyParts {
  tally: Tally;
  derived: Derived;
  space: KeySpace;
  /** The highest number written down as handed out. */
  lastSeq: () => number;
}

/**
 * While a check of everything is under way, triggers of this connection put right the count of rows that it has passed already.
 * They are rolled back with a commit that fails, and cost nothing but while it runs.
 */
const recount = `
  CREATE TEMP TABLE recount (lane INTEGER, state INTEGER, n INTEGER NOT NULL, PRIMARY KEY (lane, state)) WITHOUT ROWID;
  CREATE TEMP TABLE recounted (seq INTEGER NOT NULL);
  INSERT INTO recounted VALUES (-1);
  CREATE TEMP TRIGGER recount_moved AFTER UPDATE OF state ON main.entry
    WHEN old.state <> new.state AND old.seq <= (SELECT seq FROM recounted) BEGIN
    INSERT INTO recount VALUES (old.lane, old.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO recount VALUES (new.lane, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
  END;
  CREATE TEMP TRIGGER recount_gone AFTER DELETE ON main.entry WHEN old.seq <= (SELECT seq FROM recounted) BEGIN
    INSERT INTO recount VALUES (old.lane, old.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
  END;`;
const noRecount = `
  DROP TRIGGER IF EXISTS temp.recount_moved; DROP TRIGGER IF EXISTS temp.recount_gone;
  DROP TABLE IF EXISTS temp.recount; DROP TABLE IF EXISTS temp.recounted;`;

/** What is wrong with a row by itself; in the order in which it matters. */
const faultOfRow = `CASE
  WHEN lane NOT IN (0, 1) OR state NOT BETWEEN 0 AND 7 OR custody NOT IN (0, 1) OR (lane = ${toXmpp} AND state = ${acked}) THEN 'unreadable'
  WHEN entry.seq > ?3 THEN 'number'
  WHEN state <= ${parked} AND body.seq IS NULL THEN 'no-body'
  WHEN is_open(user, entry.seq) <> (state <= ${dead}) THEN 'memory'
  WHEN state >= ${settled} AND body.seq IS NOT NULL THEN 'body-kept'
  WHEN state >= ${settled} AND ended_at IS NULL THEN 'no-end'
END`;

interface Row {
  lane: number;
  state: number;
  n: number;
}

/** A check under way. */
interface Check {
  /** The number up to which it has come. */
  at: number;
  user?: string;
  since: number;
  checked: number;
  /** By lane and state, of a part of the ledger; of everything the counts are in `recount`. */
  rows: Map<string, Row>;
  faults: Map<string, Fault>;
  more: boolean;
}

export function verifyOperation(db: DatabaseSync, parts: VerifyParts): Pick<Operations, 'verify'> {
  const { derived, lastSeq } = parts;
  db.function('is_open', (user, seq) => (derived.isOpen(String(user), Number(seq)) ? 1 : 0));
  const end = db.prepare('SELECT seq FROM entry WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?');
  const only = '(?1 IS NULL OR user = ?1) AND accepted_at >= ?2';
  const counted = db.prepare(
    `SELECT lane, state, count(*) AS n FROM entry WHERE seq > ?3 AND seq <= ?4 AND ${only} GROUP BY lane, state`,
  );
  const faulty = db.prepare(
    `SELECT * FROM (SELECT entry.seq, lane, state, user, ${faultOfRow} AS fault FROM entry LEFT JOIN body USING (seq)
       WHERE entry.seq > ?4 AND entry.seq <= ?5 AND ${only}) WHERE fault IS NOT NULL`,
  );
  const alone = db.prepare(
    'SELECT seq FROM body WHERE seq > ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.seq = body.seq)',
  );
  /** After the last piece, and before it: a commit that fails is tried again from there. */
  let [now, earlier]: (Check | undefined)[] = [];
  const begin = ({ user, since }: Pick<Check, 'user' | 'since'>): Check => {
    const check = { at: -1, user, since, checked: 0, rows: new Map(), faults: new Map(), more: false };
    db.exec(noRecount);
    if (isWhole(check)) db.exec(recount);
    return check;
  };
  return {
    verify({ from, user, since = 0, limit }): Piece {
      earlier = from === null ? begin({ user, since }) : [now, earlier].find((known) => known?.at === from);
      if (!earlier) throw new Error('the check was begun for another file, or by somebody else: begin it again');
      const check = { ...earlier, rows: new Map(earlier.rows), faults: new Map(earlier.faults) };
      now = check;
      const stop = Number(end.get(check.at, limit - 1)?.seq ?? Number.MAX_SAFE_INTEGER);
      const filter = [check.user ?? null, check.since] as const;
      count(db, check, counted.all(...filter, check.at, stop) as unknown as Row[]);
      for (const row of faulty.all(...filter, lastSeq(), check.at, stop)) note(check, faultOf(row, parts.space));
      if (isWhole(check))
        for (const { seq } of alone.all(check.at, stop))
          note(check, { ...lone, keys: [keyOf(parts.space, Number(seq))] });
      if (stop !== Number.MAX_SAFE_INTEGER) {
        check.at = stop;
        if (isWhole(check)) db.prepare('UPDATE recounted SET seq = ?').run(stop);
        return { next: stop };
      }
      const account = accountOf(db, check, parts);
      db.exec(noRecount);
      return { account };
    },
  };
}

const lone: Fault = { kind: 'body-alone', count: 1 };

function isWhole({ user, since }: Check): boolean {
  return user === undefined && since === 0;
}

function count(db: DatabaseSync, check: Check, rows: Row[]): void {
  const add = isWhole(check)
    ? db.prepare('INSERT INTO recount VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + ?3')
    : undefined;
  for (const { lane, state, n } of rows) {
    check.checked += n;
    add?.run(lane, state, n);
    const name = `${lane} ${state}`;
    check.rows.set(name, { lane, state, n: (check.rows.get(name)?.n ?? 0) + n });
  }
}

function faultOf(row: Record<string, unknown>, space: KeySpace): Fault {
  return {
    kind: row.fault as FaultKind,
    count: 1,
    lane: lanes[Number(row.lane)],
    state: states[Number(row.state)],
    user: String(row.user),
    keys: [keyOf(space, Number(row.seq))],
  };
}

/** Faults of one kind, lane, state and user are one line. */
function note(check: Check, fault: Fault): void {
  const name = [fault.kind, fault.lane, fault.state, fault.user].join(' ');
  const known = check.faults.get(name);
  if (known) {
    const keys = known.keys && [...known.keys, ...(fault.keys ?? [])].slice(0, maxKeys);
    check.faults.set(name, { ...known, count: known.count + 1, keys });
  } else if (check.faults.size < maxFaults) check.faults.set(name, { ...fault });
  else check.more = true;
}

function accountOf(db: DatabaseSync, check: Check, { tally, derived }: VerifyParts): Account {
  const counts = emptyCounts();
  const rows = isWhole(check)
    ? (db.prepare('SELECT lane, state, n FROM recount').all() as unknown as Row[])
    : [...check.rows.values()];
  for (const { lane, state, n } of rows) {
    const [laneName, stateName] = [lanes[lane], states[state]];
    if (laneName && stateName) counts[laneName][stateName] = n;
  }
  const faults = [...check.faults.values()];
  const { checked, more } = check;
  const sumOf = (numbers: object) => Object.values(numbers).reduce((sum: number, n: number) => sum + n, 0);
  const ofLane = (lane: number) => {
    const found = counts[lanes[lane]!];
    if (!isWhole(check)) return { accepted: sumOf(found), states: found, forgotten: 0 };
    faults.push(...countFaults(lane, found, tally));
    const forgotten = states.reduce((sum, _, state) => sum + tally.forgottenIn(lane, state), 0);
    return { accepted: tally.acceptedIn(lane), states: tally.counts()[lanes[lane]!], forgotten };
  };
  const account = { lanes: { toMqtt: ofLane(0), toXmpp: ofLane(1) }, checked, faults, more };
  const open = rows.reduce((sum, { state, n }) => sum + (state <= dead ? n : 0), 0);
  if (isWhole(check) && open !== derived.openCount && !faults.some(({ kind }) => kind === 'memory'))
    faults.push({ kind: 'memory', count: Math.abs(open - derived.openCount), counted: derived.openCount, found: open });
  return account;
}

/** What was accepted against the sum of the states, and each state against its rows. */
function countFaults(lane: number, found: Record<string, number>, tally: Tally): Fault[] {
  const name = lanes[lane]!;
  const counted = tally.counts()[name];
  const sum = Object.values(counted).reduce((total, n) => total + n, 0);
  const accepted = tally.acceptedIn(lane);
  const faults: Fault[] = [];
  if (sum !== accepted)
    faults.push({ kind: 'sum', lane: name, count: Math.abs(sum - accepted), counted: accepted, found: sum });
  for (const [index, state] of states.entries()) {
    const there = found[state]! + tally.forgottenIn(lane, index);
    if (there !== counted[state])
      faults.push({
        kind: 'count',
        lane: name,
        state,
        count: Math.abs(there - counted[state]),
        counted: counted[state],
        found: there,
      });
  }
  return faults;
}
