// Runs a script with Node 24, whichever Node the machine has: node scripts/run.mjs FILE [ARGUMENT…]. Node ≥ 18, no packages.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { findNode24, pathFor } from './node24.mjs';

const node = findNode24();
if (node === undefined) {
  console.error('There is no Node 24 here yet. Run: npm run setup');
  process.exit(1);
}

const child = spawn(node, process.argv.slice(2), {
  stdio: 'inherit',
  env: { ...process.env, PATH: pathFor(node) },
});

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
for (const signal of signals) {
  process.on(signal, () => {
    // The terminal sends Ctrl-C to the child, too; twice would cut its orderly end short.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  });
}

child.on('error', (fault) => {
  console.error(`Cannot run ${node}: ${fault.message}`);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
