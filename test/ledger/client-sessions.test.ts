// Client sessions in the ledger: how far each was read, and which of our stanzas the server has processed; on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accept, type Bench, engines } from './bench.ts';

const link = 'c2s/bob@example.com';
let bench: Bench;
const position = (name = link) => bench.ledger.do('position', { link: name });
const read = (epoch: string, h: number) => bench.ledger.do('linkRead', { link, epoch, h });
const placed = (key: string, n: number) => bench.ledger.do('outPlaced', { link, key, n });
const resolved = (h: number | null) => bench.ledger.do('outResolved', { link, h });

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test('what was read without being an entry counts, and never goes back', async () => {
    await read('S', 3);
    await accept(bench.ledger, { position: { link, epoch: 'S', n: 5 } });
    await read('S', 4);
    expect(await position()).toEqual({ epoch: 'S', h: 5 });
    await read('S', 7);
    await bench.reopen();
    expect(await position()).toEqual({ epoch: 'S', h: 7 });
  });

  test('each session counts for itself, and another one begins from nothing', async () => {
    const other = 'c2s/carol@example.com';
    await accept(bench.ledger, { position: { link, epoch: 'S', n: 5 } });
    await accept(bench.ledger, { position: { link: other, epoch: 'T', n: 2 } });
    await read('S2', 0);
    expect([await position(), await position(other)]).toEqual([
      { epoch: 'S2', h: 0 },
      { epoch: 'T', h: 2 },
    ]);
  });

  test('an entry that comes again with its number is a repeat', async () => {
    await accept(bench.ledger, { id: 'a', position: { link, epoch: 'S', n: 1 } });
    const again = await accept(bench.ledger, { id: 'a', position: { link, epoch: 'S', n: 1 } });
    expect(again).toMatchObject({ kind: 'repeat' });
  });

  test('what the server has counted is processed, until its entries know it; the rest is to be sent again', async () => {
    await placed('k1', 1);
    await placed('k2', 2);
    await placed('k3', 3);
    expect(await resolved(2)).toEqual(['k1', 'k2']);
    await bench.reopen();
    // Another connection that breaks at once changes nothing in that.
    await placed('k3', 1);
    expect(await resolved(0)).toEqual(['k1', 'k2']);
    await bench.ledger.do('outForgotten', { link, keys: ['k1'] });
    expect(await resolved(0)).toEqual(['k2']);
  });

  test.each([
    ['goes on beyond 2^32, as seen from the last before it', 2 ** 32 - 1, ['k1', 'k2']],
    ['has begun again at 0', 0, ['k1', 'k2', 'k3']],
    ['is further on than that', 1, ['k1', 'k2', 'k3', 'k4']],
    ['is not told', null, []],
  ])('a count that %s', async (_, h, keys) => {
    for (const at of [1, 2, 3, 4]) await placed(`k${at}`, 2 ** 32 - 3 + at);
    expect(await resolved(h)).toEqual(keys);
  });
});
