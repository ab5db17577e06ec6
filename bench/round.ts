// One round: a load sent through one side in one direction, timed from its first byte to the arrival of its last message.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child.ts';
import { busyMs, cpuMs, peakRssMb } from './load.ts';
import type { Rig } from './rig.ts';
import type { Load, Side, Verdict } from './traffic.ts';

export type Direction = 'toMqtt' | 'toXmpp';

export interface Round extends Verdict {
  side: Side;
  direction: Direction;
  perSecond: number;
  /** Processor time per message in µs, until the process was idle again. */
  cpuUs: Record<'subject' | 'broker' | 'server' | 'app', number>;
  /** The subject's most memory since it began, in MB. */
  peakRssMb: number;
  /** The subject's event loop, in ms. */
  delayMs: { p50: number; p99: number; max: number };
  /** Processors that others on this machine kept busy meanwhile. */
  foreign: number;
}

export async function runRound(rig: Rig, side: Side, direction: Direction, load: Load): Promise<Round> {
  const subject = rig.subjects[side];
  const [sender, receiver] = direction === 'toMqtt' ? [rig.server, rig.app] : [rig.app, rig.server];
  await sender.ask('prepare', { side, load });
  await receiver.ask('expect', direction === 'toMqtt' ? load : { side, load });
  await quiet(subject);
  await subject.ask('reset');
  const before = clocks(rig, side);
  const startedAt = await sender.ask<number>('blast', side);
  const endedAt = await receiver.ask<number>('arrived');
  if (side === 'gateway' && direction === 'toMqtt') await rig.server.ask('acknowledged', side);
  await quiet(subject);
  const after = clocks(rig, side);
  const delayMs = await subject.ask<Round['delayMs']>('delay');
  const verdict = await receiver.ask<Verdict>('check', direction === 'toMqtt' ? load : { side, load });
  const perMessage = (name: keyof Clocks) => ((after[name] - before[name]) * 1000) / load.count;
  const ours = (['subject', 'broker', 'server', 'app'] as const).reduce(
    (sum, name) => sum + after[name] - before[name],
    0,
  );
  return {
    ...{ side, direction, ...verdict, delayMs },
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

type Clocks = ReturnType<typeof clocks>;

function clocks({ subjects, server, app, brokerPid }: Rig, side: Side) {
  return {
    subject: cpuMs(subjects[side].pid),
    broker: cpuMs(brokerPid),
    server: cpuMs(server.pid),
    app: cpuMs(app.pid),
    machine: busyMs(),
    wall: performance.now(),
  };
}

/** Resolves when the process has done next to nothing for half a second (one that is profiled is never quite idle). */
async function quiet({ pid }: Child): Promise<void> {
  for (let before = cpuMs(pid), now = Number.NaN; !(now - before <= 100); ) {
    before = Number.isNaN(now) ? before : now;
    await sleep(500);
    now = cpuMs(pid);
  }
}
