// One at a time: two npm in one folder break each other, and a demo and a test may be started side by side. Node ≥ 18, no packages.

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const everyMs = 250;
const writtenWithinMs = 5_000;

/** Does the work once no other living process holds the file; resolves to what the work does. */
export async function inTurn(file, work) {
  for (let isTold = false; !take(file); isTold = true) {
    if (!isTold) console.error('setup: another set-up of this checkout is under way; waiting for it …');
    await sleep(everyMs);
  }
  const release = () => rmSync(file, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function take(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') return true; // nobody can write here: npm will say so
  }
  // Left behind by a kill. Whoever removes it takes it only at the next look, so that two of us do not remove each other's.
  if (!isHeld(file)) rmSync(file, { force: true });
  return false;
}

function isHeld(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    // Empty: its maker is about to write, or was killed before. (Process 0 would be our own group, and always there.)
    if (!(pid > 0)) return Date.now() - statSync(file).mtimeMs < writtenWithinMs;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
