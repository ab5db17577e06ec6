// The record of a long run: one line for each piece that was played, in whatever order the pieces ended.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** The seeds `from` to `to` - 1. */
export interface Range {
  from: number;
  to: number;
}

/** What is known of a range that was played. */
export interface Piece extends Range {
  messages: number;
  lives: number;
  seconds: number;
  broken: number[];
}

export function readRecord(path: string): Piece[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Piece);
}

export function writeDown(path: string, piece: Piece): void {
  appendFileSync(path, `${JSON.stringify(piece)}\n`);
}

/** What of `all` has not been played, in ranges of at most `most` seeds; or the piece that belongs to another run. */
export function rangesLeft(all: Range, played: readonly Range[], most: number): Range[] | { strange: Range } {
  const left: Range[] = [];
  let next = all.from;
  for (const piece of [...played].sort((one, other) => one.from - other.from)) {
    if (piece.from < next || piece.to > all.to) return { strange: piece };
    left.push(...split({ from: next, to: piece.from }, most));
    next = piece.to;
  }
  return [...left, ...split({ from: next, to: all.to }, most)];
}

function split({ from, to }: Range, most: number): Range[] {
  const count = Math.ceil((to - from) / most);
  return Array.from({ length: count }, (_, at) => ({
    from: from + at * most,
    to: Math.min(to, from + (at + 1) * most),
  }));
}
