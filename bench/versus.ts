// Sides measured in turn in the same run, and what one does against another in each run by itself.

import type { Options } from './benchmark.ts';
import type { Rig } from './rig.ts';
import { type Direction, type Round, runRound } from './round.ts';
import type { Load, Side } from './traffic.ts';

/** A side as it is sent through; several may name one process with different loads. */
export interface Turn {
  side: Side;
  /** The name of the row; the side's own if absent. */
  name?: string;
  load?: Partial<Load>;
}

export interface NamedRound extends Round {
  name: string;
  run: number;
}

/** All turns `options.runs` times, after one that is thrown away. `after` runs when a round is over. */
export async function takeTurns(
  rig: Rig,
  turns: Turn[],
  count: number,
  { runs, messages = count, directions, tell }: Options,
  after: (turn: Turn) => Promise<void> = async () => {},
): Promise<NamedRound[]> {
  const rounds: NamedRound[] = [];
  for (const direction of directions) {
    tell(`${direction}\n${head}`);
    for (let run = 0; run <= runs; run += 1) {
      // Now the one first, now the other, so that none has the better half of what the machine does meanwhile.
      for (const turn of run % 2 === 0 ? turns : turns.toReversed()) {
        const { side, name = side } = turn;
        const load = { tag: `${direction}${name.replaceAll('-', '')}${run}`, count: messages, ...turn.load };
        const round = { name, run, ...(await runRound(rig, side, direction, load)) };
        tell(lineOf(round));
        if (run > 0) rounds.push(round);
        await after(turn);
      }
    }
  }
  return rounds;
}

/** The values of one turn, in the order of the runs. */
export function valuesOf(
  rounds: NamedRound[],
  name: string,
  direction: Direction,
  value: (round: Round) => number,
): number[] {
  return rounds.filter((round) => round.name === name && round.direction === direction).map(value);
}

/** One turn's value over another's, each run by itself. */
export function ratios(
  rounds: NamedRound[],
  [one, other]: [string, string],
  direction: Direction,
  value: (round: Round) => number,
): number[] {
  const below = valuesOf(rounds, other, direction, value);
  return valuesOf(rounds, one, direction, value).map((above, run) => above / below[run]!);
}

const columns = [
  'run',
  'side',
  'msg/s',
  'CPU µs',
  'broker',
  'server',
  'apps',
  'RSS MB',
  'loop p99',
  'way p50',
  'p99',
  'foreign',
  ' faults',
];
const head = columns.map((name, at) => pad(name, at)).join('');

function pad(text: string, at: number): string {
  return at === 1 ? `  ${text.padEnd(16)}` : text.padStart(at === 0 ? 4 : 9);
}

function lineOf(round: NamedRound): string {
  const { name, run, perSecond, cpuUs, peakRssMb, delayMs, underwayMs, foreign, lost, repeated, late, damaged } = round;
  const faults = Object.entries({ lost, repeated, late, damaged }).filter(([, count]) => count > 0);
  const cells = [
    run === 0 ? '–' : String(run),
    name,
    perSecond.toFixed(0),
    ...[cpuUs.subject, cpuUs.broker, cpuUs.server, cpuUs.app].map((us) => us.toFixed(1)),
    peakRssMb.toFixed(0),
    ...[delayMs?.p99, underwayMs?.p50, underwayMs?.p99].map((ms) => ms?.toFixed(1) ?? '-'),
    foreign.toFixed(2),
    ` ${faults.map(([name, count]) => `${count} ${name}`).join(', ') || 'none'}`,
  ];
  return cells.map(pad).join('');
}
