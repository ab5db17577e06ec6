// A disk whose fsync takes longer than it does here, for one process: the environment that makes it so.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SlowDisk {
  env: Record<string, string>;
  /** How long a commit of SQLite takes with it. */
  commitMs: number;
}

/** What it needs goes into `dir`. Rejects where there is no C compiler, or SQLite's fsync does not go through it. */
export async function slowFsync(dir: string, ms: number): Promise<SlowDisk> {
  const env = { LD_PRELOAD: await compiled(dir), FSYNC_US: String(ms * 1000) };
  const commitMs = await commitMsOf(dir, env);
  if (commitMs < ms) throw new Error(`a commit takes only ${commitMs} ms: fsync is not slowed here`);
  return { env, commitMs };
}

/** The library that makes each fsync slow. */
async function compiled(dir: string): Promise<string> {
  const library = join(dir, 'slow-fsync.so');
  const source = fileURLToPath(new URL('./slow-fsync.c', import.meta.url));
  try {
    await run('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl']);
  } catch (error) {
    throw new Error('a slow disk needs a C compiler (apt-get install gcc libc6-dev)', { cause: error });
  }
  return library;
}

async function commitMsOf(dir: string, env: Record<string, string>): Promise<number> {
  const script = `
    const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(process.argv[1]);
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a)');
    const begun = performance.now();
    for (let at = 0; at < 20; at += 1) db.exec('INSERT INTO t VALUES (1)');
    console.log((performance.now() - begun) / 20);`;
  const args = ['-e', script, join(dir, 'commit.sqlite')];
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...env } });
  return Number(stdout);
}
