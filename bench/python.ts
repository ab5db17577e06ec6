// The same bridge in Python, so that what the language and its libraries cost is known beside what the promise costs.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig } from './rig.ts';
import type { Round } from './round.ts';
import { ratios, takeTurns, valuesOf } from './versus.ts';

const count = 20_000;
const sides = ['gateway', 'bridge', 'python'] as const;

export const python: Benchmark = {
  name: 'python',
  about: 'the same bridge on slixmpp and Paho, toMqtt: the gateway and the bridge in TypeScript against it',
  minutes: 4,
  needs: ['python3-slixmpp', 'python3-paho-mqtt'],
  run: pythonRun,
};

async function pythonRun(given: Options): Promise<Result> {
  const options: Options = { ...given, directions: ['toMqtt'] };
  const turns = sides.map((side) => ({ side }));
  const rig = await openRig(turns, options);
  try {
    const rounds = await takeTurns(rig, turns, count, options);
    const of = (side: string, value: (round: Round) => number) => valuesOf(rounds, side, 'toMqtt', value);
    const speed = (round: Round) => round.perSecond;
    const over = (one: string, other: string) => ratios(rounds, [one, other], 'toMqtt', speed);
    const figures = [
      figure('gateway / Python', '×', over('gateway', 'python'), { atLeast: 2.5 }),
      figure('Python / bridge', '×', over('python', 'bridge')),
      ...sides.map((side) => figure(side, 'msg/s', of(side, speed))),
      ...sides.map((side) =>
        figure(
          `CPU per message, ${side}`,
          'µs',
          of(side, ({ cpuUs }) => cpuUs.subject),
        ),
      ),
      ...sides.map((side) =>
        figure(
          `lost or damaged, ${side}`,
          '',
          of(side, ({ lost, damaged }) => lost + damaged),
        ),
      ),
    ];
    return { figures, rounds };
  } finally {
    await rig.stop();
  }
}
