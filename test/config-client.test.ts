// The configuration of client sessions (attach: client): what goes together, and what does not.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'crossfade-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function read(client: string, rest = ''): string {
  const file = join(folder, 'crossfade.yaml');
  const component = 'component: { domain: gw.example.com, secret: s }';
  writeFileSync(
    file,
    `xmpp:\n  domain: example.com\n  ${component}\n  attach: { kind: client }\n  client: ${client}\nmqtt: { url: "mqtt://127.0.0.1" }\n${rest}`,
  );
  try {
    return JSON.stringify(loadConfig({ file, env: {} }).xmpp.client.credentials);
  } catch (fault) {
    return (fault as Error).message;
  }
}

test.each([
  ['a command', '{ credentials: { command: [/bin/x, y] } }', '{"command":["/bin/x","y"],"timeout":10000}'],
  ['no TLS on loopback', '{ security: none, credentials: { command: [x] } }', '{"command":["x"],"timeout":10000}'],
  [
    'ejabberd',
    '{ credentials: { ejabberd: "http://127.0.0.1:5281/api" } }',
    '{"ejabberd":"http://127.0.0.1:5281/api","command":[],"timeout":10000}',
  ],
])('takes %s', (_, client, credentials) => {
  expect(read(client)).toBe(credentials);
});

test.each([
  ['no source', '{}', '', 'xmpp.client.credentials: is missing (one of file, command, url and ejabberd)'],
  [
    'two sources of credentials',
    '{ credentials: { file: x, command: [y] } }',
    '',
    'crossfade.yaml:5: xmpp.client.credentials: says it twice (one of file, command, url and ejabberd)',
  ],
  [
    'no TLS to another machine',
    '{ host: xmpp.example.com, security: none, credentials: { file: x } }',
    '',
    'crossfade.yaml:5: xmpp.client.security: none is for loopback only (use starttls or direct)',
  ],
  [
    'tokens in the clear',
    '{ security: none, credentials: { ejabberd: "http://127.0.0.1:5281/api" } }',
    '',
    'crossfade.yaml:5: xmpp.client.security: tokens are not sent in the clear (use starttls or direct)',
  ],
  [
    'a password in the URL',
    '{ credentials: { url: "https://a:b@example.com/" } }',
    '',
    'xmpp.client.credentials.url: holds a user name or password (use secret or secretFile)',
  ],
  [
    'legacy logins that only the module can refuse',
    '{ credentials: { file: x } }',
    'migration: { legacyLogin: deny }',
    'migration.legacyLogin: only the server module can refuse logins (use allow or notify)',
  ],
])('refuses %s', (_, client, rest, fault) => {
  expect(read(client, rest)).toContain(fault);
});
