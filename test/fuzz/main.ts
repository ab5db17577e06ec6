// Command line of the fuzzers: npm run fuzz -- [--target NAME] [--seed N] [--seconds 60].

import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { startAdminSide } from '../admin/admin-side.ts';
import type { ServerKind } from '../harness/legacy-server.ts';
import { servers } from '../harness/servers.ts';
import { askAdmin } from './admin-api.ts';
import { HostileScene } from './attach-scene.ts';
import { besideExpat, payloadsBesideExpat } from './beside-expat.ts';
import { besideProsody } from './beside-prosody.ts';
import { targets } from './targets.ts';

interface Fed {
  inputs: number;
  fault: string | null;
}

/** What one seed is fed to: the targets by themselves, beside the parsers of servers, the admin API, and a server's module. */
const feeds: Record<string, (seed: number) => Fed | Promise<Fed>> = {
  ...Object.fromEntries(Object.entries(targets).map(([name, make]) => [name, (seed: number) => feed(make(), seed)])),
  'xml beside expat': (seed) => besideExpat(seed, 5_000),
  'payload beside expat': (seed) => payloadsBesideExpat(seed, 10_000),
  'jid beside prosody': (seed) => besideProsody(seed, 10_000),
  'admin API': feedAdmin,
  ...Object.fromEntries(
    servers.map((kind) => [`attach protocol of ${kind.name}`, (seed: number) => feedServer(kind, seed)]),
  ),
};
const help = `Feeds hostile input, and prints the smallest that breaks something.

  npm run fuzz -- [--target NAME] [--seed N] [--seconds S]

  --target NAME  one of: ${Object.keys(feeds).join(', ')} (default: all, in turn)
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
else await run();

async function run(): Promise<void> {
  const { target } = values;
  const chosen = Object.entries(feeds).filter(([name]) => target === undefined || name === target);
  if (chosen.length === 0) {
    print(`there is no target "${target}"; see --help`);
    process.exitCode = 64;
    return;
  }
  const first = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  for (const [name, feedOne] of chosen) {
    const until = Date.now() + Number(values.seconds) * 1000;
    let [runs, failed] = [0, false];
    for (let seed = first; Date.now() < until && !failed; seed++) {
      const { inputs, fault } = await feedOne(seed);
      runs += inputs;
      failed = fault !== null;
      if (failed) print(`${name}: broken with seed ${seed}: ${fault}`);
    }
    print(`${name}: ${runs} inputs, ${failed ? 'BROKEN' : 'nothing broke'} (seeds from ${first})`);
    if (failed) process.exitCode = 1;
  }
}

function feed(property: fc.IPropertyWithHooks<unknown>, seed: number): Fed {
  const { numRuns, failed, counterexample, errorInstance } = fc.check(property, { seed, numRuns: 1_000 });
  return { inputs: numRuns, fault: failed ? `${JSON.stringify(counterexample)}\n${errorInstance ?? ''}` : null };
}

async function feedAdmin(seed: number): Promise<Fed> {
  const side = await startAdminSide();
  const count = 500;
  const fault = await askAdmin(side.url, { seed, count }).then(
    () => null,
    (error: unknown) => String(error),
  );
  await side.close();
  return { inputs: count, fault };
}

/** Each seed has a server of its own, so that it can be repeated. */
async function feedServer(kind: ServerKind, seed: number): Promise<Fed> {
  const scene = await HostileScene.open(kind);
  let fault: string | null = null;
  await scene.playAll({ seed, count: 150 }).catch((error: unknown) => {
    fault = String(error);
  });
  await scene.close();
  const { results, errors } = scene.counts;
  return { inputs: results + errors, fault };
}
