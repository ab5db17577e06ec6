// The commands that ask the running gateway: what they print, how they end, and what they say when it cannot be.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type AdminSide, secretBody, startAdminSide, token } from '../admin/admin-side.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { closedPort, crossfade, start } from './command.ts';

let side: AdminSide;
let keys: string[];

beforeAll(async () => {
  side = await startAdminSide(['bot@gw.example.com']);
  keys = [await side.write({}), await side.write({ refused: { condition: 'policy-violation', text: 'too large' } })];
});
afterAll(() => side.close());

async function portOf(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

const run = (args: string[], env: Record<string, string> = {}) =>
  crossfade(args, { cwd: side.dir, env: { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token, ...env } });

test('user set waits until the move is done; list, show and audit then tell of it', async () => {
  const set = await run(['user', 'set', 'bob@example.com', 'mqtt', '--reason', 'pilot group']);
  expect(set).toEqual({ code: 0, out: 'bob@example.com is in phase mqtt\n', err: '' });
  await side.devices.heard('bob@example.com', 'phone', { online: true });

  const list = await run(['user', 'list']);
  expect(list.out.split('\n')).toEqual([
    expect.stringMatching(/^USER {16}PHASE {2}MOVING {2}APP {6}SESSION {15}CHANGED$/),
    expect.stringMatching(
      /^bob@example\.com {5}mqtt {3}- {7}here {5}bob@example\.com\/mqtt {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/,
    ),
    expect.stringMatching(/^bot@gw\.example\.com {2}mqtt {3}- {7}unknown {2}- {21}-$/),
    '',
  ]);
  expect(JSON.parse((await run(['user', 'list', '--json'])).out)).toMatchObject([
    { jid: 'bob@example.com', phase: 'mqtt', moving: null },
    { jid: 'bot@gw.example.com' },
  ]);
  expect(await run(['user', 'list', '--phase', 'legacy', '--json'])).toEqual({ code: 0, out: '[]\n', err: '' });

  const show = await run(['user', 'show', 'BOB@example.com']);
  expect(show.out).toMatch(/^phase {9}mqtt$/m);
  expect(show.out).toMatch(/^waiting {7}1 to MQTT, 0 to XMPP$/m);
  expect(show.out).toMatch(/^phone {3}yes {5}\d{4}/m);
  expect(JSON.parse((await run(['user', 'show', 'bob@example.com', '--json'])).out).devices).toHaveLength(1);

  const user = side.users.get('bob@example.com')!;
  expect(show.out).toMatch(/^session {7}bob@example\.com\/mqtt \(shown as \w+\)$/m);
  user.attached = { jid: 'bob@example.com/mqtt', epoch: '', shown: { show: 'xa' } };
  expect((await run(['user', 'show', 'bob@example.com'])).out).toMatch(/^session {7}-$/m);

  const audit = await run(['audit', '--user', 'bob@example.com']);
  expect(audit.out).toMatch(/Z {2}admin {6}user\.move {2}bob@example\.com {2}mqtt {11}pilot group$/m);
  expect(JSON.parse((await run(['audit', '--json', '--limit', '1'])).out)).toMatchObject([{ what: 'move.done' }]);
});

test('a list that was cut says so beside the list', async () => {
  const { out, err } = await run(['ledger', 'list', '--limit', '1', '--json']);
  expect(JSON.parse(out)).toMatchObject([{ key: keys[0] }]);
  expect(err).toBe('only the first 1; there are more (--limit)\n');
});

test('user set --no-wait returns at once, and --timeout ends the waiting with 3', async () => {
  const server = Promise.withResolvers<{ kind: 'attached'; jid: string }>();
  const before = side.attach;
  side.attach = () => server.promise;
  const reason = ['--reason', 'a test'];
  const atOnce = await run(['user', 'set', 'carol@example.com', 'mqtt', ...reason, '--no-wait']);
  expect(atOnce.code).toBe(0);
  expect(atOnce.out).toBe('carol@example.com is in phase mqtt; the hand-over goes on in the gateway (step arrange)\n');
  const late = await run(['user', 'set', 'carol@example.com', 'mqtt', ...reason, '--timeout', '1']);
  expect(late.code).toBe(3);
  expect(late.err).toContain('the hand-over goes on in the gateway (step arrange); look with `crossfade user show');
  side.attach = before;
  server.resolve({ kind: 'attached', jid: 'carol@example.com/mqtt' });
});

test('an account that does not exist: the move fails with the reason of the server', async () => {
  const before = side.attach;
  side.attach = async () => ({ kind: 'refused', condition: 'item-not-found', text: 'there is no such account' });
  const { code, out, err } = await run(['user', 'set', 'nobody@example.com', 'mqtt', '--reason', 'a test', '--json']);
  side.attach = before;
  expect(code).toBe(1);
  expect(err).toBe(
    'crossfade: nobody@example.com could not be moved to mqtt: there is no such account. The phase is legacy, as before.\n',
  );
  expect(JSON.parse(out)).toMatchObject({ phase: 'legacy', moving: null });
});

test('the ledger is listed, shown and counted, without a body', async () => {
  const list = await run(['ledger', 'list', '--state', 'dead']);
  expect(list.out).toMatch(new RegExp(`^${keys[1]} {2}toMqtt {2}dead {3}bob@example\\.com .* policy-violation$`, 'm'));
  expect(list.out).not.toContain(keys[0]);
  const show = await run(['ledger', 'show', keys[1] ?? '']);
  expect(show.out).toMatch(/^2026-01-02 03:04:05.000Z {2}written by its sender/m);
  expect(show.out).toMatch(/^\d{4}-\S+ \S+Z {2}refused as it came: policy-violation: too large$/m);
  const counts = await run(['ledger', 'counts']);
  expect(counts.out).toMatch(/^toMqtt +1 +0 +0 +0 +0 +1 +0 +0$/m);
  expect(JSON.parse((await run(['ledger', 'counts', '--json'])).out).toMqtt.dead).toBe(1);
  const json = await run(['ledger', 'show', keys[0] ?? '', '--json']);
  expect([list, show, json].some(({ out }) => out.includes(secretBody))).toBe(false);
});

const faults = [
  { args: ['user', 'show', 'erin@example.com'], code: 1, err: 'erin@example.com is not known here' },
  { args: ['user', 'show', 'a b@example.com'], code: 64, err: 'is not the JID of a user' },
  {
    args: ['user', 'set', 'bob@example.com', 'mqqt', '--reason', 'x'],
    code: 64,
    err: 'no phase "mqqt"; choose one of legacy, shadow, dual, mqtt',
  },
  {
    args: ['user', 'set', 'bob@example.com', 'mqtt'],
    code: 64,
    err: "required option '--reason <text>' not specified",
  },
  { args: ['user', 'list', '--phase', 'mqqt'], code: 64, err: 'Allowed choices are legacy, shadow, dual, mqtt' },
  { args: ['user', 'list', '--limit', '0'], code: 64, err: 'It must be a whole number of at least 1.' },
  { args: ['ledger', 'show', 'none-1'], code: 1, err: 'the ledger has no entry none-1' },
  { args: ['audit', '--url', 'nowhere'], code: 64, err: 'nowhere is not the URL of a gateway' },
  {
    args: ['user', 'list', '--token', 'wrong'],
    code: 77,
    err: 'does not take this admin token (from --token or CROSSFADE_ADMIN_TOKEN)',
  },
  {
    args: ['user', 'list', '--token', 'wr\u00f6ng'],
    code: 77,
    err: 'the admin token (from --token or CROSSFADE_ADMIN_TOKEN) holds characters that no token has',
  },
];

test.each(faults)('crossfade $args ends with $code and says "$err"', async ({ args, code, err }) => {
  const ended = await run(args);
  expect(ended.err).toContain(err);
  expect(ended.err).not.toMatch(/^\s+at /m);
  expect(ended).toMatchObject({ code, out: '' });
});

test.each([
  ['user', 'list'],
  ['ledger', 'counts'],
  ['check', '--config', 'crossfade.yaml'],
])('where something else answers, %s %s says that it is no gateway', async (...args) => {
  const other = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>It works!</h1>');
  });
  const url = `http://127.0.0.1:${await portOf(other)}`;
  writeFileSync(
    join(side.dir, 'crossfade.yaml'),
    'xmpp: { domain: example.com, component: { domain: gw.example.com, secret: x } }\nmqtt: { url: "embedded:" }\n',
  );
  const { code, out, err } = await run([...args, '--url', url]);
  expect(`${out}${err}`).toContain(`what answers at ${url} is no gateway (status 200)`);
  expect(code).toBe(args[0] === 'check' ? 1 : 69);
  other.close();
  rmSync(join(side.dir, 'crossfade.yaml'));
});

test('where no gateway runs, it says how to start one', async () => {
  const url = `http://127.0.0.1:${await closedPort()}`;
  const { code, out, err } = await run(['user', 'list', '--url', url]);
  expect({ code, out }).toEqual({ code: 69, out: '' });
  expect(err).toContain(`no gateway answers at ${url} (ECONNREFUSED). Start it with \`crossfade run\``);
  const noToken = await crossfade(['user', 'list', '--url', url], { cwd: side.dir });
  expect(noToken).toEqual({ code: 69, out: '', err });
});

test("URL and token come from crossfade.yaml and the file beside the ledger; the gateway's own secrets are not needed", async () => {
  const listen = new URL(side.url).host;
  const secret = '$' + '{A_SECRET_THE_OPERATOR_LACKS}';
  writeFileSync(
    join(side.dir, 'crossfade.yaml'),
    `xmpp: { domain: example.com, component: { domain: gw.example.com, secret: "${secret}" } }\nadmin: { listen: "${listen}" }\nledger: { path: ./data.sqlite }\n`,
  );
  const without = await crossfade(['user', 'list', '--json'], { cwd: side.dir });
  expect(without).toMatchObject({
    code: 77,
    err: expect.stringContaining(`cannot be read from ${join(side.dir, 'data.sqlite.token')}`),
  });
  writeFileSync(join(side.dir, 'data.sqlite.token'), 'not-the-right-token-at-all\n');
  const wrong = await crossfade(['user', 'list', '--json'], { cwd: side.dir });
  expect(wrong).toMatchObject({
    code: 77,
    err: expect.stringContaining(`(from ${join(side.dir, 'data.sqlite.token')})`),
  });
  writeFileSync(join(side.dir, 'data.sqlite.token'), `${token}\n`);
  const right = await crossfade(['user', 'list', '--json'], { cwd: side.dir });
  expect({ code: right.code, err: right.err }).toEqual({ code: 0, err: '' });
  const named = await crossfade(['user', 'list', '--json', '-c', join(side.dir, 'crossfade.yaml')], { cwd: '/' });
  expect(named.out).toBe(right.out);
});

test('a reader that goes away ends a long list in peace', async () => {
  for (let index = 0; index < 1500; index++) side.users.add(`user-${index}@example.com`, 0);
  const child = start(['user', 'list'], {
    cwd: side.dir,
    env: { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token },
  });
  let err = '';
  child.stderr?.on('data', (text) => (err += text));
  child.stdout?.once('data', () => child.stdout?.destroy());
  const [code] = await once(child, 'close');
  expect({ code, err }).toEqual({ code: 0, err: '' });
});

test('Ctrl-C ends the waiting for a move, and says that the move goes on', async () => {
  const server = Promise.withResolvers<{ kind: 'attached'; jid: string }>();
  const before = side.attach;
  side.attach = () => server.promise;
  const viewed = vi.spyOn(side.devices, 'statusOf');
  const env = { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token };
  const child = start(['user', 'set', 'dave@example.com', 'mqtt', '--reason', 'a test'], { cwd: side.dir, env });
  let err = '';
  child.stderr?.on('data', (text) => (err += text));
  // The first views answer the request itself, and more show that it waits.
  await waitUntil(() => viewed.mock.calls.length >= 4);
  child.kill('SIGINT');
  const [code, signal] = await once(child, 'close');
  viewed.mockRestore();
  side.attach = before;
  server.resolve({ kind: 'attached', jid: 'dave@example.com/mqtt' });
  expect({ code, signal, err }).toEqual({ code: 130, signal: null, err: 'the move goes on in the gateway\n' });
});

test('the first line of main.ts makes it a command', () => {
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  expect(spawnSync('head', ['-n', '1', main], { encoding: 'utf8' }).stdout).toBe('#!/usr/bin/env node\n');
});
