// Command line of the fault suite: npm run test:faults -- [--seed N] [--faults M] [--only NAME].

import { parseArgs } from 'node:util';
import { faults } from './faults.ts';
import { type Outcome, runFaults, type Told } from './run.ts';

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
/** Faults on one stage. The next ones begin on a new one: Prosody's internal archive gets slow with thousands of messages. */
const perStage = 20;

const columns: [title: string, cell: (told: Told) => string][] = [
  ['times', ({ count }) => String(count)],
  ['messages', ({ said }) => String(said)],
  ['lost', ({ lost }) => String(lost)],
  ['repeated', ({ repeated }) => String(repeated)],
  ['out of order', ({ disordered }) => String(disordered)],
  ['until over', ({ longestMs }) => `${(longestMs / 1000).toFixed(1)} s`],
  ['until settled', ({ settledMs }) => `${(settledMs / 1000).toFixed(1)} s`],
];

if (values.help) print(help);
else await main();

async function main(): Promise<void> {
  const first = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const count = Number(values.faults);
  const strange = values.only?.find((name) => !(name in faults));
  if (strange !== undefined) {
    print(`there is no fault "${strange}"; see --help`);
    process.exitCode = 64;
    return;
  }
  let sum: Outcome | undefined;
  for (let seed = first, begun = 0; begun < count; seed++, begun += perStage) {
    const faultsHere = Math.min(perStage, count - begun);
    const outcome = await play(seed, faultsHere, begun);
    sum = sum ? add(sum, outcome) : outcome;
    if (!outcome.isKept && !values.json) {
      const only = (values.only ?? []).map((name) => ` --only ${JSON.stringify(name)}`).join('');
      print(`a promise was broken; again: npm run test:faults -- --seed ${seed} --faults ${faultsHere}${only}`);
      showFound(outcome);
    }
  }
  if (!sum) return;
  if (values.json) print(JSON.stringify({ seed: first, ...sum, faults: Object.fromEntries(sum.faults) }, null, 2));
  else show(sum);
  process.exitCode = sum.isKept ? 0 : 1;
}

async function play(seed: number, count: number, before: number): Promise<Outcome> {
  if (!values.json) print(`seed ${seed}, ${count} faults`);
  return await runFaults({
    ...{ seed, count, only: values.only },
    onFault: (done, name, recoveredMs) => {
      const line = `${String(before + done).padStart(4)}  ${name}: over after ${(recoveredMs / 1000).toFixed(1)} s`;
      if (!values.json) print(line);
    },
  });
}

function add(one: Outcome, other: Outcome): Outcome {
  const faults = new Map(one.faults);
  for (const [name, now] of other.faults) {
    const before = faults.get(name);
    if (!before) faults.set(name, now);
    else
      faults.set(name, {
        ...{ count: before.count + now.count, said: before.said + now.said, lost: before.lost + now.lost },
        ...{ repeated: before.repeated + now.repeated, disordered: before.disordered + now.disordered },
        longestMs: Math.max(before.longestMs, now.longestMs),
        settledMs: Math.max(before.settledMs, now.settledMs),
      });
  }
  const [a, b] = [one.verdict, other.verdict];
  const verdict = {
    ...{ said: a.said + b.said, owed: a.owed + b.owed, seen: a.seen + b.seen },
    ...{ lost: [...a.lost, ...b.lost], repeated: [...a.repeated, ...b.repeated] },
    disordered: [...a.disordered, ...b.disordered],
  };
  const unsettled = [...one.unsettled, ...other.unsettled];
  const notMade = [...one.notMade, ...other.notMade];
  return { isKept: one.isKept && other.isKept, verdict, faults, notMade, unsettled };
}

function show({ isKept, verdict, faults, unsettled }: Outcome): void {
  print(`\n${'fault'.padEnd(28)}  ${columns.map(([title]) => title).join('  ')}`);
  for (const [name, told] of faults)
    print(`${name.padEnd(28)}  ${columns.map(([title, cell]) => cell(told).padStart(title.length)).join('  ')}`);
  const { said, owed, seen, lost, repeated, disordered } = verdict;
  print(`\n${said} messages, ${owed} owed (archived, or acknowledged), ${seen} seen`);
  print(
    `lost ${lost.length}, repeated ${repeated.length}, out of order ${disordered.length}, unsettled ${unsettled.length}`,
  );
  if (isKept) print('every promise was kept');
}

/** What was found, the first of each kind. */
function showFound({ verdict: { lost, repeated, disordered }, unsettled, notMade }: Outcome): void {
  for (const [kind, all] of Object.entries({
    lost,
    repeated,
    'out of order': disordered,
    unsettled,
    'not made': notMade,
  }))
    for (const one of all.slice(0, 20)) print(`${kind}: ${one}`);
}
