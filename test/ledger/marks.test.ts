// Marks: how far each user's archive is known, never further than what is on disk (DESIGN §4, Catch-up); on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { UserRow } from '../../src/ledger/ledger.ts';
import { accept, type Bench, engines } from './bench.ts';

const bob = 'bob@example.com';
const row = (jid: string): UserRow => ({ jid, phase: 'mqtt', version: 1, acks: false, changedAt: 100 });
const epoch = (name: string, at: number) => ({ link: 'L', epoch: name, h: 0, at });

let bench: Bench;
const mark = (user = bob) => bench.ledger.do('mark', { user });
const live = (id: string, at: number, user = bob) => accept(bench.ledger, { user, at, place: { id, at } });

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
    await bench.ledger.do('putUser', { row: row(bob), mark: 'begin' });
  });
  afterEach(() => bench.end());

  test('begins with the move, follows what comes live, and ends with the move back', async () => {
    expect(await mark()).toEqual({ at: 100 });
    await live('s1', 200);
    expect(await mark()).toEqual({ id: 's1', at: 200 });
    await bench.ledger.do('putUser', { row: row(bob), mark: 'end' });
    expect(await mark()).toBeNull();
  });

  test('does not follow what is older, nor a user who is not moved', async () => {
    await live('s2', 300);
    await live('s1', 200);
    await live('x', 200, 'carol@example.com');
    expect(await mark()).toEqual({ id: 's2', at: 300 });
    expect(await mark('carol@example.com')).toBeNull();
  });

  test('follows repeats, too: they say how far the archive has been seen', async () => {
    const keys = { archiveKey: 'k'.repeat(22) };
    await accept(bench.ledger, keys);
    await accept(bench.ledger, { ...keys, at: 400, place: { id: 's3', at: 400 } });
    expect(await mark()).toEqual({ id: 's3', at: 400 });
  });

  test('a new epoch opens a gap behind every mark, and what comes live moves none of them', async () => {
    await bench.ledger.do('putUser', { row: row('carol@example.com'), mark: 'begin' });
    await live('s1', 200);
    await bench.ledger.do('epochBegan', epoch('E1', 500));
    await live('s2', 600);
    expect(await mark()).toEqual({ id: 's1', at: 200, gapAt: 500 });
    expect(await mark('carol@example.com')).toEqual({ at: 100, gapAt: 500 });
  });

  test('the same epoch opens none', async () => {
    await bench.ledger.do('epochBegan', epoch('E1', 500));
    const { gapAt } = (await mark())!;
    await bench.ledger.do('caughtUp', { user: bob, gapAt, place: { id: 's5', at: 500 }, done: true });
    await bench.ledger.do('epochBegan', epoch('E1', 900));
    expect(await mark()).toEqual({ id: 's5', at: 500 });
  });

  test('a page moves the mark and leaves the gap open; the last one closes it', async () => {
    await bench.ledger.do('gapOpened', { user: bob, at: 500 });
    await bench.ledger.do('caughtUp', { user: bob, gapAt: 500, place: { id: 's5', at: 550 }, done: false });
    expect(await mark()).toEqual({ id: 's5', at: 550, gapAt: 500 });
    await bench.ledger.do('caughtUp', { user: bob, gapAt: 500, place: { id: 's6', at: 560 }, done: true });
    await live('s7', 700);
    expect(await mark()).toEqual({ id: 's7', at: 700 });
  });

  test('what was begun for one gap cannot close the next, even of the same moment', async () => {
    await bench.ledger.do('gapOpened', { user: bob, at: 500 });
    await bench.ledger.do('gapOpened', { user: bob, at: 500 });
    const late = { user: bob, gapAt: 500, place: { id: 's5', at: 550 }, done: true };
    expect(await bench.ledger.do('caughtUp', late)).toBe(false);
    expect(await mark()).toEqual({ at: 100, gapAt: 501 });
  });

  test('what the archive could not give is kept until the next time', async () => {
    const missed = { from: 100, to: 500, reason: 'no-archive' };
    await bench.ledger.do('gapOpened', { user: bob, at: 400 });
    await bench.ledger.do('caughtUp', { user: bob, gapAt: 400, place: { at: 500 }, missed, done: true });
    await live('s1', 600);
    expect(await mark()).toEqual({ id: 's1', at: 600, missed });
  });

  test('is untold until that has been said: whatever else is missing then, over a restart, and when the mark is gone', async () => {
    const untold = async () => (await bench.ledger.do('untoldGaps', {})).map(({ missed }) => missed);
    const [first, second] = [100, 500].map((from) => ({ from, to: from + 50, reason: 'no-archive' }));
    for (const missed of [first, second]) {
      await bench.ledger.do('gapOpened', { user: bob, at: missed!.to });
      const late = { user: bob, place: { at: missed!.to }, missed, done: true };
      await bench.ledger.do('caughtUp', { ...late, gapAt: missed!.to });
      expect(await bench.ledger.do('caughtUp', { ...late, gapAt: missed!.to })).toBe(false);
    }
    await bench.ledger.do('putUser', { row: row(bob), mark: 'end' });
    await bench.reopen();
    expect(await untold()).toEqual([first, second]);
    await bench.ledger.do('gapsTold', { user: 'carol@example.com' });
    expect(await untold()).toHaveLength(2);
    await bench.ledger.do('gapsTold', { user: bob });
    expect(await untold()).toEqual([]);
  });

  test('those with a gap, or without an id, are to be mended', async () => {
    for (const jid of ['ann@example.com', 'carol@example.com']) {
      await bench.ledger.do('putUser', { row: row(jid), mark: 'begin' });
      await live('s1', 200, jid);
    }
    await bench.ledger.do('gapOpened', { user: 'carol@example.com', at: 500 });
    const users = async (after: string, limit: number) =>
      (await bench.ledger.do('marksToMend', { after, limit })).map(({ user }) => user);
    expect(await users('', 9)).toEqual([bob, 'carol@example.com']);
    expect(await users('', 1)).toEqual([bob]);
    expect(await users(bob, 9)).toEqual(['carol@example.com']);
  });

  test('after a restart a mark is where it was, or behind: never further', async () => {
    await live('s1', 200);
    await bench.ledger.do('marksToMend', { after: '', limit: 1 }); // writes them
    await live('s2', 300);
    await bench.reopen();
    expect(['s1', 's2']).toContain((await mark())?.id);
    await live('s3', 400);
    await bench.ledger.do('epochBegan', epoch('E9', 500));
    await bench.reopen();
    expect(await mark()).toEqual({ id: 's3', at: 400, gapAt: 500 });
  });
});
