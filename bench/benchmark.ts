// What a benchmark is to the command: a name, what it needs, and the figures it gives, each with the aim it is held against.

import type { Direction } from './round.ts';
import type { Spread } from './statistics.ts';
import { spread } from './statistics.ts';

export interface Options {
  /** Measured runs of each side; one more is thrown away before. */
  runs: number;
  /** Messages of a run; absent: as many as the benchmark is made for. */
  messages?: number;
  directions: readonly Direction[];
  /** Of the table (test/harness/servers.ts), where a benchmark runs on each; absent: all. */
  server?: string;
  /** CPU profiles of the gateway go there. */
  profileDir?: string;
  /** A line about what is going on. */
  tell: (line: string) => void;
}

export interface Figure extends Spread {
  name: string;
  unit: string;
  aim?: Aim;
}

/** What the figure's median has to be. */
export type Aim = { atLeast: number } | { atMost: number };

export interface Result {
  figures: Figure[];
  /** Each single measurement, for the JSON. */
  rounds: unknown[];
}

export interface Benchmark {
  name: string;
  /** One line. */
  about: string;
  /** With the default number of runs, roughly. */
  minutes: number;
  /** Packages of Debian beside Mosquitto, as scripts/system-packages.mjs names them. */
  needs?: string[];
  run(options: Options): Promise<Result>;
}

export function figure(name: string, unit: string, values: number[], aim?: Aim): Figure {
  return { name, unit, ...spread(values), ...(aim && { aim }) };
}

export function isReached({ median, aim }: Figure): boolean | undefined {
  if (!aim) return undefined;
  return 'atLeast' in aim ? median >= aim.atLeast : median <= aim.atMost;
}
