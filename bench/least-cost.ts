// What the contract costs before a gateway has done anything else: the bridge with a row on disk and the publishes an app is owed, against the bridge.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig } from './rig.ts';
import type { Round } from './round.ts';
import { ratios, takeTurns, valuesOf } from './versus.ts';

const sides = ['gateway', 'least', 'bridge'] as const;

export const leastCost: Benchmark = {
  name: 'least',
  about: 'what any gateway of this contract has to do, on the bridge, against the bridge and the gateway',
  minutes: 5,
  run: leastRun,
};

async function leastRun(options: Options): Promise<Result> {
  const turns = sides.map((side) => ({ side }));
  const rig = await openRig(turns, options);
  try {
    const rounds = await takeTurns(rig, turns, 50_000, options);
    const speed = (round: Round) => round.perSecond;
    const cpu = (round: Round) => round.cpuUs.subject;
    const figures = options.directions.flatMap((direction) => [
      ...(['least', 'gateway'] as const).flatMap((side) => [
        figure(`${direction}: ${side} / bridge`, '×', ratios(rounds, [side, 'bridge'], direction, speed)),
        figure(
          `${direction}: CPU per message, ${side} / bridge`,
          '×',
          ratios(rounds, [side, 'bridge'], direction, cpu),
        ),
      ]),
      ...sides.map((side) => figure(`${direction}: ${side}`, 'msg/s', valuesOf(rounds, side, direction, speed))),
      ...sides.map((side) =>
        figure(`${direction}: CPU per message, ${side}`, 'µs', valuesOf(rounds, side, direction, cpu)),
      ),
    ]);
    return { figures, rounds };
  } finally {
    await rig.stop();
  }
}
