// `crossfade run` as a process: what it makes, what it answers before the links stand, and how it ends.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configureAlone, crossfade, runGateway } from './command.ts';

let dir: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-run-'));
  await configureAlone(dir);
});
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  rmSync(dir, { recursive: true });
});

async function run() {
  const running = await runGateway(dir);
  child = running.gateway;
  return running;
}

test('it answers from the first moment, makes the token, keeps the ledger for itself, and ends cleanly at SIGTERM', async () => {
  const { gateway, url, events } = await run();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toEqual({ ready: false, component: false, attach: false, mqtt: false, ledger: true });

  const file = join(dir, 'crossfade.sqlite.token');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const list = await crossfade(['user', 'list', '--json', '--url', url], { cwd: dir });
  expect(list).toEqual({ code: 0, out: '[]\n', err: '' });
  const check = await crossfade(['check', '--url', url], { cwd: dir });
  expect(check).toMatchObject({
    code: 1,
    out: expect.stringContaining(`the gateway at ${url} is not ready; down: component, attach, mqtt`),
  });

  const second = await crossfade(['run'], { cwd: dir });
  expect(second.code).toBe(1);
  expect(second.err).toMatch(/^crossfade: .*crossfade\.sqlite is in use by another process/);
  expect(second.err).not.toMatch(/^\s+at /m);

  gateway.kill('SIGTERM');
  const [code] = await once(gateway, 'close');
  expect(code).toBe(0);
  // In between a try to connect may come to its end.
  expect(events.at(-1)).toBe('gateway.stopped');
  expect(events.filter((event) => event === 'gateway.stopping')).toHaveLength(1);
  expect(readFileSync(file, 'utf8')).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
});

test('a second signal ends it at once, and the log says so', async () => {
  const { gateway, events } = await run();
  gateway.kill('SIGINT');
  gateway.kill('SIGTERM');
  const [code, signal] = await once(gateway, 'close');
  expect([code, signal]).toEqual([null, expect.stringMatching(/^SIG(INT|TERM)$/)]);
  expect(events).toContain('gateway.ended');
  expect(events).not.toContain('gateway.stopped');
});

const unusable = [
  {
    ledger: 'is damaged',
    make: (file: string) =>
      writeFileSync(file, Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(8_000, 0xa5)])),
    says: /crossfade ledger restore FILE/,
  },
  {
    ledger: 'was written by a newer Crossfade',
    make(file: string) {
      const db = new DatabaseSync(file);
      db.exec('PRAGMA user_version = 99; PRAGMA application_id = 0x58464144; CREATE TABLE entry (x)');
      db.close();
    },
    says: /newer Crossfade .*Install that version again/,
  },
];
test.each(unusable)('a ledger that $ledger ends it, with what to do, and stays as it is', async ({ make, says }) => {
  const file = join(dir, 'crossfade.sqlite');
  make(file);
  // SQLite's header, with its counters, stands before that.
  const content = () => readFileSync(file).subarray(100);
  const before = content();
  const { code, err } = await crossfade(['run'], { cwd: dir });
  expect(code).toBe(1);
  expect(err).toMatch(says);
  expect(err).not.toMatch(/^\s+at /m);
  expect(content().equals(before)).toBe(true);
});
