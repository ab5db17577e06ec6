// The gateway's side towards the legacy server, as it is closed.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { openXmpp } from '../src/gateway-xmpp.ts';
import { silentLog } from '../src/log.ts';
import { localLedger } from './ledger/bench.ts';

const broken = (text: string) => () => Promise.reject(new Error(text));

test('where neither the component connection nor the client sessions can be closed, both faults are told', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-gateway-xmpp-'));
  const file = join(dir, 'crossfade.yaml');
  const component = 'component: { domain: gw.example.com, secret: s }';
  const clients = 'attach: { kind: client }\n  client: { security: none, credentials: { command: [x] } }';
  await writeFile(file, `xmpp:\n  domain: example.com\n  ${component}\n  ${clients}\nmqtt: { url: "embedded:" }\n`);
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const xmpp = await openXmpp(loadConfig({ file, env: {} }), ledger, silentLog);
  Object.assign(xmpp.component, { stop: broken('the stream') });
  await expect(xmpp.stop()).rejects.toThrow(/the stream$/);
  Object.assign(xmpp.link, { stop: broken('a session') });
  await expect(xmpp.stop()).rejects.toThrow('Error: a session; Error: the stream');
  await ledger.close();
  await rm(dir, { recursive: true });
});
