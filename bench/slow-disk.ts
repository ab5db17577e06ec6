// A disk whose fsync takes 10 ms, as network volumes have: what that costs the gateway, against itself on the disk as it is.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig } from './rig.ts';
import type { Round } from './round.ts';
import { slowFsync } from './slow-fsync.ts';
import { ratios, takeTurns, valuesOf } from './versus.ts';

const fsyncMs = 10;
const count = { blast: 20_000, paced: 2_500 };
const perSecond = 1000;

export const slowDisk: Benchmark = {
  name: 'slow-disk',
  about: `a disk whose fsync takes ${fsyncMs} ms (simulated; needs cc): throughput against the fast disk, and the event loop`,
  minutes: 6,
  run: slowDiskRun,
};

async function slowDiskRun(options: Options): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  try {
    const { env, commitMs } = await slowFsync(dir, fsyncMs);
    options.tell(`a commit of SQLite takes ${commitMs.toFixed(1)} ms on the slow disk`);
    return await measured(env, options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measured(env: Record<string, string>, options: Options): Promise<Result> {
  const rig = await openRig([{ side: 'gateway' }, { side: 'gateway-slow', env }], options);
  try {
    const sides = [{ side: 'gateway' }, { side: 'gateway-slow' }];
    const blasts = await takeTurns(rig, sides, count.blast, options);
    const paced = sides.map((turn) => ({ ...turn, load: { perSecond, count: count.paced } }));
    const even = await takeTurns(rig, paced, count.paced, options);
    const figures = options.directions.flatMap((direction) => {
      const late = (rounds: typeof blasts, side: string) =>
        valuesOf(rounds, side, direction, ({ delayMs }) => delayMs?.p99 ?? Number.NaN);
      const p50 = (side: string) => valuesOf(even, side, direction, ({ underwayMs }) => underwayMs?.p50 ?? Number.NaN);
      const speed = (round: Round) => round.perSecond;
      return [
        figure(`${direction}: slow / fast disk`, '×', ratios(blasts, ['gateway-slow', 'gateway'], direction, speed), {
          atLeast: 0.8,
        }),
        ...sides.map(({ side }) => figure(`${direction}: ${side}`, 'msg/s', valuesOf(blasts, side, direction, speed))),
        figure(`${direction}: event loop p99 at 1,000/s, slow disk`, 'ms', late(even, 'gateway-slow'), { atMost: 10 }),
        figure(`${direction}: event loop p99 at 1,000/s, fast disk`, 'ms', late(even, 'gateway')),
        figure(`${direction}: event loop p99 in the blast, slow disk`, 'ms', late(blasts, 'gateway-slow')),
        figure(`${direction}: event loop p99 in the blast, fast disk`, 'ms', late(blasts, 'gateway')),
        figure(`${direction}: p50 under way at 1,000/s, slow disk`, 'ms', p50('gateway-slow')),
        figure(`${direction}: p50 under way at 1,000/s, fast disk`, 'ms', p50('gateway')),
      ];
    });
    return { figures, rounds: [...blasts, ...even] };
  } finally {
    await rig.stop();
  }
}
