// Back-pressure: reading stops while too much waits for the disk, and goes on by itself.

import { beforeEach, expect, test } from 'vitest';
import { Pressure, type Source } from '../../src/flow/pressure.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { TurnedClock } from '../migration/stage.ts';

const mib = 1024 ** 2;
let clock: TurnedClock;
let ledger: { uncommittedBytes: number };
let pressure: Pressure;
let broker: Source;
/** What each side was told, in order. */
let told: string[];

beforeEach(() => {
  [clock, ledger, told] = [new TurnedClock(), { uncommittedBytes: 0 }, []];
  const side = (name: string) => ({
    pauseReading: () => void told.push(`${name} stops`),
    resumeReading: () => void told.push(`${name} reads`),
  });
  broker = side('broker');
  pressure = new Pressure({ ledger: ledger as Ledger, clock, sources: [broker, side('server')] });
});

/** So many bytes wait for the disk, and a message was handed to the ledger. */
function waits(bytes: number): string[] {
  ledger.uncommittedBytes = bytes;
  pressure.check();
  return told.splice(0);
}

test('at 2 MiB that are not on disk neither side is read any more, and below that both are', () => {
  expect(waits(2 * mib - 1)).toEqual([]);
  expect(waits(2 * mib)).toEqual(['broker stops', 'server stops']);
});

test('reading goes on by itself, once, when no more than 1 MiB is left; between the two marks nothing changes', async () => {
  waits(3 * mib);
  expect(waits(4 * mib)).toEqual([]);
  ledger.uncommittedBytes = mib + 1;
  await clock.turn(1_000);
  expect(told).toEqual([]);
  ledger.uncommittedBytes = mib;
  await clock.turn(10);
  expect(told).toEqual(['broker reads', 'server reads']);
  expect(clock.planned).toBe(0);
  told = [];
  expect(waits(2 * mib)).toEqual(['broker stops', 'server stops']);
});

test('a side that is ended is not read again with the other', async () => {
  waits(2 * mib);
  pressure.end(broker);
  told = [];
  ledger.uncommittedBytes = 0;
  await clock.turn(1_000);
  expect(told).toEqual(['server reads']);
});

test('stopped, it lets nobody read again, however little waits', async () => {
  waits(2 * mib);
  pressure.stop();
  told = [];
  expect(waits(0)).toEqual([]);
  await clock.turn(1_000);
  expect(told).toEqual([]);
});
