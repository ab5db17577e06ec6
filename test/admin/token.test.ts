// The token's file, and the checks of token and Host by themselves.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeBearerCheck, makeHostCheck } from '../../src/admin/auth.ts';
import { startAdmin } from '../../src/admin/server.ts';
import { adminToken, readToken, tokenFile } from '../../src/admin-token.ts';
import { type AdminSide, startAdminSide } from './admin-side.ts';

let dir: string;
let ledgerPath: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-token-'));
  ledgerPath = join(dir, 'crossfade.sqlite');
});
afterEach(() => rmSync(dir, { recursive: true }));

test('the first start makes a token that only its owner can read, and later ones find it', () => {
  const made = adminToken({ ledgerPath });
  expect(made).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(statSync(tokenFile(ledgerPath)).mode & 0o777).toBe(0o600);
  expect(adminToken({ ledgerPath })).toBe(made);
  expect(readToken(ledgerPath)).toBe(made);
});

test('a token file that others can read is closed to them', () => {
  adminToken({ ledgerPath });
  chmodSync(tokenFile(ledgerPath), 0o644);
  adminToken({ ledgerPath });
  expect(statSync(tokenFile(ledgerPath)).mode & 0o777).toBe(0o600);
});

test('a token from the configuration is taken as it is, and no file is made', () => {
  expect(adminToken({ token: 'configured-by-hand', ledgerPath })).toBe('configured-by-hand');
  expect(() => readFileSync(tokenFile(ledgerPath))).toThrow('ENOENT');
});

test('a token file without a token is refused: an empty token would let everybody in', () => {
  writeFileSync(tokenFile(ledgerPath), '\n');
  expect(() => adminToken({ ledgerPath })).toThrow('holds no admin token');
});

const planted = 'a-token-that-somebody-planted';

test('a link in place of the token file is refused, and what it leads to stays as it is', () => {
  const target = join(dir, 'of-somebody');
  writeFileSync(target, planted, { mode: 0o644 });
  symlinkSync(target, tokenFile(ledgerPath));
  expect(() => adminToken({ ledgerPath })).toThrow('cannot be trusted: it is not a regular file of the user who runs');
  expect(statSync(target).mode & 0o777).toBe(0o644);
});

test('a token file of another user is refused', () => {
  writeFileSync(tokenFile(ledgerPath), planted, { mode: 0o644 });
  const user = vi.spyOn(process as { geteuid(): number }, 'geteuid').mockReturnValue(statSync(dir).uid + 1);
  expect(() => adminToken({ ledgerPath })).toThrow('cannot be trusted');
  user.mockRestore();
  expect(statSync(tokenFile(ledgerPath)).mode & 0o777).toBe(0o644);
  expect(adminToken({ ledgerPath })).toBe(planted);
});

test('a folder in place of the token file is refused', () => {
  mkdirSync(tokenFile(ledgerPath));
  expect(() => adminToken({ ledgerPath })).toThrow('cannot be trusted');
});

const given = [
  { header: 'Bearer the-right-one', passes: true },
  { header: 'bearer the-right-one', passes: true },
  { header: 'Bearer  the-right-one ', passes: true },
  { header: 'Bearer the-wrong-one', passes: false },
  { header: 'Bearer the-right-on', passes: false },
  { header: 'Bearer the-right-one x', passes: false },
  { header: 'Bearer', passes: false },
  { header: 'the-right-one', passes: false },
  { header: '', passes: false },
  { header: undefined, passes: false },
];

test.each(given)('Authorization: $header passes: $passes', ({ header, passes }) => {
  expect(makeBearerCheck('the-right-one')(header)).toBe(passes);
});

const hosts = [
  { listen: '127.0.0.1', host: 'localhost:7400', passes: true },
  { listen: '127.0.0.1', host: 'admin.example.com', passes: false },
  { listen: '127.0.0.1', host: undefined, passes: false },
  { listen: 'admin.example.com', host: 'Admin.example.com:7400', passes: true },
  { listen: '10.0.0.5', host: '10.0.0.5:7400', passes: true },
  { listen: '10.0.0.5', host: '10.0.0.6:7400', passes: false },
  { listen: 'fd00::5', host: '[fd00::5]:7400', passes: true },
  { listen: '0.0.0.0', host: 'crossfade:7400', passes: true },
  { listen: '::', host: 'crossfade:7400', passes: true },
];

test.each(hosts)('listening on $listen, Host: $host passes: $passes', ({ listen, host, passes }) => {
  expect(makeHostCheck(listen)(host)).toBe(passes);
});

test('a port that is taken is said in words', async () => {
  const side: AdminSide = await startAdminSide();
  const port = Number(new URL(side.url).port);
  const parts = { listen: { host: '127.0.0.1', port }, token: 'not-needed-here' } as Parameters<typeof startAdmin>[0];
  await expect(startAdmin(parts)).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: another process has this port`);
  await side.close();
});
