// scripts/install-packages.sh with a false apt-get, dpkg and systemd: no service starts, and no trace of the script stays.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let dir: string;
const at = (name: string) => join(dir, name);
const read = (name: string) => (existsSync(at(name)) ? readFileSync(at(name), 'utf8') : '');
const exists = (name: string) => existsSync(at(name));

function program(name: string, body: string): void {
  writeFileSync(at(`bin/${name}`), `#!/bin/sh\n${body}\n`);
  chmodSync(at(`bin/${name}`), 0o755);
}

// Like a maintainer script: ask the policy, start unless it says 101, and be enabled in any case.
const install = `echo "$*" >> ${'$'}DIR/apt-calls
case "$*" in *" install "*) ;; *) touch $DIR/lists/a_Packages; exit 0 ;; esac
for service in prosody ssh; do
  code=0; $DIR/policy-rc.d $service.service start || code=$?
  echo "$service $code" >> $DIR/policy-answers
  [ $code = 101 ] || touch $DIR/active-$service
done
touch $DIR/installed-prosody $DIR/units/prosody.service $DIR/enabled-prosody`;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-install-'));
  for (const name of ['bin', 'run', 'units', 'lists']) mkdirSync(at(name));
  writeFileSync(at('lists/a_Packages'), '');
  const original = readFileSync(new URL('../../scripts/install-packages.sh', import.meta.url), 'utf8');
  const script = original
    .replaceAll('/usr/sbin/', `${dir}/`)
    .replaceAll('/run/systemd/system', at('run'))
    .replaceAll('/usr/lib/systemd/system', at('units'))
    .replaceAll('/lib/systemd/system', at('units'))
    .replaceAll('/var/lib/apt/lists', at('lists'));
  writeFileSync(at('install.sh'), script);
  program('id', 'echo 0');
  program('dpkg-query', '[ -e $DIR/installed-$4 ] || [ -e $DIR/installed-$3 ] || exit 1; printf installed');
  program(
    'systemctl',
    `for word; do unit=$word; done; name=\${unit%.service}
case "$1" in
  is-active) [ -e $DIR/active-$name ] ;;
  stop) rm $DIR/active-$name ;;
  disable) rm -f $DIR/enabled-$name ;;
esac`,
  );
  program('apt-get', install);
});

afterEach(() => rmSync(dir, { recursive: true }));

function start(...packages: string[]) {
  const env = { DIR: dir, PATH: `${at('bin')}:/usr/bin:/bin` };
  return spawn('sh', [at('install.sh'), ...packages], { env, stdio: 'ignore' });
}

async function run(...packages: string[]): Promise<number | null> {
  const [code] = await once(start(...packages), 'exit');
  return code;
}

test('while apt-get runs, our services may not start and others may', async () => {
  expect(await run('prosody')).toBe(0);
  expect(read('policy-answers')).toBe('prosody 101\nssh 0\n');
  expect(exists('active-prosody')).toBe(false);
});

test('afterwards the service is disabled and the policy is gone', async () => {
  await run('prosody');
  expect(exists('enabled-prosody')).toBe(false);
  expect(exists('policy-rc.d')).toBe(false);
});

test("an administrator's policy is asked for everything else and stands again afterwards, unchanged", async () => {
  writeFileSync(at('policy-rc.d'), '#!/bin/sh\ncase "$1" in ssh*) exit 104 ;; esac\nexit 0\n', { mode: 0o755 });
  const before = read('policy-rc.d');
  await run('prosody');
  expect(read('policy-answers')).toBe('prosody 101\nssh 104\n');
  expect(read('policy-rc.d')).toBe(before);
  expect(exists('policy-rc.d.before-crossfade')).toBe(false);
});

test('what a killed run left behind is cleared away by the next', async () => {
  program('apt-get', 'kill -9 $PPID');
  await run('prosody');
  expect(exists('policy-rc.d')).toBe(true);
  program('apt-get', install);
  expect(await run('prosody')).toBe(0);
  expect(exists('policy-rc.d')).toBe(false);
});

test('a service that starts all the same is stopped', async () => {
  program('apt-get', `${install}\ntouch $DIR/active-prosody`);
  expect(await run('prosody')).toBe(0);
  expect(exists('active-prosody')).toBe(false);
});

test("Erlang's port mapper does not start with its package, by its service or by its socket", async () => {
  program(
    'apt-get',
    `for unit in epmd.socket epmd.service ejabberd.service; do
  code=0; $DIR/policy-rc.d $unit start || code=$?
  echo "$unit $code" >> $DIR/policy-answers
done
touch $DIR/installed-erlang-base $DIR/installed-ejabberd $DIR/enabled-epmd $DIR/enabled-epmd.socket $DIR/enabled-ejabberd
touch $DIR/active-epmd.socket $DIR/units/epmd.service $DIR/units/epmd.socket $DIR/units/ejabberd.service`,
  );
  expect(await run('ejabberd', 'erlang-base')).toBe(0);
  expect(read('policy-answers')).toBe('epmd.socket 101\nepmd.service 101\nejabberd.service 101\n');
  for (const name of ['enabled-epmd', 'enabled-epmd.socket', 'enabled-ejabberd', 'active-epmd.socket']) {
    expect(exists(name), name).toBe(false);
  }
});

test('a service that was there before is left as it was', async () => {
  for (const name of ['installed-prosody', 'active-prosody', 'enabled-prosody', 'units/prosody.service']) {
    writeFileSync(at(name), '');
  }
  expect(await run('prosody', 'lua5.4')).toBe(0);
  expect(read('policy-answers')).toBe('prosody 0\nssh 0\n');
  expect(exists('active-prosody') && exists('enabled-prosody')).toBe(true);
});

test('a failing apt-get is tried once more after an update, then fails the script, and the policy goes', async () => {
  program('apt-get', 'echo "$*" >> $DIR/apt-calls; exit 100');
  expect(await run('prosody')).not.toBe(0);
  expect(exists('policy-rc.d')).toBe(false);
});

test('a first failure for want of fresh package lists is overcome by an update', async () => {
  program(
    'apt-get',
    `if [ ! -e $DIR/updated ]; then case "$*" in *update*) touch $DIR/updated; exit 0 ;; esac; exit 100; fi
${install}`,
  );
  expect(await run('prosody')).toBe(0);
  expect(exists('installed-prosody')).toBe(true);
});

test('package lists are fetched first where there are none', async () => {
  rmSync(at('lists/a_Packages'));
  expect(await run('prosody')).toBe(0);
  const calls = read('apt-calls').trim().split('\n');
  expect(calls.map((call) => (call.includes(' update') ? 'update' : 'install'))).toEqual(['update', 'install']);
});

test('a termination lets apt-get end, and the policy goes', async () => {
  program('apt-get', 'kill -TERM $PPID; sleep 0.2; touch $DIR/apt-ended');
  expect(await run('prosody')).toBe(143);
  expect(exists('apt-ended')).toBe(true);
  expect(exists('policy-rc.d')).toBe(false);
});
