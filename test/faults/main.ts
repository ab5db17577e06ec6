// Command line of the fault suite: npm run test:faults -- [--seed N] [--faults M] [--only NAME].

import { parseArgs } from 'node:util';
import { faults } from './faults.ts';
import { type Outcome, runFaults } from './run.ts';

const help = `Faults under load, on real servers: everybody talks, one fault follows the other, and in the end nothing may be lost,
out of order or visibly repeated, and everything must be settled.

  npm run test:faults -- [--seed N] [--faults M] [--only NAME…] [--json]

  --seed N    repeats a run (default: by chance, and printed)
  --faults M  so many faults (default: 100); each kind once before any comes again
  --only NAME one kind; may be given several times: ${Object.keys(faults).join(', ')}
  --json      prints the outcome as JSON

Exit code 1 if a promise was broken.`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    faults: { type: 'string', default: '100' },
    only: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);

if (values.help) print(help);
else await main();

async function main(): Promise<void> {
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const count = Number(values.faults);
  const strange = values.only?.find((name) => !(name in faults));
  if (strange !== undefined) {
    print(`there is no fault "${strange}"; see --help`);
    process.exitCode = 64;
    return;
  }
  if (!values.json) print(`seed ${seed}, ${count} faults`);
  const outcome = await runFaults({
    ...{ seed, count, only: values.only },
    onFault: (done, name, recoveredMs) => {
      if (!values.json) print(`${String(done).padStart(4)}  ${name}: over after ${(recoveredMs / 1000).toFixed(1)} s`);
    },
  });
  if (values.json) print(JSON.stringify({ seed, ...outcome, faults: Object.fromEntries(outcome.faults) }, null, 2));
  else show(outcome, seed);
  process.exitCode = outcome.isKept ? 0 : 1;
}

function show({ isKept, verdict, faults, unsettled }: Outcome, seed: number): void {
  print('\nfault                         times  longest until over');
  for (const [name, { count, longestMs }] of faults)
    print(`${name.padEnd(28)}  ${String(count).padStart(5)}  ${(longestMs / 1000).toFixed(1).padStart(8)} s`);
  const { said, owed, seen, lost, repeated, disordered } = verdict;
  print(`\n${said} messages, ${owed} owed (archived, or acknowledged), ${seen} seen`);
  print(
    `lost ${lost.length}, repeated ${repeated.length}, out of order ${disordered.length}, unsettled ${unsettled.length}`,
  );
  for (const [kind, all] of Object.entries({ lost, repeated, 'out of order': disordered, unsettled }))
    for (const one of all.slice(0, 20)) print(`${kind}: ${one}`);
  print(isKept ? 'every promise was kept' : `a promise was broken; again: npm run test:faults -- --seed ${seed}`);
}
