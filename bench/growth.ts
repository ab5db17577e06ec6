// Whether more users, more waiting entries, or one user with all the traffic make the gateway slower than it is with few.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { openRig, type Subject } from './rig.ts';
import type { Round } from './round.ts';
import { ratios, type Turn, takeTurns, valuesOf } from './versus.ts';

const count = 20_000;
/** In phase `mqtt`, attached, no device known. */
const away = 100;

export const growthUsers: Benchmark = {
  name: 'growth-users',
  about: '1,000,000 known users against 1,000',
  minutes: 4,
  run: (options) =>
    compare({
      subjects: [{ side: 'gateway' }, { side: 'gateway-million', seed: { known: 999_000 } }],
      turns: [{ side: 'gateway-million' }, { side: 'gateway' }],
      atLeast: 0.9,
      options,
    }),
};

export const growthWaiting: Benchmark = {
  name: 'growth-waiting',
  about: '500,000 waiting entries against 10',
  minutes: 4,
  run: (options) => {
    // Otherwise what the rounds themselves send would wait, too.
    const config = { mqtt: { brokerHorizon: '1s' } };
    const seedOf = (entries: number) => ({ attached: away, waiting: { users: away, entries } });
    return compare({
      subjects: [
        { side: 'gateway-few', seed: seedOf(10), config },
        { side: 'gateway-many', seed: seedOf(500_000), config },
      ],
      turns: [{ side: 'gateway-many' }, { side: 'gateway-few' }],
      atLeast: 0.9,
      options,
    });
  },
};

export const heavyUser: Benchmark = {
  name: 'heavy-user',
  about: 'one user with 1,000 peers, as a back end has, against 1,000 users with one each',
  minutes: 3,
  run: (options) =>
    compare({
      // What apps may send is limited by default, so that one user's flood is not everybody's.
      subjects: [{ side: 'gateway', config: { mqtt: { messagesPerSecond: 100_000, messagesBurst: 1_000_000 } } }],
      turns: [
        { side: 'gateway', name: 'one-user', load: { owners: 1 } },
        { side: 'gateway', name: 'thousand' },
      ],
      atLeast: 0.7,
      options,
    }),
};

interface Comparison {
  subjects: Subject[];
  /** The first is held against the second. */
  turns: [Turn, Turn];
  atLeast: number;
  options: Options;
}

async function compare({ subjects, turns, atLeast, options }: Comparison): Promise<Result> {
  const rig = await openRig(subjects, options);
  try {
    const rounds = await takeTurns(rig, turns, count, options);
    const names = turns.map(({ side, name = side }) => name) as [string, string];
    const figures = options.directions.flatMap((direction) => {
      const of = (name: string, value: (round: Round) => number) => valuesOf(rounds, name, direction, value);
      const speed = (round: Round) => round.perSecond;
      const cpu = (round: Round) => round.cpuUs.subject;
      return [
        figure(`${direction}: ${names.join(' / ')}`, '×', ratios(rounds, names, direction, speed), { atLeast }),
        ...names.map((name) => figure(`${direction}: ${name}`, 'msg/s', of(name, speed))),
        ...names.map((name) => figure(`${direction}: CPU per message, ${name}`, 'µs', of(name, cpu))),
        ...names.map((name) => figure(`${direction}: lost or damaged, ${name}`, '', of(name, faults), { atMost: 0 })),
      ];
    });
    return { figures, rounds };
  } finally {
    await rig.stop();
  }
}

function faults({ lost, damaged, repeated, late }: Round): number {
  return lost + damaged + repeated + late;
}
