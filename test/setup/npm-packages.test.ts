// The npm part of the set-up: what counts as installed, and how npm is called.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isInstalled, npmCommand, npmEnvironment, setUpNpm } from '../../scripts/npm-packages.mjs';

const sax = { 'node_modules/sax': { version: '1.6.1' } };
const root = { '': { version: '0.1.0' } };
const build = (more: object) => ({ 'node_modules/build': { version: '1.0.0', optional: true, ...more } });
const machine = { os: 'linux', cpu: 'x64', libc: 'glibc' } as const;

const rows = [
  { name: 'no lock', lock: undefined, record: sax, installed: false },
  { name: 'no node_modules, or an installation that broke off', lock: sax, record: undefined, installed: false },
  { name: 'the same version', lock: { ...root, ...sax }, record: sax, installed: true },
  { name: 'another version', lock: { 'node_modules/sax': { version: '1.7.0' } }, record: sax, installed: false },
  {
    name: 'a package too few',
    lock: { ...sax, 'node_modules/ltx': { version: '3.1.2' } },
    record: sax,
    installed: false,
  },
  { name: 'a package too many', lock: root, record: sax, installed: true },
  {
    name: "another platform's build left out",
    lock: { ...sax, ...build({ os: ['win32'] }) },
    record: sax,
    installed: true,
  },
  {
    name: "another libc's build left out",
    lock: build({ os: ['linux'], libc: ['musl'] }),
    record: sax,
    installed: true,
  },
  {
    name: "this machine's build left out",
    lock: build({ os: ['linux'], cpu: ['x64'] }),
    record: sax,
    installed: false,
  },
  { name: "what only another platform's build needs", lock: build({}), record: sax, installed: true },
];

test.each(rows)('isInstalled: $name is $installed', ({ lock, record, installed }) => {
  expect(isInstalled(lock, record, machine)).toBe(installed);
});

test("with a lock npm installs the lock's versions, development packages included whatever NODE_ENV says", () => {
  expect(npmCommand(true).slice(0, 3)).toEqual(['npm', 'ci', '--include=dev']);
  expect(npmCommand(false).slice(0, 3)).toEqual(['npm', 'install', '--include=dev']);
});

test("npm does not run on the checkout's own node, which it is about to replace", () => {
  const env = npmEnvironment('/c', {
    env: { PATH: '/c/node_modules/.bin:/usr/bin:/other/node_modules/.bin', HOME: '/h' },
  });
  expect(env).toEqual({ PATH: '/usr/bin:/other/node_modules/.bin', HOME: '/h' });
});

let checkout: string;
const path = process.env.PATH;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'crossfade-setup-'));
  mkdirSync(join(checkout, 'bin'));
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify({ packages: sax }));
  process.env.PATH = `${join(checkout, 'bin')}:/usr/bin:/bin`;
});

afterEach(() => {
  process.env.PATH = path;
  rmSync(checkout, { recursive: true });
});

function fakeNpm(script: string): void {
  writeFileSync(join(checkout, 'bin', 'npm'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test('npm is called only when something is missing', async () => {
  mkdirSync(join(checkout, 'node_modules'));
  writeFileSync(join(checkout, 'record.json'), JSON.stringify({ packages: sax }));
  fakeNpm('cp record.json node_modules/.package-lock.json; echo x >> calls');

  expect(await setUpNpm(checkout)).toBe(true);
  expect(existsSync(join(checkout, 'calls'))).toBe(true);

  rmSync(join(checkout, 'calls'));
  expect(await setUpNpm(checkout)).toBe(true);
  expect(existsSync(join(checkout, 'calls'))).toBe(false);
});

test('what npm leaves out when an old Node runs it is added with Node 24', async () => {
  const native = {
    'node_modules/native': { version: '2.0.0', optional: true, os: [process.platform], cpu: [process.arch] },
  };
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify({ packages: { ...sax, ...native } }));
  mkdirSync(join(checkout, 'node_modules'));
  writeFileSync(join(checkout, 'old.json'), JSON.stringify({ packages: sax }));
  writeFileSync(join(checkout, 'new.json'), JSON.stringify({ packages: { ...sax, ...native } }));
  fakeNpm(`case "$1 $*" in
  ci*) cp old.json node_modules/.package-lock.json ;;
  install*--no-save*) cp new.json node_modules/.package-lock.json; node -v > version ;;
esac`);
  expect(await setUpNpm(checkout)).toBe(true);
  expect(readFileSync(join(checkout, 'version'), 'utf8')).toMatch(/^v2[4-9]/);
});

test('a failing npm fails the set-up', async () => {
  fakeNpm('echo "npm error network" >&2; exit 1');
  expect(await setUpNpm(checkout)).toBe(false);
});

interface Locked {
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}
const lock: { packages: Record<string, Locked> } = JSON.parse(
  readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'),
);

test('the lock file holds no download addresses', () => {
  const withAddress = Object.keys(lock.packages).filter((name) => lock.packages[name]?.resolved !== undefined);
  expect(withAddress).toEqual([]);
});

test("the lock file names every platform's builds, or npm ci refuses it", () => {
  const builds = Object.values(lock.packages).flatMap((each) => Object.keys(each.optionalDependencies ?? {}));
  const names = Object.keys(lock.packages);
  expect(builds.length).toBeGreaterThan(0);
  expect(builds.filter((build) => !names.some((name) => name.endsWith(`node_modules/${build}`)))).toEqual([]);
});
