// Conservation: accepted = settled + waiting + parked + dead + returned + discarded, whatever happens; on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Counts } from '../../src/ledger/ledger.ts';
import { type Bench, draft, engines } from './bench.ts';

const bob = 'bob@example.com';
let bench: Bench;

function sum(counts: Counts): number {
  return Object.values(counts)
    .flatMap((states) => Object.values(states))
    .reduce((total, n) => total + n, 0);
}

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());
  test.each([1, 2, 3])('whatever happens, what was accepted is somewhere (seed %i)', async (seed) => {
    let state = seed * 2_654_435_761;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const users = [bob, 'carol@example.com', 'dave@example.com'];
    let accepted = 0;
    let top = 0;
    const some = () => 1 + random(Math.max(top, 1));
    const keyOf = async () => (await bench.ledger.do('entries', { after: some() - 1, limit: 1 }))[0]?.key ?? 'none';
    for (let at = 1; at <= 400; at++) {
      const user = users[random(3)]!;
      const steps: (() => Promise<unknown>)[] = [
        async () => {
          const { outcome, seq } = bench.ledger.accept(() =>
            draft({
              user,
              lane: random(3) === 0 ? 'toXmpp' : 'toMqtt',
              custody: random(2) === 0 ? 'sole' : 'copy',
              archiveKey: `key-${random(60)}`,
              position: { link: 'L', epoch: `E${Math.floor(at / 150)}`, n: at },
              refused: random(9) === 0 ? { condition: 'x', text: 'x' } : undefined,
            }),
          );
          top = seq;
          if ((await outcome).kind === 'new') accepted++;
        },
        () => bench.ledger.do('answered', { seq: some(), at }),
        () => bench.ledger.do('sent', { seqs: [some(), some()], at }),
        () => bench.ledger.do('parked', { seq: some(), at }),
        () => bench.ledger.do('unpark', random(2) === 0 ? {} : { user }),
        () => bench.ledger.do('refused', { seq: some(), at, condition: 'x', text: 'x' }),
        async () => bench.ledger.do('appAcked', { user, keys: [await keyOf()], at }),
        () => bench.ledger.do('putDevice', { user, client: 'c', online: random(2) === 0, seenAt: at }),
        () => bench.ledger.do('settle', { now: at, horizonMs: 5, limit: 5 }),
        () => bench.ledger.do('republish', random(4) === 0 ? {} : { user }),
        () => bench.ledger.do('discard', { seqs: [some()], at, reason: 'x' }),
        () => bench.ledger.do('returned', { seqs: [some()], at }),
        () => bench.ledger.do('takenBack', { user, link: 'L', epoch: 'E1', h: at - 3, at, become: 'discarded' }),
        () => bench.ledger.do('forget', { before: at - 100, limit: 3 }),
        () => bench.reopen(),
      ];
      // Half of the steps accept, so that there is something to happen to; a restart is rare.
      const step = random(2) === 0 ? 0 : random(steps.length - (random(10) === 0 ? 0 : 1));
      await steps[step]!();
    }
    const counts = await bench.ledger.do('counts', {});
    expect(accepted).toBeGreaterThan(50);
    expect(sum(counts)).toBe(accepted);
    expect(
      Object.values(counts)
        .flatMap((states) => Object.values(states))
        .every((n) => n >= 0),
    ).toBe(true);
    // What is kept beside the entries agrees with the entries.
    for (const lane of ['toMqtt', 'toXmpp'] as const) {
      for (const of of ['accepted', 'sent', 'acked', 'parked', 'dead'] as const) {
        expect(await bench.ledger.do('entries', { lane, state: of, limit: 999 }), `${lane} ${of}`).toHaveLength(
          counts[lane][of],
        );
      }
    }
    const open = (await bench.ledger.do('entries', { state: 'waiting', limit: 999 })).filter(
      (view) => view.state !== 'acked',
    );
    const sendable = [];
    for (const conversation of await bench.ledger.do('conversations', {}))
      sendable.push(...(await bench.ledger.do('toSend', { ...conversation, after: 0, limit: 999 })));
    expect(sendable.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(open.map(({ seq }) => seq));
  });
});
