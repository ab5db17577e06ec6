// The life of an entry: states, parking, republishing, returning, what is asked about it; on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { State } from '../../src/ledger/ledger.ts';
import { accept, type Bench, deviceOf, engines, published } from './bench.ts';

const bob = 'bob@example.com';
const talk = { lane: 'toMqtt', user: bob, peer: 'alice@example.com' } as const;
let bench: Bench;

const stateOf = async (key: string): Promise<State | undefined> => (await bench.ledger.do('entry', { key }))[0]?.state;
const waitingKeys = async () =>
  (await bench.ledger.do('toSend', { ...talk, after: 0, limit: 99 })).map(({ key }) => key);

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test('an entry keeps all it was given, across a restart', async () => {
    const { seq, key } = await accept(bench.ledger, { id: 'm1', mapping: 'rfc6121', at: 5, custody: 'copy' });
    await bench.reopen();
    const [view] = await bench.ledger.do('entry', { id: 'm1' });
    expect(view).toMatchObject({
      seq,
      key,
      lane: 'toMqtt',
      state: 'accepted',
      user: bob,
      peer: talk.peer,
      channel: 'message',
      id: 'm1',
      custody: 'copy',
      mapping: 'rfc6121',
      topic: 'chat/bob/in/message',
      attempts: 0,
      at: 5,
    });
    expect(view!.acceptedAt).toBeGreaterThan(1.6e12);
    expect(await bench.ledger.do('toSend', { ...talk, after: 0, limit: 9 })).toEqual([
      { seq, key, ...talk, channel: 'message', id: 'm1', topic: 'chat/bob/in/message', payload: '{"body":"hi"}' },
    ]);
    expect(await bench.ledger.do('conversations', {})).toEqual([talk]);
  });

  test('of an id or a reason that is very long its line keeps the beginning, by which it is found', async () => {
    const long = 'x'.repeat(1_000_000);
    const { seq, key } = await accept(bench.ledger, { id: long });
    await bench.ledger.do('refused', { seq, at: 1, condition: 'not-acceptable', text: long });
    await accept(bench.ledger, { id: long, refused: { condition: 'policy-violation', text: long } });
    const found = await bench.ledger.do('entry', { id: long });
    expect(found.map(({ id, text }) => [id?.length, text?.length])).toEqual([
      [1_024, 1_024],
      [1_024, 1_024],
    ]);
    expect(await bench.ledger.do('entries', { id: long, limit: 1 })).toMatchObject([{ key }]);
  });

  test('an entry that is refused at accept is dead, is not delivered, and says why', async () => {
    const { key } = await accept(bench.ledger, { refused: { condition: 'jid-malformed', text: 'no' } });
    expect((await bench.ledger.do('entry', { key }))[0]).toMatchObject({
      state: 'dead',
      condition: 'jid-malformed',
      text: 'no',
    });
    expect(bench.committed).toEqual([]);
    expect(await bench.ledger.do('conversations', {})).toEqual([]);
  });

  test('towards XMPP the server’s answer settles, and the body goes', async () => {
    const { seq, key } = await accept(bench.ledger, { lane: 'toXmpp' });
    expect(await bench.ledger.do('toXmppWaiting', { user: bob })).toBe(1);
    await bench.ledger.do('sent', { seqs: [seq], at: 5 });
    await bench.ledger.do('answered', { seq, at: 7 });
    expect((await bench.ledger.do('entry', { key }))[0]).toMatchObject({
      state: 'settled',
      attempts: 1,
      sentAt: 5,
      ackedAt: 7,
      endedAt: 7,
    });
    expect(await bench.ledger.do('toXmppWaiting', { user: bob })).toBe(0);
  });

  test.each([
    ['with its sender named', bob],
    ['without', undefined],
  ])('an answer of the server that comes before a second is over settles at once, %s', async (_, sender) => {
    const { seq, key } = await accept(bench.ledger, { lane: 'toXmpp', requestKey: 'first', maxOpen: 1 });
    await bench.ledger.do('answered', { seq, at: 7, sender });
    const [view] = await bench.ledger.do('entry', { key });
    expect(view).toMatchObject({ state: 'settled', attempts: 1, sentAt: undefined, ackedAt: 7, endedAt: 7 });
    expect(await bench.ledger.do('retry', { seq })).toBe('not-so');
    expect((await bench.ledger.do('counts', {})).toXmpp).toMatchObject({ accepted: 0, settled: 1 });
    expect((await accept(bench.ledger, { lane: 'toXmpp', requestKey: 'second', maxOpen: 1 })).kind).toBe('new');
  });

  test.each([
    ['an answer', 'answered', { at: 9 }],
    ['a park', 'parked', { at: 9 }],
    ['a refusal', 'refused', { at: 9, condition: 'x', text: 'x' }],
  ] as const)('%s that comes after the end changes nothing', async (_, name, args) => {
    const { seq, key } = await accept(bench.ledger);
    await bench.ledger.do('discard', { seqs: [seq], at: 1, reason: 'test' });
    await bench.ledger.do(name, { seq, ...args } as never);
    expect((await bench.ledger.do('entry', { key }))[0]).toMatchObject({
      state: 'discarded',
      endedAt: 1,
      condition: 'test',
    });
  });

  test('sent keeps the entry to be sent and raises attempts', async () => {
    const { seq, key } = await accept(bench.ledger);
    await bench.ledger.do('sent', { seqs: [seq], at: 1 });
    await bench.ledger.do('sent', { seqs: [seq], at: 2 });
    expect((await bench.ledger.do('entry', { key }))[0]).toMatchObject({ state: 'sent', attempts: 2, sentAt: 2 });
    expect(await waitingKeys()).toEqual([key]);
  });

  test('parked ones come back in their place, of one user or of all', async () => {
    const first = await accept(bench.ledger);
    const second = await accept(bench.ledger);
    const other = await accept(bench.ledger, { user: 'carol@example.com' });
    for (const { seq } of [first, other]) await bench.ledger.do('parked', { seq, at: 1 });
    expect(await waitingKeys()).toEqual([second.key]);
    expect(await bench.ledger.do('unpark', { user: bob })).toEqual([talk]);
    expect(await waitingKeys()).toEqual([first.key, second.key]);
    expect(await bench.ledger.do('unpark', {})).toEqual([{ ...talk, user: 'carol@example.com' }]);
    expect(await bench.ledger.do('unpark', {})).toEqual([]);
  });

  test('an app acknowledges only its own entries, and each is news once', async () => {
    const key = await published(bench.ledger, 1);
    const foreign = await published(bench.ledger, 1, { user: 'carol@example.com' });
    const keys = [key, key, foreign, `${key}x`, 'nonsense', '', key.toUpperCase().replace('-', '-0')];
    expect(await bench.ledger.do('appAcked', { user: bob, keys, at: 5 })).toBe(1);
    expect(await bench.ledger.do('appAcked', { user: bob, keys, at: 6 })).toBe(0);
    expect((await bench.ledger.do('entry', { key }))[0]?.appAckedAt).toBe(5);
  });

  test('republish brings back what the app has not, in order; after a broker restart all', async () => {
    const [first, second] = [await published(bench.ledger, 1), await published(bench.ledger, 1)];
    const third = await accept(bench.ledger);
    const other = await published(bench.ledger, 1, { user: 'carol@example.com' });
    await bench.ledger.do('appAcked', { user: bob, keys: [first], at: 5 });
    expect(await bench.ledger.do('republish', { user: bob })).toEqual([talk]);
    expect(await waitingKeys()).toEqual([second, third.key]);
    expect(await stateOf(other)).toBe('acked');
    expect(await bench.ledger.do('republish', {})).toHaveLength(2);
    expect(await waitingKeys()).toEqual([first, second, third.key]);
    expect(await bench.ledger.do('conversations', {})).toHaveLength(2);
  });

  test('toSend goes on after a number and no further than the limit', async () => {
    const keys: string[] = [];
    for (let n = 0; n < 5; n++) keys.push((await accept(bench.ledger)).key);
    const page = await bench.ledger.do('toSend', { ...talk, after: 2, limit: 2 });
    expect(page.map(({ key }) => key)).toEqual(keys.slice(2, 4));
  });

  test('only what is sole, open and not acknowledged is returned, by number; the rest is discarded', async () => {
    const soleAccepted = await accept(bench.ledger, { original: '<one/>', at: 7 });
    const soleAcked = await published(bench.ledger, 1);
    const soleAppAcked = await published(bench.ledger, 1);
    const copyAccepted = await accept(bench.ledger, { custody: 'copy' });
    const parked = await accept(bench.ledger);
    const dead = await accept(bench.ledger);
    const out = await accept(bench.ledger, { lane: 'toXmpp' });
    const other = await accept(bench.ledger, { user: 'carol@example.com' });
    await bench.ledger.do('appAcked', { user: bob, keys: [soleAppAcked], at: 5 });
    await bench.ledger.do('parked', { seq: parked.seq, at: 1 });
    await bench.ledger.do('refused', { seq: dead.seq, at: 1, condition: 'x', text: 'x' });

    const rows = await bench.ledger.do('toReturn', { user: bob, limit: 99 });
    expect(rows.map(({ key }) => key)).toEqual([soleAccepted.key, soleAcked, parked.key, dead.key]);
    expect(rows[0]).toMatchObject({ original: '<one/>', at: 7 });
    expect(await bench.ledger.do('toReturn', { user: bob, limit: 1 })).toHaveLength(1);

    await bench.ledger.do('returned', { seqs: rows.map(({ seq }) => seq), at: 9 });
    expect(await bench.ledger.do('discardRest', { user: bob, at: 9, reason: 'moved' })).toBe(2);
    expect(await stateOf(soleAppAcked)).toBe('discarded');
    expect(await stateOf(copyAccepted.key)).toBe('discarded');
    expect(await stateOf(dead.key)).toBe('returned');
    expect(await stateOf(out.key)).toBe('accepted');
    expect(await stateOf(other.key)).toBe('accepted');
    expect(await bench.ledger.do('toReturn', { user: bob, limit: 99 })).toEqual([]);
  });

  test('discardRest leaves alone what must be returned', async () => {
    const { key } = await accept(bench.ledger);
    expect(await bench.ledger.do('discardRest', { user: bob, at: 9, reason: 'moved' })).toBe(0);
    expect(await stateOf(key)).toBe('accepted');
  });

  test('what the server took back, of that user, epoch and link above h, is discarded', async () => {
    const place = (n: number, epoch = 'E', link = 'L') => ({ position: { link, epoch, n } });
    const keep = await accept(bench.ledger, place(1));
    const gone = await accept(bench.ledger, place(2));
    const other = await accept(bench.ledger, { ...place(3), user: 'carol@example.com' });
    const elsewhere = await accept(bench.ledger, place(9, 'E', 'M'));
    const args = { user: bob, link: 'L', epoch: 'E', h: 1, at: 5, become: 'discarded' as const };
    expect(await bench.ledger.do('takenBack', { ...args, epoch: 'older' })).toBe(0);
    expect(await bench.ledger.do('takenBack', args)).toBe(1);
    const states = await Promise.all([keep, gone, other, elsewhere].map(({ key }) => stateOf(key)));
    expect(states).toEqual(['accepted', 'discarded', 'accepted', 'accepted']);
  });

  test('what the server took back from a session that it ended itself becomes a copy, which no rollback returns', async () => {
    const { key } = await accept(bench.ledger, { position: { link: 'L', epoch: 'E', n: 2 }, original: '<message/>' });
    await bench.ledger.do('takenBack', { user: bob, link: 'L', epoch: 'E', h: 1, at: 5, become: 'copy' });
    expect(await stateOf(key)).toBe('accepted');
    expect(await bench.ledger.do('toReturn', { user: bob, limit: 9 })).toEqual([]);
  });

  test('what was handed back waits on as a copy with its keys, and comes back to us under another key for the return', async () => {
    const place = (n: number, epoch = 'E') => ({
      position: { link: 'L', epoch, n },
      contentKey: 'c'.repeat(22),
      late: true,
    });
    const { seq, key } = await accept(bench.ledger, { ...place(1), original: '<message/>' });
    const toReturn = async () => (await bench.ledger.do('toReturn', { user: bob, limit: 9 })).map((row) => row.key);
    const [first] = await toReturn();
    expect(first).toMatch(new RegExp(`^${key}\\.`));
    await bench.ledger.do('handedBack', { seqs: [seq], at: 5 });
    expect([await stateOf(key), await toReturn()]).toEqual(['accepted', []]);
    await accept(bench.ledger, { ...place(7), original: '<message/>' });
    const [second] = await toReturn();
    await bench.ledger.do('takenBack', { user: bob, link: 'L', epoch: 'E', h: 6, at: 5, become: 'copy' });
    expect(await toReturn()).toEqual([]);
    // In another epoch it may come under a number that it had in the one before.
    await accept(bench.ledger, { ...place(1, 'E2'), original: '<message/>' });
    const [third] = await toReturn();
    expect(new Set([first, second, third]).size).toBe(3);
  });

  test('without a device the open copies end, and what came to us alone stays', async () => {
    const sole = await accept(bench.ledger, { custody: 'sole' });
    const copy = await accept(bench.ledger, { custody: 'copy' });
    expect(await bench.ledger.do('discardCopies', { user: bob, at: 5, reason: 'no device' })).toBe(1);
    expect([await stateOf(sole.key), await stateOf(copy.key)]).toEqual(['accepted', 'discarded']);
  });

  test('what was refused as it came leaves with the history, and what was refused later stays for the operator', async () => {
    const refused = await accept(bench.ledger, {
      payload: '',
      refused: { condition: 'policy-violation', text: 'too large' },
    });
    const later = await accept(bench.ledger);
    await bench.ledger.do('refused', { seq: later.seq, at: 5, condition: 'not-acceptable', text: 'no' });
    expect(await bench.ledger.do('forget', { before: Number.MAX_SAFE_INTEGER, limit: 99 })).toBe(1);
    expect(await bench.ledger.do('entry', { key: refused.key })).toEqual([]);
    expect(await stateOf(later.key)).toBe('dead');
    expect((await bench.ledger.do('counts', {})).toMqtt).toMatchObject({ dead: 1, discarded: 1 });
  });

  test('a new epoch of a link is known before its first stanza', async () => {
    await bench.ledger.do('epochBegan', { link: 'L', epoch: 'E', h: 0, at: 1 });
    expect(await bench.ledger.do('position', { link: 'L' })).toEqual({ epoch: 'E', h: 0 });
    await accept(bench.ledger, { position: { link: 'L', epoch: 'E', n: 4 } });
    await bench.ledger.do('epochBegan', { link: 'L', epoch: 'E', h: 0, at: 1 });
    expect(await bench.ledger.do('position', { link: 'L' })).toEqual({ epoch: 'E', h: 4 });
  });

  test('entries of an earlier epoch are not mistaken for those of the next', async () => {
    const before = await accept(bench.ledger, { position: { link: 'L', epoch: 'E1', n: 9 } });
    await accept(bench.ledger, { position: { link: 'L', epoch: 'E2', n: 1 } });
    expect(
      await bench.ledger.do('takenBack', { user: bob, link: 'L', epoch: 'E2', h: 1, at: 5, become: 'discarded' }),
    ).toBe(0);
    expect(await stateOf(before.key)).toBe('accepted');
  });

  test('withBroker counts what was published since the last device was online', async () => {
    await deviceOf(bench.ledger, bob, true, 1);
    await published(bench.ledger, 10);
    expect(await bench.ledger.do('withBroker', {})).toEqual([]);
    await deviceOf(bench.ledger, bob, false, 20);
    await published(bench.ledger, 15);
    await published(bench.ledger, 30);
    const acked = await published(bench.ledger, 31);
    expect(await bench.ledger.do('withBroker', {})).toEqual([{ user: bob, count: 2 }]);
    await bench.ledger.do('appAcked', { user: bob, keys: [acked], at: 40 });
    expect(await bench.ledger.do('withBroker', {})).toEqual([{ user: bob, count: 1 }]);
    await deviceOf(bench.ledger, bob, true, 50);
    expect(await bench.ledger.do('withBroker', {})).toEqual([]);
  });

  test('entries are found by lane, user and state, page by page', async () => {
    await published(bench.ledger, 1);
    const { key } = await accept(bench.ledger);
    await accept(bench.ledger, { lane: 'toXmpp', user: 'carol@example.com' });
    const numbers = async (filter: object) => (await bench.ledger.do('entries', filter)).map(({ seq }) => seq);
    expect(await numbers({})).toEqual([1, 2, 3]);
    expect(await numbers({ lane: 'toXmpp' })).toEqual([3]);
    expect(await numbers({ user: bob })).toEqual([1, 2]);
    expect(await numbers({ state: 'waiting' })).toEqual([1, 2, 3]);
    expect(await numbers({ state: 'acked', user: bob })).toEqual([1]);
    expect(await numbers({ after: 1, limit: 1 })).toEqual([2]);
    expect(await bench.ledger.do('entry', { key: `${key}0` })).toEqual([]);
  });

  test('forgetting is bounded, oldest first, and touches nothing that is open', async () => {
    const open = await accept(bench.ledger);
    for (let n = 1; n <= 5; n++) {
      const { seq } = await accept(bench.ledger, { lane: 'toXmpp' });
      await bench.ledger.do('answered', { seq, at: n });
    }
    const before = Number.MAX_SAFE_INTEGER;
    expect(await bench.ledger.do('forget', { before, limit: 2 })).toBe(2);
    expect((await bench.ledger.do('entries', {})).map(({ endedAt, state }) => [state, endedAt]).slice(1)).toEqual([
      ['settled', 3],
      ['settled', 4],
      ['settled', 5],
    ]);
    expect(await bench.ledger.do('forget', { before, limit: 99 })).toBe(3);
    expect(await bench.ledger.do('forget', { before, limit: 99 })).toBe(0);
    expect(await stateOf(open.key)).toBe('accepted');
    expect((await bench.ledger.do('counts', {})).toXmpp.settled).toBe(5);
  });

  test('a key is never used again, though all history is forgotten', async () => {
    const { seq, key } = await accept(bench.ledger, { lane: 'toXmpp' });
    await bench.ledger.do('answered', { seq, at: 1 });
    await bench.ledger.do('forget', { before: Number.MAX_SAFE_INTEGER, limit: 9 });
    await bench.reopen();
    const next = await accept(bench.ledger);
    expect(next.seq).toBe(seq + 1);
    expect(next.key).not.toBe(key);
    expect(next.key).toMatch(/^[\x21-\x7e]{1,64}$/);
  });

  test('a repeat’s number is not handed out again either', async () => {
    await accept(bench.ledger, { archiveKey: 'a'.repeat(22) });
    const repeat = await accept(bench.ledger, { archiveKey: 'a'.repeat(22) });
    await bench.reopen();
    expect((await accept(bench.ledger)).seq).toBe(repeat.seq + 1);
  });

  test('text comes back as it went in, whatever it is', async () => {
    const payload = 'ü\u0000 𝄞 "\' ; -- \\ \n';
    await accept(bench.ledger, { payload });
    const [entry] = await bench.ledger.do('toSend', { ...talk, after: 0, limit: 1 });
    expect(entry?.payload).toBe(payload);
    expect(bench.committed[0]?.payload).toBe(payload);
  });
});
