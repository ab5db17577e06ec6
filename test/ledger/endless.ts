// Run as a process of its own and killed in the middle: accepts without end, prints what resolved.

import { systemClock } from '../../src/clock.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { silentLog } from '../../src/log.ts';
import { draft } from './bench.ts';

const ledger = await openLedger({ path: process.argv[2]!, clock: systemClock, log: silentLog });

async function goOn(): Promise<void> {
  for (;;) {
    const { seq, key, outcome } = ledger.accept(() => draft());
    await outcome;
    process.stdout.write(`${seq} ${key}.\n`);
  }
}

await Promise.all(Array.from({ length: 20 }, goOn));
