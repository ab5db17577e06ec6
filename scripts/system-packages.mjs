// Installs the distribution packages that the demo and the tests need, and only what is missing. Node ≥ 18, no packages.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runQuietly } from './command.mjs';
import { pathFor } from './node24.mjs';

/** Where Debian puts Erlang's libraries, each in a folder with its version. */
const erlangLibs = '/usr/lib/erlang/lib';

/** Debian's package and how to see that it is there; pip's Pythons lack Debian's modules, so it is always /usr/bin/python3. */
export const table = {
  prosody: { program: 'prosody' },
  ejabberd: { program: 'ejabberdctl' },
  'erlang-base': { program: 'erlc' },
  'erlang-p1-oauth2': { erlangLib: 'p1_oauth2' },
  mosquitto: { program: 'mosquitto' },
  'lua5.4': { program: 'lua5.4' },
  'python3-slixmpp': { pythonModule: 'slixmpp' },
  'python3-paho-mqtt': { pythonModule: 'paho' },
  strace: { program: 'strace' },
};

/** What each purpose needs; without the optional ones it goes on (the demo then uses the embedded broker). */
export const purposes = {
  run: { needed: [], optional: [] },
  demo: { needed: ['prosody'], optional: ['mosquitto'] },
  test: { needed: Object.keys(table), optional: [] },
};

/** Is there such a program in PATH or in the folders where Debian keeps its servers? */
export function hasProgram(name, path = pathFor(process.execPath)) {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function hasErlangLib(name) {
  return existsSync(erlangLibs) && readdirSync(erlangLibs).some((folder) => folder.startsWith(`${name}-`));
}

function missingPythonModules(names) {
  if (names.length === 0) return [];
  const script = 'import importlib.util, sys\nfor n in sys.argv[1:]:\n if not importlib.util.find_spec(n): print(n)';
  const answer = spawnSync('/usr/bin/python3', ['-I', '-c', script, ...names], { encoding: 'utf8' });
  return answer.status === 0 ? answer.stdout.split('\n').filter(Boolean) : names;
}

/** Those of the packages that are not there, in their order. */
export function missingPackages(names) {
  const modules = missingPythonModules(names.map((name) => table[name].pythonModule).filter(Boolean));
  return names.filter((name) => {
    const { program, pythonModule, erlangLib } = table[name];
    if (erlangLib !== undefined) return !hasErlangLib(erlangLib);
    return program === undefined ? modules.includes(pythonModule) : !hasProgram(program);
  });
}

/** How to install on this machine: `{ command, interactive }`, or `{ advice }` where only a person can. Pure. */
export function planInstall(packages, { checkout, uid, apt, sudo, terminal }) {
  const list = packages.join(' ');
  if (!apt) {
    const modules = packages.map((name) => table[name].pythonModule).filter(Boolean);
    const python = modules.length > 0 ? ` (the Python modules for /usr/bin/python3)` : '';
    return {
      advice: `This system has no apt-get. Install these by hand${python}, then run the command again:\n  ${list}`,
    };
  }
  const script = ['sh', join(checkout, 'scripts', 'install-packages.sh'), ...packages];
  if (uid === 0) return { command: script, interactive: false };
  if (sudo === 'silent') return { command: ['sudo', '-n', ...script], interactive: false };
  if (sudo === 'asks' && terminal) return { command: ['sudo', ...script], interactive: true };
  const prefix = sudo === 'none' ? 'su -c' : 'sudo';
  const line = script.map((word) => (/^[\w./+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
  const shown = prefix === 'sudo' ? `sudo ${line}` : `su -c "${line}"`;
  return { advice: `These packages are missing: ${list}. Only root can install them. Run:\n  ${shown}` };
}

function sudoHere() {
  if (!hasProgram('sudo')) return 'none';
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? 'silent' : 'asks';
}

/** Resolves with true when all that the purpose cannot do without is there. */
export async function setUpSystem(checkout, purpose) {
  const { needed, optional } = purposes[purpose];
  const missing = missingPackages([...needed, ...optional]);
  if (missing.length === 0) return true;

  const uid = process.getuid?.();
  const plan = planInstall(missing, {
    checkout,
    uid,
    apt: hasProgram('apt-get'),
    sudo: uid === 0 ? 'none' : sudoHere(),
    terminal: Boolean(process.stdin.isTTY),
  });
  let stillMissing = missing;
  if (plan.command) {
    const options = { cwd: checkout, interactive: plan.interactive };
    await runQuietly(`installing ${missing.join(', ')} (without starting any service)`, plan.command, options);
    stillMissing = missingPackages(missing);
  }
  if (stillMissing.length === 0) return true;

  const enough = stillMissing.every((name) => optional.includes(name));
  if (enough) console.error(`setup: going on without ${stillMissing.join(', ')}`);
  else console.error(`setup: ${plan.advice ?? `still missing: ${stillMissing.join(', ')}`}`);
  return enough;
}
