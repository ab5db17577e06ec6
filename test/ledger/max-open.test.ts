// How many entries of one user's apps may be open at once: what counts, what does not, and that nothing of a refused one is left.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Draft } from '../../src/ledger/ledger.ts';
import { requestKey } from '../../src/ledger/repeat.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { accept, type Bench, draft, engines } from './bench.ts';

const bob = 'bob@example.com';
const says = (id: string, over: Partial<Draft> = {}): Partial<Draft> => ({
  ...{ lane: 'toXmpp', id, maxOpen: 2, payload: `<message id='${id}'/>` },
  ...{ requestKey: requestKey({ user: over.user ?? bob, id }), requestDigest: 'digest' },
  ...over,
});

describe.each(Object.entries(engines))('%s', (_, open) => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await open();
  });
  afterEach(() => bench.end());
  const say = async (...ids: string[]) => {
    const kinds: string[] = [];
    for (const id of ids) kinds.push((await accept(bench.ledger, says(id))).kind);
    return kinds.join(' ');
  };

  test('one too many is not written, with neither its copy nor its key; when one has left, the same id is new', async () => {
    const { seq } = await accept(bench.ledger, says('m1'));
    expect(await say('m2')).toBe('new');
    const { ledger } = bench;
    const copy = () => draft({ custody: 'copy', id: 'm3' });
    expect(await ledger.accept(() => draft(says('m3')), copy).outcome).toEqual({ kind: 'full' });
    expect(await ledger.do('entries', {})).toHaveLength(2);
    await ledger.do('answered', { seq, at: 1 });
    expect(await say('m3', 'm4')).toBe('new full');
    expect((await new Verifier({ ledger, clock: systemClock }).verify()).faults).toEqual([]);
  });

  test('a repeat of one that waits is told so however many wait', async () => {
    expect(await say('m1', 'm2', 'm1', 'm3')).toBe('new new repeat full');
  });

  test('what was refused by the legacy server counts until somebody has decided', async () => {
    const { seq } = await accept(bench.ledger, says('m1'));
    await bench.ledger.do('refused', { seq, at: 1, condition: 'forbidden', text: '' });
    expect(await say('m2', 'm3')).toBe('new full');
    await bench.ledger.do('discard', { seqs: [seq], at: 2, reason: 'test' });
    expect(await say('m3')).toBe('new');
  });

  test('neither what others have said nor what has come for the user counts', async () => {
    for (let n = 0; n < 5; n++) await accept(bench.ledger);
    for (let n = 0; n < 2; n++) await accept(bench.ledger, says(`c${n}`, { user: 'carol@example.com' }));
    expect(await say('m1', 'm2', 'm3')).toBe('new new full');
  });

  test('what comes from the legacy server is taken however many are open', async () => {
    await say('m1', 'm2');
    expect((await accept(bench.ledger)).kind).toBe('new');
  });

  test('after a restart as many are open as before', async () => {
    await say('m1', 'm2');
    await bench.reopen();
    expect(await say('m3')).toBe('full');
  });
});
