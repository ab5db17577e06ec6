// Messages as fast as they are taken: the gateway, durable, against a bridge of thirty lines that is not.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig } from './rig.ts';
import type { Round } from './round.ts';
import { ratios, takeTurns, valuesOf } from './versus.ts';

const count = 50_000;
const atLeast = { toMqtt: 0.85, toXmpp: 0.75 };
const sides = ['gateway', 'bridge'] as const;

const perSecond = (round: Round) => round.perSecond;
const cpu = (round: Round) => round.cpuUs.subject;
const memory = (round: Round) => round.peakRssMb;

export const throughput: Benchmark = {
  name: 'throughput',
  about: 'as fast as they are taken, both directions: the gateway against a bridge of 30 lines without a ledger',
  minutes: 4,
  run: throughputRun,
};

async function throughputRun(options: Options): Promise<Result> {
  const rig = await openRig(
    sides.map((side) => ({ side })),
    options,
  );
  try {
    const turns = sides.map((side) => ({ side }));
    const rounds = await takeTurns(rig, turns, count, options);
    const figures = options.directions.flatMap((direction) => {
      const of = (side: string, value: (round: Round) => number) => valuesOf(rounds, side, direction, value);
      const over = (value: (round: Round) => number) => ratios(rounds, ['gateway', 'bridge'], direction, value);
      const isMqtt = direction === 'toMqtt';
      return [
        figure(`${direction}: gateway / bridge`, '×', over(perSecond), { atLeast: atLeast[direction] }),
        ...sides.map((side) => figure(`${direction}: ${side}`, 'msg/s', of(side, perSecond))),
        figure(`${direction}: CPU per message, gateway / bridge`, '×', over(cpu), isMqtt ? { atMost: 1.5 } : undefined),
        ...sides.map((side) => figure(`${direction}: CPU per message, ${side}`, 'µs', of(side, cpu))),
        figure(`${direction}: peak memory, gateway / bridge`, '×', over(memory), isMqtt ? { atMost: 1 } : undefined),
        ...sides.map((side) => figure(`${direction}: peak memory, ${side}`, 'MB', of(side, memory))),
        figure(
          `${direction}: lost or damaged, gateway`,
          '',
          of('gateway', ({ lost, damaged }) => lost + damaged),
          {
            atMost: 0,
          },
        ),
        figure(
          `${direction}: lost or damaged, bridge`,
          '',
          of('bridge', ({ lost, damaged }) => lost + damaged),
        ),
      ];
    });
    return { figures, rounds };
  } finally {
    await rig.stop();
  }
}
