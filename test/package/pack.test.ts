// The npm package: built, packed, installed in an empty folder outside the checkout, and its command run there.

import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pathFor, root } from '../../scripts/node24.mjs';

const env = { ...process.env, PATH: pathFor(process.execPath) };
const { version, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
let dir: string;
let packed: string[];
let installed: string;

const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', [...args, '--loglevel=error'], { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-pack-'));
  const tarballs = join(dir, 'tarballs');
  const project = join(dir, 'project');
  mkdirSync(tarballs);
  mkdirSync(project);
  npm(root, 'pack', '--pack-destination', tarballs);
  const tarball = join(tarballs, readdirSync(tarballs)[0] ?? '');
  packed = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n');
  packed = packed.map((path) => path.replace(/^package\//, ''));
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n');
  npm(project, 'install', tarball, '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund');
  installed = join(project, 'node_modules', 'crossfade');
}, 240_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs the installed command by the name npm gave it, in a folder that is not the checkout. */
function crossfade(...args: string[]) {
  const command = join(dir, 'project', 'node_modules', '.bin', 'crossfade');
  return spawnSync(command, args, { cwd: dir, env, encoding: 'utf8' });
}

test('crossfade --version says the version of the package', () => {
  const { stdout, stderr, status } = crossfade('--version');
  expect({ stdout: stdout.trim(), stderr, status }).toEqual({ stdout: version, stderr: '', status: 0 });
});

test.each(['run', 'check', 'user', 'ledger', 'map'])('crossfade --help names the command %s', (command) => {
  const { stdout, status } = crossfade('--help');
  expect(status).toBe(0);
  expect(stdout).toMatch(new RegExp(`^\\s+${command}\\b`, 'm'));
});

test('what belongs to the package is in it: every mapping, every step of the schema, the server modules', () => {
  const filesIn = (folder: string, ending: string) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith(ending));
  const wanted = [
    ...filesIn('mappings', '.yaml').map((name) => `mappings/${name}`),
    ...filesIn('src/ledger/sql', '.sql').map((name) => `dist/ledger/sql/${name}`),
    'server-modules/prosody/mod_crossfade_attach/mod_crossfade_attach.lua',
    'crossfade.example.yaml',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist/main.js',
  ];
  expect(wanted.filter((path) => !packed.includes(path))).toEqual([]);
});

test('nothing else is in it: no sources, tests, scripts, demo, databases', () => {
  const allowed =
    /^(dist\/.*\.(js|sql)|mappings\/.*\.yaml|server-modules\/.*|docs\/.*\.(md|svg|ya?ml|json)|package\.json|(README|CHANGELOG)\.md|LICENSE|crossfade\.example\.yaml)$/;
  expect(packed.filter((path) => !allowed.test(path))).toEqual([]);
});

test('no compiled file asks for a TypeScript file, which Node does not run inside node_modules', () => {
  const files = packed.filter((path) => path.endsWith('.js'));
  const asks = files.filter((path) => /['"`][^'"`\n]*\.ts['"`]/.test(readFileSync(join(installed, path), 'utf8')));
  expect(asks).toEqual([]);
});

test('every module that the compiled files import is a dependency or beside them', () => {
  const missing = packed
    .filter((path) => path.startsWith('dist/'))
    .flatMap((path) =>
      [...readFileSync(join(installed, path), 'utf8').matchAll(/^(?:import|export)[^;]*?from '([^']+)';$/gm)].map(
        ([, from = '']) => ({ path, from }),
      ),
    )
    .filter(({ path, from }) => {
      if (from.startsWith('.')) return !existsSync(join(installed, path, '..', from));
      const name = from.startsWith('@') ? from.split('/').slice(0, 2).join('/') : (from.split('/')[0] ?? '');
      return !from.startsWith('node:') && !Object.hasOwn(dependencies, name);
    });
  expect(missing).toEqual([]);
});

test('the command is executable', () => {
  expect(statSync(join(installed, 'dist', 'main.js')).mode & 0o111).toBe(0o111);
});

test('an older Node is told what is needed, before anything is loaded that it cannot read', () => {
  const main = join(installed, 'dist', 'main.js');
  expect(readFileSync(main, 'utf8')).not.toMatch(/^import /m);
  const older = "data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.20.2' })";
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', older, main, '--version'], {
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^crossfade needs Node 24 or newer; this is Node 20\.20\.2, .*\nInstall a newer one, or/);
});
