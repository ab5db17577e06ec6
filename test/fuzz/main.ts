// Command line of the fuzzers: npm run fuzz -- [--target NAME] [--seed N] [--seconds 60].

import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { targets } from './targets.ts';

const help = `Feeds hostile input, and prints the smallest that breaks something.

  npm run fuzz -- [--target NAME] [--seed N] [--seconds S]

  --target NAME  one of: ${Object.keys(targets).join(', ')} (default: all, in turn)
  --seed N       repeats a run (default: by chance, and printed)
  --seconds S    so long for each target (default: 60)

Exit code 1 if something broke.`;

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    seed: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);

if (values.help) print(help);
else run();

function run(): void {
  const { target } = values;
  const chosen = Object.entries(targets).filter(([name]) => target === undefined || name === target);
  if (chosen.length === 0) {
    print(`there is no target "${target}"; see --help`);
    process.exitCode = 64;
    return;
  }
  const first = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  for (const [name, make] of chosen) {
    const until = Date.now() + Number(values.seconds) * 1000;
    let [runs, failed] = [0, false];
    for (let seed = first; Date.now() < until && !failed; seed++) {
      const details = fc.check(make(), { seed, numRuns: 1_000, endOnFailure: false });
      runs += details.numRuns;
      failed = details.failed;
      if (failed)
        print(
          `${name}: broken with seed ${seed}: ${JSON.stringify(details.counterexample)}\n${details.errorInstance ?? ''}`,
        );
    }
    print(`${name}: ${runs} inputs, ${failed ? 'BROKEN' : 'nothing broke'} (seeds from ${first})`);
    if (failed) process.exitCode = 1;
  }
}
