// The gateway as gateway.ts wires it, between a server that does what the test says and the embedded broker.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../src/config.ts';
import { type Gateway, startGateway } from '../src/gateway.ts';
import { waitFor } from './harness/wait-for.ts';
import { FakeServer } from './xmpp/fake-server.ts';
import { recordingLog } from './xmpp/support.ts';

const token = 'a-token-of-the-test';
const server = new FakeServer();
let gateway: Gateway | undefined;
let dir: string;
afterEach(async () => {
  await gateway?.stop();
  await server.close();
  await rm(dir, { recursive: true, force: true });
});

const { log, lines } = recordingLog();

async function start(): Promise<Gateway> {
  dir = await mkdtemp(join(tmpdir(), 'crossfade-gateway-'));
  const component = { port: await server.listen(), domain: 'gw.example.com', secret: server.secret };
  const file = join(dir, 'crossfade.yaml');
  const config = {
    xmpp: { domain: server.host, component },
    mqtt: { url: 'embedded:', embeddedPort: 0 },
    admin: { listen: '127.0.0.1:0', token },
  };
  await writeFile(file, stringify(config), { mode: 0o600 });
  lines.length = 0;
  const started = await startGateway(loadConfig({ file, env: {} }), { log });
  gateway = started;
  // What is missed is counted from here on: the beginning of an epoch is a gap of its own.
  await waitFor(() => expect(lines).toContainEqual(expect.objectContaining({ event: 'gateway.ready' })));
  return started;
}

test('where the server could not queue copies for a user, a gap is opened before that is acknowledged', async () => {
  const { adminUrl } = await start();
  const bob = new URL('/api/v1/users/bob%40example.com', adminUrl).href;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const moved = await fetch(`${bob}/phase`, {
    ...{ method: 'PUT', headers },
    body: JSON.stringify({ phase: 'mqtt', reason: 'a test' }),
  });
  expect(moved.status).toBe(202);
  await waitFor(() => expect(server.sessions.has('bob@example.com/mqtt')).toBe(true));
  const archive = async () => ((await (await fetch(bob, { headers })).json()) as { archive: unknown }).archive;
  expect(await archive()).toMatchObject({ gapSince: null, missed: null });
  const n = server.deliver('bob@example.com', '', { missed: '1' });
  await waitFor(() => expect(server.acked).toBe(n));
  // The played server has no archive.
  await waitFor(async () => expect(await archive()).toMatchObject({ missed: { reason: 'no-archive' } }));
});

test('when the thread of the ledger ends, a stop closes every link all the same, and says what was not written', async () => {
  const threads: Worker[] = [];
  const isLedgers = (thread: Worker) => void threads.push(thread);
  process.on('worker', isLedgers);
  const { stop, failed } = await start();
  process.off('worker', isLedgers);
  await threads[0]!.terminate();
  expect((await failed).message).toContain('the thread of the ledger ended');
  const stopped = await stop();
  expect(stopped).toMatchObject({ unwritten: expect.stringContaining('the thread of the ledger ended') });
  expect(stopped?.waiting).toBeUndefined();
  expect(server.hangUps).toBe(1);
  expect(lines).not.toContainEqual(expect.objectContaining({ event: 'gateway.close-failed' }));
});
