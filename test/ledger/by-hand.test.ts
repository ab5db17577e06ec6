// What an operator does to single entries in the ledger: retry, take out and end; on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuditNote, Draft, State } from '../../src/ledger/ledger.ts';
import { requestKey } from '../../src/ledger/repeat.ts';
import { accept, type Bench, engines } from './bench.ts';

const bob = 'bob@example.com';
const at = 50;
let bench: Bench;

const view = async (key: string) => (await bench.ledger.do('entry', { key }))[0]!;
const note = (what: string): AuditNote => ({ at, who: 'admin', what, user: bob, reason: 'why', detail: 'key' });
const audit = async () => (await bench.ledger.do('audit', { limit: 9 })).map(({ what }) => what);
const counts = async () => (await bench.ledger.do('counts', {})).toMqtt;
const request = (digest = 'd'): Partial<Draft> => ({
  ...{ lane: 'toXmpp', id: 'm1', requestKey: requestKey({ user: bob, id: 'm1' }), requestDigest: digest },
});

/** An entry brought to a state. */
async function entryIn(state: State | 'refused', over: Partial<Draft> = {}): Promise<{ seq: number; key: string }> {
  const refused = state === 'refused' ? { condition: 'policy-violation', text: 'too large' } : undefined;
  const made = await accept(bench.ledger, { ...over, refused });
  const { seq } = made;
  if (state === 'sent') await bench.ledger.do('sent', { seqs: [seq], at });
  if (state === 'parked') await bench.ledger.do('parked', { seq, at });
  if (state === 'dead') await bench.ledger.do('refused', { seq, at, condition: 'not-acceptable', text: 'no' });
  if (state === 'acked') await bench.ledger.do('answered', { seq, at });
  if (state === 'discarded') await bench.ledger.do('discard', { seqs: [seq], at, reason: 'x' });
  return made;
}

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test.each(['parked', 'dead'] as const)('what is %s and retried is to be sent again, in its place', async (state) => {
    const first = await entryIn(state);
    const second = await entryIn('accepted');
    expect(await bench.ledger.do('retry', { seq: first.seq, note: note('entry.retry') })).toBe('done');
    const entry = await view(first.key);
    expect(entry.state).toBe('accepted');
    expect([entry.condition, entry.text, entry.endedAt]).toEqual([undefined, undefined, undefined]);
    const next = await bench.ledger.do('toSend', { lane: 'toMqtt', user: bob, peer: entry.peer, after: 0, limit: 9 });
    expect(next.map(({ key }) => key)).toEqual([first.key, second.key]);
    expect(await counts()).toMatchObject({ accepted: 2, parked: 0, dead: 0 });
    expect(await audit()).toEqual(['entry.retry']);
  });

  const notRetried = [
    ['accepted', 'not-so'],
    ['sent', 'not-so'],
    ['acked', 'not-so'],
    ['discarded', 'not-so'],
    ['refused', 'no-body'],
  ] as const;
  test.each(notRetried)('what is %s is not retried, and no word of it stands in the audit', async (state, why) => {
    const { seq } = await entryIn(state);
    const before = await bench.ledger.do('counts', {});
    expect(await bench.ledger.do('retry', { seq, note: note('entry.retry') })).toBe(why);
    expect(await bench.ledger.do('counts', {})).toEqual(before);
    expect(await audit()).toEqual([]);
  });

  test("a retried request has its id again: the app's repeat is known, other content is a conflict", async () => {
    const { seq } = await entryIn('dead', request());
    expect(await bench.ledger.do('retry', { seq })).toBe('done');
    expect((await accept(bench.ledger, request())).kind).toBe('repeat');
    expect((await accept(bench.ledger, request('other'))).kind).toBe('conflict');
    await bench.reopen();
    expect((await accept(bench.ledger, request())).kind).toBe('repeat');
    await bench.ledger.do('refused', { seq, at, condition: 'not-acceptable', text: 'again' });
    expect((await accept(bench.ledger, request('other'))).kind).toBe('new');
  });

  test.each(['parked', 'dead'] as const)(
    'what was %s and is being handed back is not sent by an operator, only after the word that it was not taken',
    async (state) => {
      const { seq, key } = await entryIn(state);
      const before = await view(key);
      const taken = await bench.ledger.do('takeOut', { seq, at });
      expect(await bench.ledger.do('retry', { seq, note: note('entry.retry') })).toBe('returning');
      expect(await audit()).toEqual([]);
      await bench.ledger.do('notTaken', { seq, at, fault: taken.kind === 'taken' ? taken.fault : undefined });
      if (state === 'dead') expect(await view(key)).toEqual({ ...before, endedAt: at });
      else expect((await view(key)).state).toBe('accepted');
    },
  );

  test('what may have been handed back already stays so, even if the server does not take it the next time', async () => {
    const { seq, key } = await entryIn('dead');
    await bench.ledger.do('takeOut', { seq, at });
    const again = await bench.ledger.do('takeOut', { seq, at });
    await bench.ledger.do('notTaken', { seq, at, fault: again.kind === 'taken' ? again.fault : undefined });
    expect(await view(key)).toMatchObject({ state: 'dead', condition: 'returning' });
  });

  test('a request that the app has sent again meanwhile is not sent twice', async () => {
    const { seq } = await entryIn('dead', request());
    expect((await accept(bench.ledger, request())).kind).toBe('new');
    expect(await bench.ledger.do('retry', { seq, note: note('entry.retry') })).toBe('repeated');
    expect(await audit()).toEqual([]);
  });

  test.each(['accepted', 'sent', 'parked', 'dead'] as const)(
    'what is %s can be taken out to be handed back, and is not sent from then on',
    async (state) => {
      const { seq, key } = await entryIn(state, { at: 7 });
      const taken = await bench.ledger.do('takeOut', { seq, at });
      const fault = state === 'dead' ? { condition: 'not-acceptable', text: 'no' } : undefined;
      expect(taken).toEqual({ kind: 'taken', user: bob, key, at: 7, original: "<message id='m1'/>", fault });
      const { condition } = await view(key);
      expect((await view(key)).state).toBe('dead');
      expect(condition).toBe('returning');
      expect(await bench.ledger.do('conversations', {})).toEqual([]);
      const asked = { seq, at, as: 'returned', note: note('entry.return') } as const;
      expect(await bench.ledger.do('endByHand', asked)).toBe(true);
      expect(await bench.ledger.do('endByHand', asked)).toBe(false);
      expect(await counts()).toMatchObject({ returned: 1, dead: 0 });
      expect(await audit()).toEqual(['entry.return']);
    },
  );

  const notTaken: [string, Partial<Draft>, State | 'refused', string][] = [
    ['has the broker', {}, 'acked', 'with-broker'],
    ['has somebody else', { custody: 'copy' }, 'parked', 'copy'],
    ['goes towards XMPP', { lane: 'toXmpp' }, 'dead', 'not-so'],
    ['has ended', {}, 'discarded', 'not-so'],
    ['has no body', {}, 'refused', 'no-body'],
  ];
  test.each(notTaken)('what %s is not taken out', async (_, over, state, kind) => {
    const { seq, key } = await entryIn(state, over);
    const before = await view(key);
    expect(await bench.ledger.do('takeOut', { seq, at })).toEqual({ kind });
    expect(await view(key)).toEqual(before);
  });

  test('what the app has acknowledged is not taken out', async () => {
    const { seq, key } = await entryIn('accepted');
    await bench.ledger.do('appAcked', { user: bob, keys: [key], at });
    expect(await bench.ledger.do('takeOut', { seq, at })).toEqual({ kind: 'app-has' });
  });

  test('a discarded entry says who and why, loses its keys, and may come again', async () => {
    const over = { archiveKey: 'archive-key-of-22-chars' };
    const { seq, key } = await entryIn('parked', over);
    expect((await accept(bench.ledger, over)).kind).toBe('repeat');
    const asked = { seq, at, as: 'discarded', reason: 'a test account', note: note('entry.discard') } as const;
    expect(await bench.ledger.do('endByHand', asked)).toBe(true);
    expect(await view(key)).toMatchObject({ state: 'discarded', condition: 'operator', text: 'a test account' });
    expect((await accept(bench.ledger, over)).kind).toBe('new');
  });

  test('the piles of a user count what is open, by conversation and state, and what is left for a way back', async () => {
    await entryIn('parked');
    await entryIn('accepted', { custody: 'copy' });
    await entryIn('dead', { peer: 'carol@example.com' });
    await entryIn('accepted', { lane: 'toXmpp' });
    await entryIn('discarded');
    await entryIn('accepted', { user: 'eve@example.com' });
    const { piles, more } = await bench.ledger.do('piles', { user: bob, limit: 100 });
    const row = {
      lane: 'toMqtt',
      peer: 'alice@example.com',
      count: 1,
      since: expect.any(Number),
      condition: undefined,
    };
    expect(more).toBe(false);
    expect(piles).toHaveLength(4);
    expect(piles).toEqual(
      expect.arrayContaining([
        { ...row, state: 'parked', sole: 1 },
        { ...row, state: 'accepted', sole: 0 },
        { ...row, state: 'dead', sole: 1, peer: 'carol@example.com', condition: 'not-acceptable' },
        expect.objectContaining({ lane: 'toXmpp', state: 'accepted', count: 1 }),
      ]),
    );
    expect((await bench.ledger.do('piles', { user: bob, limit: 2 })).more).toBe(true);
    const left = { toReturn: 1, toDiscard: 0, toSend: 0, dead: 0 };
    expect(await bench.ledger.do('remainders', { after: '', limit: 9 })).toEqual([
      { user: bob, toReturn: 2, toDiscard: 1, toSend: 1, dead: 0 },
      { user: 'eve@example.com', ...left },
    ]);
    expect(await bench.ledger.do('remainders', { after: bob, limit: 9 })).toEqual([
      { user: 'eve@example.com', ...left },
    ]);
  });

  test("a user's last entries are found among the newest", async () => {
    await entryIn('accepted', { lane: 'toXmpp' });
    for (let count = 0; count < 4; count++) await entryIn('accepted');
    const last = await bench.ledger.do('lastEntries', { user: bob, depth: 100 });
    expect(last).toEqual({ toMqtt: expect.any(Number), toXmpp: expect.any(Number) });
    expect((await bench.ledger.do('lastEntries', { user: bob, depth: 2 })).toXmpp).toBeUndefined();
    expect(await bench.ledger.do('lastEntries', { user: 'eve@example.com', depth: 100 })).toEqual({});
  });

  test('a view tells where the entry stood on the link, and entries are found by id and age', async () => {
    const position = { link: 'gw/example.com', epoch: 'e1', n: 7 };
    const { key } = await entryIn('accepted', { id: 'm1', position });
    expect((await view(key)).position).toEqual(position);
    const { acceptedAt } = await view(key);
    expect(await bench.ledger.do('entries', { id: 'm1' })).toHaveLength(1);
    expect(await bench.ledger.do('entries', { id: 'm2' })).toHaveLength(0);
    expect(await bench.ledger.do('entries', { before: acceptedAt })).toHaveLength(0);
    expect(await bench.ledger.do('entries', { before: acceptedAt + 1 })).toHaveLength(1);
  });
});
