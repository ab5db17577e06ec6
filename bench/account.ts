// What the check of the account costs: how long it looks at a million entries, and how much longer commits take meanwhile. Backups are timed along.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../src/clock.ts';
import type { Draft, Ledger } from '../src/ledger/ledger.ts';
import { type OpenLedger, openLedger } from '../src/ledger/sqlite.ts';
import { Verifier } from '../src/ledger/verifier.ts';
import { silentLog } from '../src/log.ts';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { seedLedger } from './seed.ts';
import { quantile } from './statistics.ts';

const entries = 1_000_000;
const users = 1_000;
const quietMs = 3_000;
const commitEveryMs = 5;

export const account: Benchmark = {
  name: 'account',
  about: 'ledger verify and ledger backup on 1,000,000 entries, amid commits: how long, and what commits notice',
  minutes: 4,
  run: accountRun,
};

interface Round {
  verifySeconds: number;
  backupSeconds: number;
  /** Of a commit, in ms, at the 99th percentile. */
  quiet: number;
  verifying: number;
  backingUp: number;
}

async function accountRun({ runs, messages = entries, tell }: Options): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  try {
    const path = join(dir, 'ledger.sqlite');
    seedLedger(path, 'gateway', { moved: 0, waiting: { users, entries: messages } });
    const ledger = await openLedger({ path, clock: systemClock, log: silentLog });
    const rounds: Round[] = [];
    for (let at = 0; at <= runs; at += 1) {
      const round = await measure(ledger, join(dir, `backup-${at}.sqlite`));
      const { verifySeconds, quiet, verifying, backupSeconds, backingUp } = round;
      const p99 = [quiet, verifying, backingUp].map((ms) => ms.toFixed(1)).join(', ');
      tell(`${at || '–'}  ${verifySeconds.toFixed(1)} s, backup ${backupSeconds.toFixed(1)} s; commits p99 ${p99} ms`);
      if (at > 0) rounds.push(round);
    }
    await ledger.close();
    const values = (of: keyof Round) => rounds.map((round) => round[of]);
    return {
      figures: [
        figure('verify', 's', values('verifySeconds')),
        figure('backup', 's', values('backupSeconds')),
        figure('a commit, p99, nothing else', 'ms', values('quiet')),
        figure('a commit, p99, amid a verify', 'ms', values('verifying')),
        figure('a commit, p99, amid a backup', 'ms', values('backingUp')),
      ],
      rounds,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measure(ledger: OpenLedger, file: string): Promise<Round> {
  const verifier = new Verifier({ ledger, clock: systemClock });
  const quiet = await amid(ledger, () => sleep(quietMs));
  const verified = await amid(ledger, () => verifier.verify());
  const backed = await amid(ledger, () => backup(ledger, file));
  if (verifier.last?.faults.length !== 0) throw new Error('the account does not add up');
  await rm(file);
  return {
    ...{ quiet: quiet.p99, verifying: verified.p99, backingUp: backed.p99 },
    ...{ verifySeconds: verified.seconds, backupSeconds: backed.seconds },
  };
}

/** What commits take, one after the other, while `work` goes on. */
async function amid(ledger: Ledger, work: () => Promise<unknown>): Promise<{ p99: number; seconds: number }> {
  const tookMs: number[] = [];
  const startedAt = performance.now();
  let seconds = 0;
  const working = work().then(() => {
    seconds = (performance.now() - startedAt) / 1000;
  });
  while (seconds === 0) {
    const from = performance.now();
    await commit(ledger);
    tookMs.push(performance.now() - from);
    await sleep(commitEveryMs);
  }
  await working;
  return { p99: quantile(tookMs, 0.99), seconds };
}

async function commit(ledger: Ledger): Promise<void> {
  const draft: Draft = {
    ...{ lane: 'toMqtt', user: 'away0000000@example.com', peer: 'friend0@example.com', channel: 'message' },
    ...{ custody: 'sole', at: Date.now(), topic: 'chat/away0000000/in/message', payload: '.'.repeat(300) },
  };
  await ledger.accept(() => draft).outcome;
}

async function backup(ledger: OpenLedger, file: string): Promise<void> {
  const begun = ledger.backups.begin(file);
  if (typeof begun === 'string') throw new Error(begun);
  while (['copying', 'checking'].includes(ledger.backups.last?.state ?? '')) await sleep(20);
  const { state, text } = ledger.backups.last!;
  if (state !== 'done') throw new Error(`the backup: ${text}`);
}
