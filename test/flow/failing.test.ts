// When an entry that failed goes again: after longer and longer pauses, and never at a time that others share.

import { beforeEach, expect, test } from 'vitest';
import { Failing, type Failure } from '../../src/flow/failing.ts';
import { Outbox } from '../../src/flow/outbox.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { TurnedClock } from '../migration/stage.ts';

let chance: number;
let failing: Failing;

beforeEach(() => {
  failing = new Failing(Object.assign(new TurnedClock(), { random: () => chance }));
});

/** The pauses after each of so many failures in a row. */
function pauses(failure: Failure, times: number): number[] {
  const outbox = new Outbox({ lane: 'toMqtt', user: 'bob', peer: 'alice' }, {} as Ledger);
  return Array.from({ length: times }, () => {
    const verdict = failing.judge(outbox, failure);
    return verdict?.kind === 'again' ? verdict.delayMs : Number.NaN;
  });
}

const refused: Failure = { kind: 'retry', reason: 'PUBACK 131' };
test.each([
  { at: 'the least', of: 0, expected: [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] },
  { at: 'the most', of: 1, expected: [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] },
])(
  'refused for now it goes again after a second, then twice as long each time, a minute at most; chance halves that at most ($at)',
  ({ of, expected }) => {
    chance = of;
    expect(pauses(refused, expected.length)).toEqual(expected);
  },
);

test.each([
  { at: 'the least', of: 0, expected: [20, 20, 20, 500, 1_000, 2_000] },
  { at: 'the most', of: 1, expected: [20, 20, 20, 1_000, 2_000, 4_000] },
])(
  'lost with its connection it goes again at once three times, and then more and more rarely, ten minutes at most ($at)',
  ({ of, expected }) => {
    chance = of;
    const all = pauses({ kind: 'lost' }, 20);
    expect(all.slice(0, expected.length)).toEqual(expected);
    expect(all.at(-1)).toBe(600_000 * (0.5 + of / 2));
  },
);
