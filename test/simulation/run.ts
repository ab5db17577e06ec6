// Command line of the simulation: npm run simulate -- --count 200000 --record FILE (resumable), or --story SEED for one seed step by step.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runSeed } from './run-seed.ts';

const help = `Plays simulated stories, one per seed, and looks whether a promise was broken.

  npm run simulate -- [--from 0] [--count 1000] [--until-broken] [--record FILE]
  npm run simulate -- --story SEED

  --from N, --count M  the seeds N to N + M - 1
  --until-broken       stops at the first broken seed
  --record FILE        writes a line for every 1000 seeds; started again with the same file, it goes on behind the last line
  --story SEED         tells one seed step by step

Exit code 1 when a seed is broken. A run may be shared out by seed range; seeds know nothing of each other.`;

/** What is known of one piece of the run: a line of the record. */
interface Piece {
  from: number;
  to: number;
  messages: number;
  lives: number;
  seconds: number;
  broken: number[];
}
const seedsPerPiece = 1000;

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '1000' },
    story: { type: 'string' },
    'until-broken': { type: 'boolean', default: false },
    record: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);

if (values.help) print(help);
else if (values.story !== undefined) await tell(Number(values.story));
else await play(Number(values.from), Number(values.count));

async function tell(seed: number): Promise<void> {
  const { lines, fault, messages, lives } = await runSeed(seed, { tellsStory: true });
  for (const line of lines) print(line);
  print(`seed ${seed}: ${fault ?? 'all well'} (${messages} messages, ${lives} lives of the gateway)`);
  process.exitCode = fault === null ? 0 : 1;
}

async function play(from: number, count: number): Promise<void> {
  const end = from + count;
  const pieces = recorded(from, end);
  for (let next = pieces.at(-1)?.to ?? from; next < end; ) {
    const piece = await playPiece(next, Math.min(next + seedsPerPiece, end));
    pieces.push(piece);
    next = piece.to;
    if (values.record !== undefined) appendFileSync(values.record, `${JSON.stringify(piece)}\n`);
    const sum = totals(pieces);
    if (next < end) progress(`seeds ${from} to ${next - 1} of ${end - 1}, ${sum.broken} broken, ${sum.perMinute}/min`);
    if (values['until-broken'] && piece.broken.length > 0) break;
  }
  const sum = totals(pieces);
  progress('');
  print(
    `${sum.seeds} seeds, ${sum.messages} messages, ${sum.lives} lives, ${sum.perMinute} seeds/min, ${sum.broken} broken`,
  );
  process.exitCode = sum.broken === 0 ? 0 : 1;
}

async function playPiece(from: number, end: number): Promise<Piece> {
  const begun = performance.now();
  const piece: Piece = { from, to: from, messages: 0, lives: 0, seconds: 0, broken: [] };
  while (piece.to < end) {
    const seed = piece.to++;
    const story = await runSeed(seed);
    piece.messages += story.messages;
    piece.lives += story.lives;
    if (story.fault === null) continue;
    piece.broken.push(seed);
    progress('');
    print(`seed ${seed}: ${story.fault}`);
    if (values['until-broken']) break;
  }
  piece.seconds = Math.round((performance.now() - begun) / 100) / 10;
  return piece;
}

/** The pieces of this range that a run before has written down; another range in the same file is a mistake. */
function recorded(from: number, end: number): Piece[] {
  if (values.record === undefined || !existsSync(values.record)) return [];
  const lines = readFileSync(values.record, 'utf8').split('\n').filter(Boolean);
  const pieces = lines.map((line) => JSON.parse(line) as Piece);
  const strange = pieces.find((piece, at) => piece.from !== (pieces[at - 1]?.to ?? from) || piece.to > end);
  if (strange === undefined) return pieces;
  print(
    `${values.record} has seeds ${strange.from} to ${strange.to - 1}, which do not go on from ${from}: take another file.`,
  );
  process.exit(2);
}

function totals(pieces: Piece[]) {
  const sum = (of: (piece: Piece) => number) => pieces.reduce((total, piece) => total + of(piece), 0);
  const seeds = sum((piece) => piece.to - piece.from);
  return {
    seeds,
    messages: sum((piece) => piece.messages),
    lives: sum((piece) => piece.lives),
    broken: sum((piece) => piece.broken.length),
    perMinute: Math.round(
      (seeds /
        Math.max(
          0.1,
          sum((piece) => piece.seconds),
        )) *
        60,
    ),
  };
}

/** One line that is written over; a pipe gets none. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}
