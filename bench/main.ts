// The command of the benchmarks: which ones, how often, a table for people and JSON for programs.

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { missingPackages } from '../scripts/system-packages.mjs';
import { table } from '../src/cli/table.ts';
import { servers } from '../test/harness/servers.ts';
import { account } from './account.ts';
import { attachStorm } from './attach-storm.ts';
import { type Benchmark, type Figure, isReached, type Options, type Result } from './benchmark.ts';
import { clientSessions } from './client-sessions.ts';
import { fairness } from './fairness.ts';
import { growthUsers, growthWaiting, heavyUser } from './growth.ts';
import { leastCost } from './least-cost.ts';
import { memory } from './memory.ts';
import { paced } from './paced.ts';
import { pressure } from './pressure.ts';
import { prosody } from './prosody.ts';
import { python } from './python.ts';
import { directions } from './round.ts';
import { slowDisk } from './slow-disk.ts';
import { start } from './start.ts';
import { throughput } from './throughput.ts';

const benchmarks: Benchmark[] = [
  throughput,
  leastCost,
  paced,
  slowDisk,
  growthUsers,
  growthWaiting,
  heavyUser,
  memory,
  fairness,
  pressure,
  account,
  start,
  python,
  prosody,
  attachStorm,
  clientSessions,
];

const list = () =>
  table(
    [
      { title: 'name', cell: ({ name }: Benchmark) => name },
      { title: 'minutes', cell: ({ minutes }: Benchmark) => minutes },
      { title: 'about', cell: ({ about }: Benchmark) => about },
    ],
    benchmarks,
  ).join('\n');

const help = `npm run bench -- [NAME …] [options]

Takes the figures of docs/benchmarks.md again; without a name all of them, one after the other. Needs Linux and Mosquitto.
Nothing else should run on the machine meanwhile: bench/README.md says what misleads.

${list()}

  --runs N         measured runs of each side, after one that is thrown away (5)
  --direction D    toMqtt or toXmpp alone, where a benchmark has both
  --server NAME    Prosody or ejabberd alone, where a benchmark has both
  --messages N     messages per run, instead of what each benchmark is made for
  --json FILE      writes all numbers there
  --profile DIR    writes CPU profiles of the gateway there (node bench/profile.ts DIR reads them)
  --list           the names
  --help`;

/** Exit code 2: the command was wrong; 1: a benchmark did not end. An aim that is missed is no failure. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      direction: { type: 'string' },
      server: { type: 'string' },
      messages: { type: 'string' },
      json: { type: 'string' },
      profile: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  if (values.list) return console.log(list());
  const chosen = positionals.length === 0 ? benchmarks : positionals.map(named);
  const options: Options = {
    runs: positive('runs', values.runs),
    directions: directions.filter((one) => values.direction === undefined || one === values.direction),
    ...(values.server !== undefined && { server: serverNamed(values.server) }),
    ...(values.messages !== undefined && { messages: positive('messages', values.messages) }),
    ...(values.profile !== undefined && { profileDir: values.profile }),
    tell: (line) => console.error(line),
  };
  if (options.directions.length === 0) throw new Wrong(`--direction is ${directions.join(' or ')}`);
  const results: Record<string, Result> = {};
  for (const [at, benchmark] of chosen.entries()) {
    const { name, about, minutes, needs = [] } = benchmark;
    console.error(`\n[${at + 1}/${chosen.length}] ${name}: ${about} (about ${minutes} min)`);
    const missing = missingPackages(['mosquitto', ...needs]);
    if (missing.length > 0) throw new Error(`${name} needs ${missing.join(', ')}: apt-get install them`);
    results[name] = await benchmark.run(options);
    console.log(`\n${name}\n${textOf(results[name].figures)}`);
    // After each, so that what is measured is not lost with what fails later.
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify({ machine: machine(), runs: options.runs, results }, null, 2)}\n`);
  }
}

function named(name: string): Benchmark {
  const benchmark = benchmarks.find((one) => one.name === name);
  if (!benchmark)
    throw new Wrong(`there is no benchmark "${name}", only ${benchmarks.map(({ name }) => name).join(', ')}`);
  return benchmark;
}

function serverNamed(name: string): string {
  const kind = servers.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (!kind) throw new Wrong(`--server is ${servers.map(({ name }) => name).join(' or ')}`);
  return kind.name;
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Wrong(`--${name} is a positive number`);
  return number;
}

class Wrong extends Error {}

function machine() {
  const memory = /^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return {
    processors: cpus().length,
    model: cpus()[0]?.model,
    memoryMb: Math.round(Number(memory) / 1024),
    linux: release(),
    node: process.versions.node,
  };
}

function textOf(figures: Figure[]): string {
  const digits = (value: number) =>
    Number.isInteger(value) || Math.abs(value) >= 1000 ? value.toFixed(0) : value.toFixed(2);
  const aimOf = ({ aim, unit }: Figure) =>
    aim && ('atLeast' in aim ? `at least ${aim.atLeast} ${unit}` : `at most ${aim.atMost} ${unit}`).trimEnd();
  return table<Figure>(
    [
      { title: 'figure', cell: ({ name }) => name },
      { title: 'median', cell: ({ median, unit }) => `${digits(median)} ${unit}`.trimEnd() },
      { title: 'from', cell: ({ lowest }) => digits(lowest) },
      { title: 'to', cell: ({ highest }) => digits(highest) },
      { title: 'aim', cell: aimOf },
      { title: 'reached', cell: isReached },
    ],
    figures,
  ).join('\n');
}

try {
  await main();
} catch (error) {
  const isWrong = error instanceof Wrong || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  console.error(isWrong ? `bench: ${(error as Error).message}\n\nnpm run bench -- --help tells more.` : error);
  process.exitCode = isWrong ? 2 : 1;
}
