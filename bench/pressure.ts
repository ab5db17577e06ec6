// How much memory the gateway takes while 100,000 messages have to wait for one of its ends, or for the disk, and after.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { peakRssMb, resetPeakRss, rssMb } from './load.ts';
import { openRig, type Rig } from './rig.ts';
import { quiet } from './round.ts';
import { slowFsync } from './slow-fsync.ts';
import type { Verdict } from './traffic.ts';

const count = 100_000;
/** What docs/limits.md says. */
const boundMb = 700;
/** How long an end goes on standing still when all wait: connections are given up and tried again meanwhile. */
const standstillMs = 120_000;
/** As long as on a disk that is worn or shared with too many. */
const fsyncMs = 100;

interface Case {
  side: string;
  name: string;
  direction: 'toMqtt' | 'toXmpp';
  /** The end that is stopped (SIGSTOP) while everything comes. */
  stopped?: (rig: Rig) => number;
  /** Each fsync takes so much longer. */
  fsyncMs?: number;
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
  { side: 'gateway-disk', name: 'the disk is slow', direction: 'toMqtt', fsyncMs },
  { side: 'gateway-disk-back', name: 'the disk is slow, towards XMPP', direction: 'toXmpp', fsyncMs },
];

export const pressure: Benchmark = {
  name: 'pressure',
  about:
    '100,000 messages come while the broker, or the legacy server, stands still for two minutes, or the disk is slow (needs cc): the most memory the gateway takes',
  minutes: 30,
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

async function run(options: Options): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  try {
    const { env, commitMs } = await slowFsync(dir, fsyncMs);
    options.tell(`a commit of SQLite takes ${commitMs.toFixed(1)} ms on the slow disk`);
    return await measuredRuns(env, options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measuredRuns(
  slowDisk: Record<string, string>,
  { runs, messages = count, tell }: Options,
): Promise<Result> {
  const rounds: Measured[] = [];
  for (let at = 1; at <= runs; at += 1) {
    // A new process for each: memory once taken is hardly ever given back.
    const rig = await openRig(
      cases.map(({ side, fsyncMs }) => ({ side, ...(fsyncMs !== undefined && { env: slowDisk }) })),
    );
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
    if (pid !== undefined) await sleep(standstillMs);
  } finally {
    if (pid !== undefined) process.kill(pid, 'SIGCONT');
  }
  const waitingMb = peakRssMb(gateway.pid);
  await receiver.ask('arrived');
  await quiet(gateway);
  const { lost, repeated } = await receiver.ask<Verdict>('check', expected);
  return { name, beforeMb, waitingMb, peakMb: peakRssMb(gateway.pid), lost, repeated };
}
