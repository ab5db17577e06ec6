// The fault suite in short: each kind of fault once would take minutes (npm run test:faults), these take the ways that nothing else here takes.

import { expect, test } from 'vitest';
import { runFaults } from './run.ts';

const kinds = [
  'gateway stopped',
  'moves through all phases',
  'link half open',
  'broker half open',
  'PUBACKs eaten',
  'in/ack eaten',
  'acks of the link eaten',
  'disk slow',
  'clock behind',
];

test('amid traffic both ways, whatever fails: nothing is lost, out of order or visibly repeated, and all is settled', {
  timeout: 240_000,
}, async () => {
  const { verdict, unsettled, notMade } = await runFaults({ seed: 7, count: kinds.length, only: kinds });
  expect(verdict).toMatchObject({ lost: [], repeated: [], disordered: [] });
  expect({ unsettled, notMade }).toEqual({ unsettled: [], notMade: [] });
  expect(verdict.owed).toBeGreaterThan(500);
  expect(verdict.seen).toBeGreaterThanOrEqual(verdict.owed);
});

test('a message that does not arrive is found', { timeout: 120_000 }, async () => {
  const lost = { loses: 'alice to bob 5', settlingMs: 1_000 };
  const { verdict, unsettled } = await runFaults({ seed: 8, count: 1, only: ['gateway stalled'], ...lost });
  expect(verdict.lost).toContain('alice > bob: alice to bob 5');
  expect(unsettled.join()).toContain('acked');
});

test('a gateway that acknowledges before it has committed is found', { timeout: 120_000 }, async () => {
  const lying = { lies: true, settlingMs: 1_000 };
  const { verdict } = await runFaults({ seed: 9, count: 1, only: ['gateway killed'], ...lying });
  expect(verdict.lost.length).toBeGreaterThan(0);
});
