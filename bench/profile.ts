// Reads the CPU profiles that `throughput.ts --profile DIR` left, and prints the functions of each thread by their own time.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  /** µs since the sample before. */
  timeDeltas: number[];
}

const shown = 30;
const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error('node bench/profile.ts DIR');

for (const name of readdirSync(dir).filter((name) => name.endsWith('.cpuprofile'))) {
  const rows = ownTimes(JSON.parse(readFileSync(join(dir, name), 'utf8')));
  const busy = rows.filter(([what]) => !/^\((idle|program)\)/.test(what));
  const total = busy.reduce((sum, [, us]) => sum + us, 0);
  console.log(`\n${name}: ${(total / 1e6).toFixed(1)} s busy`);
  for (const [what, us] of busy.slice(0, shown))
    console.log(`${((us / total) * 100).toFixed(1).padStart(6)} %  ${what}`);
}

/** Function and place, with the time spent in it and not in what it calls. */
function ownTimes({ nodes, samples, timeDeltas }: Profile): [what: string, us: number][] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [at, id] of samples.entries()) {
    const name = names.get(id)!;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[at]!);
  }
  return [...times].sort(([, one], [, other]) => other - one);
}

function placeOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/(node_modules|src|bench)\//, (_, folder) =>
    folder === 'node_modules' ? '' : `${folder}/`,
  );
  return `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}
