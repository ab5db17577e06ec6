// How much memory the gateway takes while 100,000 messages have to wait for one of its ends, and after.

import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { peakRssMb, resetPeakRss, rssMb } from './load.ts';
import { openRig, type Rig } from './rig.ts';
import { quiet } from './round.ts';
import type { Verdict } from './traffic.ts';

const count = 100_000;
/** What docs/operating.md says. */
const boundMb = 900;

interface Case {
  side: string;
  name: string;
  direction: 'toMqtt' | 'toXmpp';
  /** The end that is stopped (SIGSTOP) while everything comes. */
  stopped?: (rig: Rig) => number;
}

const cases: Case[] = [
  { side: 'gateway-well', name: 'both ends answer', direction: 'toMqtt' },
  { side: 'gateway-broker', name: 'the broker stands still', direction: 'toMqtt', stopped: (rig) => rig.brokerPid },
  {
    side: 'gateway-server',
    name: 'the legacy server stands still',
    direction: 'toXmpp',
    stopped: (rig) => rig.server.pid,
  },
];

export const pressure: Benchmark = {
  name: 'pressure',
  about:
    '100,000 messages come while the broker, or the legacy server, stands still: the most memory the gateway takes',
  minutes: 5,
  run,
};

interface Measured extends Pick<Verdict, 'lost' | 'repeated'> {
  name: string;
  beforeMb: number;
  /** Until all of them wait in the ledger. */
  waitingMb: number;
  /** Until all of them have arrived. */
  peakMb: number;
}

async function run({ runs, messages = count, tell }: Options): Promise<Result> {
  const rounds: Measured[] = [];
  for (let at = 1; at <= runs; at += 1) {
    // A new process for each: memory once taken is hardly ever given back.
    const rig = await openRig(cases.map(({ side }) => ({ side })));
    try {
      for (const one of cases) {
        const measured = await measure(rig, one, messages);
        const { name, beforeMb, waitingMb, peakMb, lost } = measured;
        const [before, waiting, peak] = [beforeMb, waitingMb, peakMb].map((mb) => mb.toFixed(0));
        tell(`${at}  ${name}: ${before} MB before, ${waiting} while all came, ${peak} in all; lost ${lost}`);
        rounds.push(measured);
      }
    } finally {
      await rig.stop();
    }
  }
  const figures = cases.flatMap(({ name }) => {
    const of = rounds.filter((round) => round.name === name);
    const values = (value: (round: Measured) => number) => of.map(value);
    return [
      figure(
        `${name}: before`,
        'MB',
        values(({ beforeMb }) => beforeMb),
      ),
      figure(
        `${name}: peak while all came`,
        'MB',
        values(({ waitingMb }) => waitingMb),
      ),
      figure(
        `${name}: peak in all`,
        'MB',
        values(({ peakMb }) => peakMb),
        { atMost: boundMb },
      ),
      figure(
        `${name}: lost`,
        '',
        values(({ lost }) => lost),
        { atMost: 0 },
      ),
    ];
  });
  return { figures, rounds };
}

async function measure(rig: Rig, { side, name, direction, stopped }: Case, messages: number): Promise<Measured> {
  const gateway = rig.subjects[side]!;
  const load = { tag: side.replaceAll('-', ''), count: messages };
  const [sender, receiver] = direction === 'toMqtt' ? [rig.server, rig.app] : [rig.app, rig.server];
  const expected = direction === 'toMqtt' ? load : { side, load };
  await sender.ask('prepare', { side, load });
  await receiver.ask('expect', expected);
  await quiet(gateway);
  const beforeMb = rssMb(gateway.pid);
  resetPeakRss(gateway.pid);
  const pid = stopped?.(rig);
  if (pid !== undefined) process.kill(pid, 'SIGSTOP');
  try {
    await sender.ask('blast', { side, load });
    if (direction === 'toMqtt') await rig.server.ask('acknowledged', side);
    await quiet(gateway);
  } finally {
    if (pid !== undefined) process.kill(pid, 'SIGCONT');
  }
  const waitingMb = peakRssMb(gateway.pid);
  await receiver.ask('arrived');
  await quiet(gateway);
  const { lost, repeated } = await receiver.ask<Verdict>('check', expected);
  return { name, beforeMb, waitingMb, peakMb: peakRssMb(gateway.pid), lost, repeated };
}
