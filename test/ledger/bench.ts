// The benches the contract suite runs on: the same ledger over both engines, and drafts to feed it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Clock, systemClock } from '../../src/clock.ts';
import { BatchedLedger } from '../../src/ledger/batch.ts';
import type { Draft, Entry, Ledger, Outcome } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { type Gate, LocalEngine } from './local-engine.ts';

export interface Bench {
  ledger: Ledger;
  committed: Entry[];
  /** Closes the ledger and opens it anew on the same data. */
  reopen(): Promise<void>;
  end(): Promise<void>;
}

export const engines: Record<string, () => Promise<Bench>> = {
  'the worker thread, on a file': async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
    const path = join(folder, 'ledger.sqlite');
    const open = () => openLedger({ path, clock: systemClock, log: silentLog });
    return benchOn(open, () => rmSync(folder, { recursive: true }));
  },
  'the local engine, in memory': async () => {
    const db = new DatabaseSync(':memory:');
    return benchOn(
      async () => localLedger(db),
      () => db.close(),
    );
  },
};

async function benchOn(open: () => Promise<Ledger>, clean: () => void): Promise<Bench> {
  const start = async () => {
    bench.ledger = await open();
    bench.ledger.onCommitted = (entry) => bench.committed.push(entry);
  };
  const bench: Bench = {
    ledger: undefined as unknown as Ledger,
    committed: [],
    async reopen() {
      await bench.ledger.close();
      await start();
    },
    async end() {
      await bench.ledger.close();
      clean();
    },
  };
  await start();
  return bench;
}

export function localLedger(
  db: DatabaseSync,
  gate?: Gate,
  { clock = systemClock, log = silentLog }: { clock?: Clock; log?: Log } = {},
): BatchedLedger {
  return new BatchedLedger({ engine: new LocalEngine(db, gate), clock, log });
}

export function draft(over: Partial<Draft> = {}): Draft {
  const toMqtt = (over.lane ?? 'toMqtt') === 'toMqtt';
  return {
    lane: 'toMqtt',
    user: 'bob@example.com',
    peer: 'alice@example.com',
    channel: 'message',
    custody: 'sole',
    at: 1_000_000,
    topic: toMqtt ? 'chat/bob/in/message' : undefined,
    payload: '{"body":"hi"}',
    original: toMqtt ? "<message id='m1'/>" : undefined,
    ...over,
  };
}

/** Accepts one and gives the number, the key and what came of it. */
export async function accept(
  ledger: Ledger,
  over: Partial<Draft> = {},
): Promise<{ seq: number; key: string; kind: Outcome['kind'] }> {
  const { seq, key, outcome } = ledger.accept(() => draft(over));
  return { seq, key, kind: (await outcome).kind };
}

/** Accepted, and acknowledged by the broker at `at`; gives its key. */
export async function published(ledger: Ledger, at: number, over: Partial<Draft> = {}): Promise<string> {
  const { seq, key } = await accept(ledger, over);
  await ledger.do('answered', { seq, at });
  return key;
}

export const deviceOf = (ledger: Ledger, user: string, online: boolean, seenAt: number, client = 'phone') =>
  ledger.do('putDevice', { user, client, online, seenAt });
