// Run as a process of its own and killed in the middle, or ends by itself: accepts without end, prints what resolved.

import { systemClock } from '../../src/clock.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { silentLog } from '../../src/log.ts';
import { draft } from './bench.ts';

/** How it ends by itself, after some: `exit`, `throw`. */
const end = process.argv[3];
let count = 0;
const ledger = await openLedger({ path: process.argv[2]!, clock: systemClock, log: silentLog });

async function goOn(): Promise<void> {
  for (;;) {
    const { seq, key, outcome } = ledger.accept(() => draft());
    await outcome;
    process.stdout.write(`${seq} ${key}.\n`);
    if (++count !== 200) continue;
    if (end === 'exit') process.exit(3);
    if (end === 'throw') throw new Error('a fault in the program');
  }
}

await Promise.all(Array.from({ length: 20 }, goOn));
