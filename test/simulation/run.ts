// Command line of the simulation: npm run simulate -- --count 200000 --record FILE (resumable), or --story SEED for one seed step by step.

import { parseArgs } from 'node:util';
import { playerBeside, playHere, progress } from './player.ts';
import { type Piece, type Range, rangesLeft, readRecord, writeDown } from './record.ts';
import { runSeed } from './run-seed.ts';

const help = `Plays simulated stories, one per seed, and looks whether a promise was broken.

  npm run simulate -- [--from 0] [--count 1000] [--until-broken] [--record FILE] [--jobs 1]
  npm run simulate -- --story SEED

  --from N, --count M  the seeds N to N + M - 1
  --until-broken       stops at the first broken seed
  --record FILE        writes a line for every 1000 seeds; started again with the same file, it plays what has no line yet
  --jobs N             plays in N processes, one for each core; with --until-broken the others come to the end of their line first
  --story SEED         tells one seed step by step

Exit code 1 when a seed is broken. Seeds know nothing of each other, so a run may also be shared out by seed range.`;

const seedsPerPiece = 1000;

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '1000' },
    story: { type: 'string' },
    'until-broken': { type: 'boolean', default: false },
    record: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);

if (values.help) print(help);
else if (values.story !== undefined) await tell(whole('story', 0));
else await play(whole('from', 0), whole('count', 1), whole('jobs', 1));

function whole(name: 'story' | 'from' | 'count' | 'jobs', least: number): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= least) return number;
  print(`--${name} takes a whole number from ${least} on, not "${values[name]}".`);
  process.exit(2);
}

async function tell(seed: number): Promise<void> {
  const { lines, fault, messages, lives } = await runSeed(seed, { tellsStory: true });
  for (const line of lines) print(line);
  print(`seed ${seed}: ${fault ?? 'all well'} (${messages} messages, ${lives} lives of the gateway)`);
  process.exitCode = fault === null ? 0 : 1;
}

async function play(from: number, count: number, jobs: number): Promise<void> {
  const { record, 'until-broken': untilBroken } = values;
  const pieces = record === undefined ? [] : readRecord(record);
  const left = rangesLeft({ from, to: from + count }, pieces, Math.min(seedsPerPiece, Math.ceil(count / jobs)));
  if ('strange' in left) return refuse(left.strange);
  const begun = performance.now();
  const playedBefore = totals(pieces).seeds;
  const told = () => {
    const { seeds, messages, lives, broken } = totals(pieces);
    const perMinute = Math.round(((seeds - playedBefore) / (performance.now() - begun)) * 60_000);
    return `${seeds} seeds, ${messages} messages, ${lives} lives, ${perMinute} seeds/min now, ${broken} broken`;
  };
  const players = jobs === 1 ? [playHere] : Array.from({ length: jobs }, playerBeside);
  await Promise.all(
    players.map(async (player) => {
      for (let range = left.shift(); range; range = left.shift()) {
        const piece = await player(range, untilBroken);
        pieces.push(piece);
        if (record !== undefined) writeDown(record, piece);
        if (untilBroken && piece.broken.length > 0) left.length = 0;
        progress(`of ${count} from ${from}: ${told()}`);
      }
    }),
  );
  progress('');
  print(told());
  process.exitCode = totals(pieces).broken === 0 ? 0 : 1;
}

/** Another run in the same file is a mistake. */
function refuse({ from, to }: Range): void {
  print(`${values.record} has seeds ${from} to ${to - 1}, which are not of this run: take another file.`);
  process.exitCode = 2;
}

function totals(pieces: readonly Piece[]) {
  const sum = (of: (piece: Piece) => number) => pieces.reduce((total, piece) => total + of(piece), 0);
  return {
    seeds: sum(({ from, to }) => to - from),
    messages: sum(({ messages }) => messages),
    lives: sum(({ lives }) => lives),
    broken: sum(({ broken }) => broken.length),
  };
}
