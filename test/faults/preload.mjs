// Loaded into the gateway before anything else (node --import), also into its threads: shifts its clock, slows its commits, or lets them lie, as a control file says.

import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const file = process.env.CROSSFADE_FAULTS;
const realNow = Date.now;
let read = 0;
let control = { clockMs: 0, commitMs: 0, lies: false };

function now() {
  const at = performance.now();
  if (at - read > 50) {
    read = at;
    try {
      control = JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      // Being written at this moment: what was read last holds on.
    }
  }
  return control;
}

Date.now = () => realNow() + now().clockMs;

/** The thread that commits stands still, as it does while an fsync takes its time. A commit that lies says that it was made, and was not. */
const exec = DatabaseSync.prototype.exec;
DatabaseSync.prototype.exec = function (sql) {
  const { commitMs, lies } = now();
  if (sql === 'COMMIT' && lies) return exec.call(this, 'ROLLBACK');
  if (sql === 'COMMIT' && commitMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, commitMs);
  return exec.call(this, sql);
};
