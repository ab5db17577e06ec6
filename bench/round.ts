// One round: a load sent through one side in one direction, timed from its first byte to the arrival of its last message.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child.ts';
import { busyMs, cpuMs, peakRssMb, resetPeakRss } from './load.ts';
import type { Rig } from './rig.ts';
import { median, quantile } from './statistics.ts';
import { isGateway, type Load, type Side, type Verdict } from './traffic.ts';

export type Direction = 'toMqtt' | 'toXmpp';
export const directions: readonly Direction[] = ['toMqtt', 'toXmpp'];

export interface Times {
  p50: number;
  p99: number;
  max: number;
}

export interface Round extends Omit<Verdict, 'arrivedAt'> {
  side: Side;
  direction: Direction;
  perSecond: number;
  /** Processor time per message in µs, until the process was idle again. */
  cpuUs: Record<'subject' | 'broker' | 'server' | 'app', number>;
  /** The subject's most memory in this round, in MB. */
  peakRssMb: number;
  /** How late the subject's event loop was, in ms; unknown of one that has none. */
  delayMs?: Times;
  /** From one end to the other, in ms, of a load that is evenly spread. */
  underwayMs?: Times;
  /** Processors that others on this machine kept busy meanwhile. */
  foreign: number;
}

export async function runRound(rig: Rig, side: Side, direction: Direction, load: Load): Promise<Round> {
  const subject = rig.subjects[side]!;
  // A bare end of the link takes the place of gateway and apps.
  const app = side === 'bare' ? subject : rig.app;
  const [sender, receiver] = direction === 'toMqtt' ? [rig.server, app] : [app, rig.server];
  const expected = direction === 'toMqtt' ? load : { side, load };
  await sender.ask('prepare', { side, load });
  await receiver.ask('expect', expected);
  await quiet(subject);
  const isProbed = isGateway(side) || side === 'bridge' || side === 'least';
  if (isProbed) await subject.ask('reset');
  resetPeakRss(subject.pid);
  const before = clocks(rig, side);
  const startedAt = await sender.ask<number>('blast', { side, load });
  const endedAt = await receiver.ask<number>('arrived');
  if (isGateway(side) && direction === 'toMqtt') await rig.server.ask('acknowledged', side);
  await quiet(subject);
  const after = clocks(rig, side);
  const delayMs = isProbed ? await subject.ask<Times>('delay') : undefined;
  const { arrivedAt, ...verdict } = await receiver.ask<Verdict>('check', expected);
  const underwayMs = arrivedAt && timesOf(await sender.ask<number[]>('sent'), arrivedAt);
  const perMessage = (name: keyof Clocks) => ((after[name] - before[name]) * 1000) / load.count;
  const ours = (['subject', 'broker', 'server', 'app', 'clients', 'parent'] as const).reduce(
    (sum, name) => sum + after[name] - before[name],
    0,
  );
  return {
    ...{ side, direction, ...verdict, delayMs, underwayMs },
    perSecond: (load.count / (endedAt - startedAt)) * 1000,
    cpuUs: {
      subject: perMessage('subject'),
      broker: perMessage('broker'),
      server: perMessage('server'),
      app: perMessage('app'),
    },
    peakRssMb: peakRssMb(subject.pid),
    foreign: Math.max(0, (after.machine - before.machine - ours) / (after.wall - before.wall)),
  };
}

/** Of messages that did not come nothing is known here: they are counted as lost. */
function timesOf(sentAt: number[], arrivedAt: (number | null)[]): Times {
  const all = arrivedAt.flatMap((arrived, at) => (arrived === null ? [] : [arrived - sentAt[at]!]));
  return { p50: median(all), p99: quantile(all, 0.99), max: Math.max(...all) };
}

type Clocks = ReturnType<typeof clocks>;

function clocks({ subjects, server, serverPid, app, brokerPid }: Rig, side: Side) {
  return {
    subject: cpuMs(subjects[side]!.pid),
    broker: cpuMs(brokerPid),
    server: cpuMs(serverPid),
    clients: serverPid === server.pid ? 0 : cpuMs(server.pid),
    app: cpuMs(app.pid),
    parent: cpuMs(process.pid),
    machine: busyMs(),
    wall: performance.now(),
  };
}

/** Resolves when the process has done next to nothing for half a second (one that is profiled is never quite idle). */
export async function quiet({ pid }: Child): Promise<void> {
  for (let before = cpuMs(pid), now = Number.NaN; !(now - before <= 100); ) {
    before = Number.isNaN(now) ? before : now;
    await sleep(500);
    now = cpuMs(pid);
  }
}
