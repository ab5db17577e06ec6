// From the start of the process to its first delivery, with a million known users and 500,000 entries that wait.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { cpuMs, peakRssMb } from './load.ts';
import { openRig } from './rig.ts';
import { quiet } from './round.ts';

const side = 'gateway-full';
const [away, entries] = [100, 500_000];

export const start: Benchmark = {
  name: 'start',
  about: '1,000,000 known users and 500,000 waiting entries: from the start to the first delivery',
  minutes: 3,
  run: startRun,
};

async function startRun(options: Options): Promise<Result> {
  const seed = { known: 999_000, attached: away, waiting: { users: away, entries } };
  const rig = await openRig([{ side, seed }], options);
  const starts: { seconds: number; cpuSeconds: number; peakRssMb: number }[] = [];
  try {
    for (let run = 0; run < options.runs; run += 1) {
      await quiet(rig.subjects[side]!);
      await rig.app.ask('expect', { tag: 'waits', count: 1 });
      const startedAt = await rig.restart(side);
      const arrivedAt = await rig.app.ask<number>('arrived');
      const { pid } = rig.subjects[side]!;
      const one = { seconds: (arrivedAt - startedAt) / 1000, cpuSeconds: cpuMs(pid) / 1000, peakRssMb: peakRssMb(pid) };
      starts.push(one);
      options.tell(
        `first delivery after ${one.seconds.toFixed(1)} s, peak memory until then ${one.peakRssMb.toFixed(0)} MB`,
      );
    }
  } finally {
    await rig.stop();
  }
  const first = starts.map(({ seconds }) => seconds);
  return {
    figures: [
      figure('from the start to the first delivery', 's', first, { atMost: 10 }),
      // Tells more than the time on a machine that others use, too.
      figure(
        'processor time until all are attached',
        's',
        starts.map(({ cpuSeconds }) => cpuSeconds),
      ),
      figure(
        'peak memory until all are attached',
        'MB',
        starts.map(({ peakRssMb }) => peakRssMb),
      ),
    ],
    rounds: starts,
  };
}
