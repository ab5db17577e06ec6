// Where the credentials of client sessions come from: a file, a command, an endpoint.

import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialSource } from '../src/credentials.ts';

const bob = 'bob@example.com';
const base = { command: [] as string[], timeout: 2_000 };
let dir: string;
let server: Server;
let url: string;
let asked: { body: string; authorization?: string }[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-credentials-'));
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      asked.push({ body, authorization: request.headers.authorization });
      const { jid } = JSON.parse(body) as { jid: string };
      const [name = ''] = jid.split('@');
      const status = Number(name.replace('s', '')) || 200;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(name === 'token' ? { token: 't' } : name === 'empty' ? {} : { password: 'p' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

test('a file is read by local part or address, colons in the password included, and again when it changes', async () => {
  const file = join(dir, 'credentials');
  writeFileSync(file, '# users\nbob:a:b\ncarol@example.com:c\n', { mode: 0o600 });
  const source = credentialSource({ ...base, file });
  expect(await source(bob)).toEqual({ kind: 'found', credential: { password: 'a:b' } });
  expect(await source('carol@example.com')).toEqual({ kind: 'found', credential: { password: 'c' } });
  expect(await source('dave@example.com')).toMatchObject({ kind: 'absent' });
  writeFileSync(file, 'bob:new\n');
  utimesSync(file, 1, 1);
  expect(await source(bob)).toEqual({ kind: 'found', credential: { password: 'new' } });
});

test('a file that others can read, or that is not there, is said and tried again later', async () => {
  const file = join(dir, 'open');
  writeFileSync(file, 'bob:x\n');
  chmodSync(file, 0o644);
  expect(await credentialSource({ ...base, file })(bob)).toEqual({
    kind: 'later',
    text: `${file} can be read by others: chmod 600`,
  });
  expect(await credentialSource({ ...base, file: join(dir, 'none') })(bob)).toMatchObject({ kind: 'later' });
});

const commands = [
  ['its first line is the password', 'echo "pw of $1"; echo more', { credential: { password: `pw of ${bob}` } }],
  ['token: marks a token', 'echo token:abc', { credential: { token: 'abc' } }],
  ['67 means that there is no such user', 'exit 67', { kind: 'absent' }],
  ['another code may pass', 'exit 1', { kind: 'later' }],
  ['nothing is no password', 'true', { kind: 'later' }],
] as const;

test.each(commands)('a command is called with the JID: %s', async (_, script, answer) => {
  const source = credentialSource({ ...base, command: ['/bin/sh', '-c', script, 'sh'] });
  expect(await source(bob)).toMatchObject(answer);
});

test('a JID that looks like an option is given to a command only behind --, and else said to be none of its users', async () => {
  const user = '-rf@example.com';
  const script = ['/bin/sh', '-c', 'echo "$@"', 'sh'];
  expect(await credentialSource({ ...base, command: script })(user)).toMatchObject({
    kind: 'absent',
    text: expect.stringMatching(/could take -rf@example.com for an option.*credentials.command/),
  });
  const answer = await credentialSource({ ...base, command: [...script, '--'] })(user);
  expect(answer).toEqual({ kind: 'found', credential: { password: '-- -rf@example.com' } });
});

test('a command that hangs is given up', async () => {
  const source = credentialSource({ timeout: 50, command: ['/bin/sh', '-c', 'exec sleep 30', 'sh'] });
  expect(await source(bob)).toMatchObject({ kind: 'later', text: '/bin/sh failed (timeout)' });
});

test('a command that does not heed the end of its time is given up as well', async () => {
  const stubborn = 'trap "" TERM; while :; do sleep 1; done';
  const source = credentialSource({ timeout: 200, command: ['/bin/sh', '-c', stubborn, 'sh'] });
  expect(await source(bob)).toMatchObject({ kind: 'later', text: '/bin/sh failed (timeout)' });
});

test.each([
  ['has no name', ['']],
  ['is not there', ['/nowhere/password-of']],
  ['cannot be called so', ['/bin/echo', 'a\0b']],
])('a command that %s is tried again later', async (_, command) => {
  expect(await credentialSource({ ...base, command })(bob)).toMatchObject({ kind: 'later' });
});

test('a command that was killed is told from one that took too long', async () => {
  const source = credentialSource({ ...base, command: ['/bin/sh', '-c', 'kill -KILL $$', 'sh'] });
  expect(await source(bob)).toMatchObject({ kind: 'later', text: '/bin/sh failed (SIGKILL)' });
});

const answers = [
  ['bob', { kind: 'found', credential: { password: 'p' } }],
  ['token', { kind: 'found', credential: { token: 't' } }],
  ['s404', { kind: 'absent' }],
  ['s500', { kind: 'later' }],
  ['s302', { kind: 'later' }],
  ['empty', { kind: 'later' }],
] as const;

test.each(answers)('an endpoint that answers for %s', async (name, answer) => {
  asked = [];
  expect(await credentialSource({ ...base, url, secret: 'key' })(`${name}@example.com`)).toMatchObject(answer);
  expect(asked).toEqual([{ body: `{"jid":"${name}@example.com"}`, authorization: 'Bearer key' }]);
});

test('an endpoint that is not there is tried again later', async () => {
  expect(await credentialSource({ ...base, url: 'http://127.0.0.1:1/' })(bob)).toMatchObject({ kind: 'later' });
});

/** Asked in this order: does the account exist, and a token for it. As ejabberd 23.01 answers. */
const noRight = {
  status: 'error',
  code: 32,
  message: 'AccessRules: Account does not have the right to perform the operation.',
};
const apis = [
  ['issues a token', [200, 0], [200, { token: 't' }], { kind: 'found', credential: { token: 't' } }],
  ['has no such account', [200, 1], [200, { token: 't' }], { kind: 'absent', text: `ejabberd has no account ${bob}` }],
  ['lets us call nothing', [403, noRight], [403, noRight], /check_account: .*\(api_permissions must let us call/],
  ['has no mod_admin_extra', [400, 'unknown_command'], [200, {}], /\(mod_admin_extra must be loaded\)/],
  [
    'issues none for this user',
    [200, 0],
    [400, 'badpass'],
    /oauth_issue_token: .*\(oauth_access must allow the user\)/,
  ],
  ['gives none', [200, 0], [200, {}], /refuses oauth_issue_token: status 200/],
] as const;

test.each(apis)('an API of ejabberd that %s', async (_, account, issued, answer) => {
  const api = createServer((request, response) => {
    const [status, body] = request.url === '/api/check_account' ? account : issued;
    response.writeHead(status).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const ejabberd = `http://127.0.0.1:${(api.address() as AddressInfo).port}/api/`;
  const expected = answer instanceof RegExp ? { kind: 'later', text: expect.stringMatching(answer) } : answer;
  expect(await credentialSource({ ...base, ejabberd })(bob)).toEqual(expected);
  api.closeAllConnections();
  api.close();
  expect(await credentialSource({ ...base, ejabberd })(bob)).toMatchObject({ kind: 'later' });
});
