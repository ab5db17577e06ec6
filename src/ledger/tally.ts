// How many entries are in each state, and what was ever accepted and forgotten: kept beside the entries and written in their commit, so
// that counting costs nothing.

import type { DatabaseSync } from 'node:sqlite';
import { lanes, settled, states } from './codes.ts';
import type { Counts } from './ledger.ts';

/** Parts of a lane's account, in the order of their numbers: all accepted, then the forgotten by state. */
const parts = [-1, 5, 6, 7];
const partOf = (state: number) => state - settled + 1;

/** One number for each lane and column, of which only what has changed is written. */
class Sheet {
  numbers: number[];
  readonly #width: number;
  #written: number[];

  constructor(width: number) {
    this.#width = width;
    this.numbers = new Array(lanes.length * width).fill(0);
    this.#written = [...this.numbers];
  }

  set(lane: number, column: number, n: number): void {
    this.numbers[lane * this.#width + column] = n;
    this.#written[lane * this.#width + column] = n;
  }

  add(lane: number, column: number, n: number): void {
    this.numbers[lane * this.#width + column]! += n;
  }

  get(lane: number, column: number): number {
    return this.numbers[lane * this.#width + column]!;
  }

  write(put: (lane: number, column: number, n: number) => void): void {
    for (const [index, n] of this.numbers.entries()) {
      if (n !== this.#written[index]) put(Math.floor(index / this.#width), index % this.#width, n);
    }
  }

  committed(): void {
    this.#written = [...this.numbers];
  }
}

export class Tally {
  readonly #putState;
  readonly #putPart;
  readonly #states = new Sheet(states.length);
  readonly #account = new Sheet(parts.length);

  constructor(db: DatabaseSync) {
    this.#putState = db.prepare('INSERT OR REPLACE INTO tally (lane, state, n) VALUES (?, ?, ?)');
    this.#putPart = db.prepare('INSERT OR REPLACE INTO account (lane, part, n) VALUES (?, ?, ?)');
    for (const row of db.prepare('SELECT lane, state, n FROM tally').all())
      this.#states.set(Number(row.lane), Number(row.state), Number(row.n));
    for (const row of db.prepare('SELECT lane, part, n FROM account').all())
      this.#account.set(Number(row.lane), parts.indexOf(Number(row.part)), Number(row.n));
  }

  /** A new entry, in the state it begins with. */
  accepted(lane: number, state: number): void {
    this.#states.add(lane, state, 1);
    this.#account.add(lane, 0, 1);
  }

  move(lane: number, from: number, to: number, n = 1): void {
    this.#states.add(lane, from, -n);
    this.#states.add(lane, to, n);
  }

  /** The row of an entry that ended in this state is gone; it stays counted. */
  forgotten(lane: number, state: number): void {
    this.#account.add(lane, partOf(state), 1);
  }

  save(): number[][] {
    return [[...this.#states.numbers], [...this.#account.numbers]];
  }

  restore([byState, account]: number[][]): void {
    this.#states.numbers = byState!;
    this.#account.numbers = account!;
  }

  /** Writes what has changed into the open transaction. `committed` must follow the commit. */
  write(): void {
    this.#states.write((lane, state, n) => this.#putState.run(lane, state, n));
    this.#account.write((lane, column, n) => this.#putPart.run(lane, parts[column]!, n));
  }

  committed(): void {
    this.#states.committed();
    this.#account.committed();
  }

  counts(): Counts {
    const of = (lane: number) =>
      Object.fromEntries(states.map((state, index) => [state, this.#states.get(lane, index)]));
    return Object.fromEntries(lanes.map((lane, index) => [lane, of(index)])) as Counts;
  }

  /** What was ever accepted in a lane. */
  acceptedIn(lane: number): number {
    return this.#account.get(lane, 0);
  }

  /** What was counted in this state and has left the file with the history. */
  forgottenIn(lane: number, state: number): number {
    return state < settled ? 0 : this.#account.get(lane, partOf(state));
  }
}
