// The indexes in memory: they find what was put in, and a rolled back commit leaves them as they were.

import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { SeqIndex } from '../../src/ledger/seq-index.ts';
import { Store } from '../../src/ledger/store.ts';
import { draft } from './bench.ts';

/** Numbers in [0, 1) that are the same each time. */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test.each([
  ['few hashes, so that many share a place', 40],
  ['hashes next to each other', 3_000],
  ['hashes from everywhere', 2 ** 32],
])('an index finds exactly what was put in and not taken out: %s', (_, range) => {
  const index = new SeqIndex();
  const model = new Map<number, number>();
  const chance = chances(7);
  for (let seq = 1; seq <= 4_000; seq++) {
    const hash = Math.floor(chance() * range);
    index.add(hash, seq);
    model.set(seq, hash);
    const victim = Math.ceil(chance() * seq);
    if (chance() < 0.4 && model.has(victim)) {
      index.remove(model.get(victim)!, victim);
      model.delete(victim);
    }
  }
  expect(index.size).toBe(model.size);
  const bySeq = (one: number, other: number) => one - other;
  for (const hash of new Set([...model.values(), 1, 2])) {
    const wanted = [...model].filter(([, other]) => other === hash).map(([seq]) => seq);
    expect(index.find(hash).sort(bySeq)).toEqual(wanted.sort(bySeq));
  }
});

test('to take out what is not there changes nothing', () => {
  const index = new SeqIndex();
  index.add(5, 1);
  index.remove(5, 2);
  index.remove(6, 1);
  expect([index.size, index.find(5)]).toEqual([1, [1]]);
});

const contentKey = 'c'.repeat(22);
const acceptOf = (seq: number, over = {}) => ({
  name: 'accept' as const,
  args: { seq, at: 1, draft: draft({ contentKey, late: true, ...over }) },
});

test('a commit that fails leaves neither keys nor open entries of its own, and gives back those it had ended', () => {
  const db = new DatabaseSync(':memory:');
  const store = new Store(db, 'the ledger');
  store.run([acceptOf(1)]);
  const open = () => store.operations.toReturn({ user: 'bob@example.com', limit: 10 }).map(({ seq }) => seq);
  const { page_count: pages } = db.prepare('PRAGMA page_count').get() as { page_count: number };
  db.exec(`PRAGMA max_page_count = ${pages + 2}`);
  const lost = [
    { name: 'discard' as const, args: { seqs: [1], at: 2, reason: 'test' } },
    acceptOf(2, { contentKey: 'd'.repeat(22), payload: 'x'.repeat(100_000) }),
  ];
  expect(() => store.run(lost)).toThrow(/full/);
  expect(open()).toEqual([1]);
  db.exec('PRAGMA max_page_count = 1000000');
  expect(store.run([acceptOf(3)])).toEqual([{ value: { kind: 'repeat' } }]);
  expect(store.run(lost)).toEqual([{ value: undefined }, { value: { kind: 'new' } }]);
  expect(open()).toEqual([2]);
  // number 1 has lost its key with its end, number 2 has one now
  expect(store.run([acceptOf(4), acceptOf(5, { contentKey: 'd'.repeat(22) })])).toEqual([
    { value: { kind: 'new' } },
    { value: { kind: 'repeat' } },
  ]);
  db.close();
});

test('a commit that fails leaves the count of what apps have open as it was', () => {
  const db = new DatabaseSync(':memory:');
  const store = new Store(db, 'the ledger');
  const fromApp = (seq: number, payload = 'x') =>
    acceptOf(seq, { lane: 'toXmpp', contentKey: undefined, maxOpen: 2, payload });
  store.run([fromApp(1)]);
  const { page_count: pages } = db.prepare('PRAGMA page_count').get() as { page_count: number };
  db.exec(`PRAGMA max_page_count = ${pages + 2}`);
  const ended = { name: 'answered' as const, args: { seq: 1, at: 2 } };
  expect(() => store.run([fromApp(2), ended, fromApp(3, 'x'.repeat(100_000))])).toThrow(/full/);
  db.exec('PRAGMA max_page_count = 1000000');
  const kinds = store.run([fromApp(4), fromApp(5)]).map((result) => 'value' in result && result.value);
  expect(kinds).toEqual([{ kind: 'new' }, { kind: 'full' }]);
  db.close();
});
