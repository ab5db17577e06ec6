// How many entries are in each state: kept beside the entries and written in their commit, so that counting costs nothing.

import type { DatabaseSync } from 'node:sqlite';
import { lanes, states } from './codes.ts';
import type { Counts } from './ledger.ts';

export class Tally {
  readonly #write;
  #counts: number[];
  #written: number[];

  constructor(db: DatabaseSync) {
    this.#write = db.prepare('INSERT OR REPLACE INTO tally (lane, state, n) VALUES (?, ?, ?)');
    this.#counts = new Array(lanes.length * states.length).fill(0);
    for (const row of db.prepare('SELECT lane, state, n FROM tally').all()) {
      this.#counts[Number(row.lane) * states.length + Number(row.state)] = Number(row.n);
    }
    this.#written = [...this.#counts];
  }

  add(lane: number, state: number, n = 1): void {
    this.#counts[lane * states.length + state]! += n;
  }

  move(lane: number, from: number, to: number, n = 1): void {
    this.add(lane, from, -n);
    this.add(lane, to, n);
  }

  save(): number[] {
    return [...this.#counts];
  }

  restore(saved: number[]): void {
    this.#counts = saved;
  }

  /** Writes what has changed into the open transaction. `committed` must follow the commit. */
  write(): void {
    for (const [index, n] of this.#counts.entries()) {
      if (n !== this.#written[index]) this.#write.run(Math.floor(index / states.length), index % states.length, n);
    }
  }

  committed(): void {
    this.#written = [...this.#counts];
  }

  counts(): Counts {
    const of = (lane: number) =>
      Object.fromEntries(states.map((state, index) => [state, this.#counts[lane * states.length + index]!]));
    return Object.fromEntries(lanes.map((lane, index) => [lane, of(index)])) as Counts;
  }
}
