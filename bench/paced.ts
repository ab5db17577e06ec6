// A day, not a blast: 1,000 messages a second, and how long each is under way through the gateway and through the bridge.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig } from './rig.ts';
import type { Times } from './round.ts';
import { type NamedRound, takeTurns, valuesOf } from './versus.ts';

const perSecond = 1000;
const count = 6_000;
const sides = ['gateway', 'bridge'] as const;

export const paced: Benchmark = {
  name: 'paced',
  about: '1,000 messages a second, each direction: how long each message is under way, gateway and bridge',
  minutes: 4,
  run: pacedRun,
};

async function pacedRun(options: Options): Promise<Result> {
  const rig = await openRig(
    sides.map((side) => ({ side })),
    options,
  );
  try {
    const turns = sides.map((side) => ({ side, load: { perSecond } }));
    const rounds = await takeTurns(rig, turns, count, options);
    const figures = options.directions.flatMap((direction) =>
      (['p50', 'p99'] as const).flatMap((part) => {
        const of = (side: string) => timesOf(rounds, side, direction, part);
        const bridge = of('bridge');
        const over = of('gateway').map((ms, run) => ms - bridge[run]!);
        return [
          figure(`${direction}: ${part} over the bridge's`, 'ms', over, { atMost: part === 'p50' ? 3 : 15 }),
          ...sides.map((side) => figure(`${direction}: ${part}, ${side}`, 'ms', of(side))),
        ];
      }),
    );
    return { figures, rounds };
  } finally {
    await rig.stop();
  }
}

function timesOf(rounds: NamedRound[], side: string, direction: 'toMqtt' | 'toXmpp', part: keyof Times): number[] {
  return valuesOf(rounds, side, direction, ({ underwayMs }) => underwayMs?.[part] ?? Number.NaN);
}
