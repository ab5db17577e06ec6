// What users cost in memory: a million that are only known, and those with an attached session, each above the same gateway without them.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { rssMb } from './load.ts';
import { openRig, type Subject } from './rig.ts';
import { quiet } from './round.ts';

const known = 1_000_000;
const attached = 20_000;
const kb = 1024;
/** As they are attached over a link that answers at once. */
const config = { migration: { attachWindow: 200 } };

const subjects: Subject[] = [
  { side: 'gateway', config },
  { side: 'gateway-known', seed: { known }, config },
  { side: 'gateway-attached', seed: { attached }, config },
  // The same users without a session, so that the session alone is counted.
  { side: 'gateway-same', seed: { known: attached }, config },
];

interface Weight {
  side: string;
  /** At rest, as the system counts it: garbage that nobody has collected yet included. */
  rssMb: number;
  /** After the main thread's garbage was collected. */
  cleanRssMb: number;
  heapMb: number;
}

export const memory: Benchmark = {
  name: 'memory',
  about: '1,000,000 known users, and attached sessions, above the same gateway without them',
  minutes: 4,
  run: memoryRun,
};

async function memoryRun(options: Options): Promise<Result> {
  const { runs, tell } = options;
  const rig = await openRig(subjects, options);
  const weights: Weight[] = [];
  try {
    for (let run = 0; run < runs; run += 1) {
      for (const { side } of subjects) {
        if (run > 0) await rig.restart(side);
        const subject = rig.subjects[side]!;
        await quiet(subject);
        const atRest = rssMb(subject.pid);
        const heapMb = await subject.ask<number>('heapMb');
        const weight = { side, rssMb: atRest, cleanRssMb: rssMb(subject.pid), heapMb };
        weights.push(weight);
        tell(lineOf(weight));
      }
    }
  } finally {
    await rig.stop();
  }
  const of = (side: string, part: keyof Omit<Weight, 'side'>) =>
    weights.filter((weight) => weight.side === side).map((weight) => weight[part]);
  const above = (one: string, other: string, part: keyof Omit<Weight, 'side'>) =>
    of(one, part).map((mb, run) => mb - of(other, part)[run]!);
  const perSession = (part: keyof Omit<Weight, 'side'>) =>
    above('gateway-attached', 'gateway-same', part).map((mb) => (mb * kb) / attached);
  return {
    figures: [
      figure(
        '1,000,000 known users, RSS after garbage collection',
        'MB',
        above('gateway-known', 'gateway', 'cleanRssMb'),
        {
          atMost: 150,
        },
      ),
      figure('1,000,000 known users, RSS at rest', 'MB', above('gateway-known', 'gateway', 'rssMb')),
      figure('1,000,000 known users, heap', 'MB', above('gateway-known', 'gateway', 'heapMb')),
      figure('an attached session, heap', 'KB', perSession('heapMb'), { atMost: 4 }),
      figure('an attached session, RSS after garbage collection', 'KB', perSession('cleanRssMb'), { atMost: 4 }),
      figure('the gateway with 1,000 attached users, RSS at rest', 'MB', of('gateway', 'rssMb')),
    ],
    rounds: weights,
  };
}

function lineOf({ side, rssMb, cleanRssMb, heapMb }: Weight): string {
  return `${side.padEnd(18)} RSS ${rssMb.toFixed(0)} MB, after garbage collection ${cleanRssMb.toFixed(0)}, heap ${heapMb.toFixed(1)}`;
}
