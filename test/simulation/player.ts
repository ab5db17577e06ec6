// Plays ranges of seeds, here or in processes beside this one.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Piece, Range } from './record.ts';
import { runSeed } from './run-seed.ts';

/** Ends early, with `to` behind the broken seed, if that was asked for. Tells broken seeds at once. */
export type Player = (range: Range, untilBroken: boolean) => Promise<Piece>;

export const playHere: Player = async ({ from, to }, untilBroken) => {
  const begun = performance.now();
  const piece: Piece = { from, to: from, messages: 0, lives: 0, seconds: 0, broken: [] };
  while (piece.to < to && !(untilBroken && piece.broken.length > 0)) {
    const seed = piece.to++;
    const story = await runSeed(seed);
    piece.messages += story.messages;
    piece.lives += story.lives;
    if (story.fault === null) continue;
    piece.broken.push(seed);
    progress('');
    process.stdout.write(`seed ${seed}: ${story.fault}\n`);
  }
  piece.seconds = Math.round((performance.now() - begun) / 100) / 10;
  return piece;
};

/** One line that is written over; a pipe gets none. */
export function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}

/** A process that plays one range after the other, until this one ends. Rejects when it dies before it has played what it was given. */
export function playerBeside(): Player {
  const child = fork(new URL('./player-process.ts', import.meta.url));
  child.channel?.unref();
  child.unref();
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`a player ended with ${signal ?? code}`);
  });
  died.catch(() => {});
  return async (range, untilBroken) => {
    child.channel?.ref();
    const played = once(child, 'message').then(([piece]) => piece as Piece);
    child.send({ range, untilBroken });
    const piece = await Promise.race([played, died]);
    child.channel?.unref();
    return piece;
  };
}
