// Expiry in the ledger: what is due, what is never, and that an end by expiry is an end like any other in the account.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { accept, type Bench, engines } from './bench.ts';

const user = 'bob@example.com';

describe.each(Object.entries(engines))('%s', (_, open) => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await open();
  });
  afterEach(() => bench.end());
  const due = async (now: number) => {
    const all = await bench.ledger.do('expired', { now, limit: 10 });
    return all.map(({ id, original }) => (original === undefined ? id : `${id} with its stanza`));
  };

  test('due is what waits beyond its time, the oldest first; its stanza comes along where its sender waits for an answer', async () => {
    await accept(bench.ledger, { id: 'never' });
    await accept(bench.ledger, { id: 'second', expiresAt: 200 });
    await accept(bench.ledger, { id: 'first', expiresAt: 100, custody: 'copy' });
    await accept(bench.ledger, { id: 'third', expiresAt: 300, late: true });
    await accept(bench.ledger, { id: 'app', expiresAt: 400, lane: 'toXmpp' });
    expect(await due(99)).toEqual([]);
    expect(await due(200)).toEqual(['first', 'second with its stanza']);
    await bench.reopen();
    expect(await due(1000)).toEqual(['first', 'second with its stanza', 'third', 'app']);
  });

  test('due is what is parked or with the broker, not what an app has, nor what has ended or is dead', async () => {
    const { ledger } = bench;
    const of = (id: string) => accept(ledger, { id, expiresAt: 100, custody: 'copy' });
    const [parked, acked, had, dead, settled] = [
      await of('p'),
      await of('a'),
      await of('h'),
      await of('d'),
      await of('s'),
    ];
    await ledger.do('parked', { seq: parked.seq, at: 1 });
    for (const { seq } of [acked, had]) await ledger.do('answered', { seq, at: 1 });
    await ledger.do('appAcked', { user, keys: [had.key], at: 2 });
    await ledger.do('refused', { seq: dead.seq, at: 1, condition: 'forbidden', text: '' });
    await ledger.do('discard', { seqs: [settled.seq], at: 1, reason: 'test' });
    expect(await due(100)).toEqual(['p', 'a']);
  });

  test('what was sent to the legacy server is not due before it is known whether it is there; what was sent to the broker is', async () => {
    const { ledger } = bench;
    const app = await accept(ledger, { id: 'app', lane: 'toXmpp', expiresAt: 100 });
    const contact = await accept(ledger, { id: 'contact', custody: 'copy', expiresAt: 100 });
    expect(await ledger.do('sent', { seqs: [app.seq, contact.seq], at: 1 })).toBe(2);
    expect(await due(100)).toEqual(['contact']);
    expect(await ledger.do('expired', { now: 100, limit: 9, among: [app.seq] })).toEqual([]);
    const conversation = { lane: 'toXmpp', user, peer: 'alice@example.com', after: 0, limit: 9 } as const;
    expect(await ledger.do('toSend', conversation)).toMatchObject([{ id: 'app', isSent: true }]);
    await bench.reopen();
    expect(await due(100)).toEqual(['contact']);
    await bench.ledger.do('notSent', { seq: app.seq });
    expect((await bench.ledger.do('toSend', conversation))[0]).not.toHaveProperty('isSent');
    expect(await due(100)).toEqual(['app', 'contact']);
    expect((await new Verifier({ ledger: bench.ledger, clock: systemClock }).verify()).faults).toEqual([]);
  });

  test('what has ended is not sent any more, and was not', async () => {
    const { ledger } = bench;
    const { seq, key } = await accept(ledger, { id: 'app', lane: 'toXmpp', expiresAt: 100 });
    await ledger.do('discard', { seqs: [seq], at: 1, reason: 'test' });
    expect(await ledger.do('sent', { seqs: [seq], at: 2 })).toBe(0);
    await ledger.do('notSent', { seq });
    expect(await ledger.do('entry', { key })).toMatchObject([{ state: 'discarded', attempts: 0 }]);
  });

  test('what a device was there for, of apps that never acknowledge, has not expired', async () => {
    const { ledger } = bench;
    const { seq } = await accept(ledger, { id: 'm1', expiresAt: 100 });
    await ledger.do('putDevice', { user, client: 'phone', online: true, seenAt: 1 });
    await ledger.do('answered', { seq, at: 1 });
    expect(await due(100)).toEqual([]);
  });

  test('what an app has, and is to go once more as the broker has forgotten it, is settled when its time is over', async () => {
    const { ledger } = bench;
    const { seq, key } = await accept(ledger, { id: 'm1', expiresAt: 100, contentKey: 'c' });
    await ledger.do('answered', { seq, at: 1 });
    await ledger.do('appAcked', { user, keys: [key], at: 2 });
    expect(await due(100)).toEqual([]);
    await ledger.do('republish', {});
    expect(await ledger.do('expired', { now: 100, limit: 9 })).toMatchObject([{ id: 'm1', appHas: true }]);
    await ledger.do('expire', { seqs: [seq], at: 100 });
    expect(await ledger.do('entries', {})).toMatchObject([{ id: 'm1', state: 'settled' }]);
    expect((await accept(ledger, { id: 'm1', contentKey: 'c', late: true })).kind).toBe('repeat');
    expect((await new Verifier({ ledger, clock: systemClock }).verify()).faults).toEqual([]);
  });

  test('asked about some, it names those of them that are due still', async () => {
    const { ledger } = bench;
    const of = async (id: string) => (await accept(ledger, { id, expiresAt: 100, lane: 'toXmpp' })).seq;
    const [sent, waits, other] = [await of('sent'), await of('waits'), await of('other')];
    await ledger.do('answered', { seq: sent, at: 1 });
    const asked = await ledger.do('expired', { now: 100, limit: 9, among: [sent, waits] });
    expect(asked.map(({ seq }) => seq)).toEqual([waits]);
    expect(await ledger.do('expired', { now: 99, limit: 9, among: [waits, other] })).toEqual([]);
  });

  test('what is ended so is discarded as expired, without its keys, and the account adds up; what is not due stays', async () => {
    const { ledger } = bench;
    const requestKey = 'r'.repeat(22);
    const app = { lane: 'toXmpp', id: 'm1', requestKey, requestDigest: 'd', maxOpen: 1 } as const;
    const { seq } = await accept(ledger, { ...app, expiresAt: 100 });
    const other = await accept(ledger, { id: 'm2', expiresAt: 200 });
    await ledger.do('expire', { seqs: [seq, other.seq], at: 150 });
    expect(await ledger.do('entries', {})).toMatchObject([
      { id: 'm1', state: 'discarded', condition: 'expired', endedAt: 150, expiresAt: 100 },
      { id: 'm2', state: 'accepted' },
    ]);
    expect((await accept(ledger, app)).kind).toBe('new');
    expect((await new Verifier({ ledger, clock: systemClock }).verify()).faults).toEqual([]);
  });

  test('whoever sends it knows its time, right after the commit and after a restart', async () => {
    await accept(bench.ledger, { id: 'm1', expiresAt: 100 });
    expect(bench.committed).toMatchObject([{ id: 'm1', expiresAt: 100 }]);
    await bench.reopen();
    const conversation = { lane: 'toMqtt', user, peer: 'alice@example.com' } as const;
    expect(await bench.ledger.do('toSend', { ...conversation, after: 0, limit: 9 })).toMatchObject([
      { expiresAt: 100 },
    ]);
  });
});
