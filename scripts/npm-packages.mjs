// Brings node_modules/ to what package-lock.json says, and does nothing if it is there already. Node ≥ 18, no packages.

import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { runQuietly } from './command.mjs';
import { inTurn } from './in-turn.mjs';
import { findNode24 } from './node24.mjs';

function packagesIn(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : undefined;
}

/** Is it a build for this machine? Optional packages are mostly the other platforms' builds of a program. */
function isForThisMachine({ os, cpu, libc }, machine) {
  const fits = (list, name) => list === undefined || list.includes(name);
  return (os ?? cpu) !== undefined && fits(os, machine.os) && fits(cpu, machine.cpu) && fits(libc, machine.libc);
}

function thisMachine() {
  process.report.excludeNetwork = true;
  const { glibcVersionRuntime } = process.report.getReport().header;
  return { os: process.platform, cpu: process.arch, libc: glibcVersionRuntime ? 'glibc' : 'musl' };
}

/**
 * Is every package of the lock installed in its version? npm writes its own record, node_modules/.package-lock.json, when
 * an installation is complete; comparing the two spares a stamp of ours and believes in an `npm install` by hand, too.
 */
export function isInstalled(lock, record, machine = thisMachine()) {
  if (lock === undefined || record === undefined) return false;
  return Object.entries(lock).every(([path, wanted]) => {
    if (path === '' || wanted.link) return true;
    const found = record[path];
    if (found !== undefined) return found.version === wanted.version;
    return Boolean(wanted.optional || wanted.devOptional) && !isForThisMachine(wanted, machine);
  });
}

/** What npm is to be called with: the lock's versions, or, without a lock, a new one. */
export function npmCommand(hasLock) {
  // --include=dev: NODE_ENV=production would leave the tests and Node 24 out.
  return ['npm', hasLock ? 'ci' : 'install', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
}

/**
 * npm's environment: without our own node_modules/.bin in PATH, whose `node` vanishes while npm installs it anew, and with
 * the folder of another Node in front, if one is given.
 */
export function npmEnvironment(checkout, { env = process.env, nodeFolder } = {}) {
  const own = join(checkout, 'node_modules');
  const path = (env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(own));
  return { ...env, PATH: [...(nodeFolder ? [nodeFolder] : []), ...path].join(delimiter) };
}

/** Resolves with true when all npm packages and a Node 24 are there. */
export async function setUpNpm(checkout) {
  if (isComplete(checkout)) return hasNode24(checkout);
  return await inTurn(join(checkout, '.setup.lock'), () => install(checkout));
}

const lockOf = (checkout) => packagesIn(join(checkout, 'package-lock.json'));

function isComplete(checkout) {
  return isInstalled(lockOf(checkout), packagesIn(join(checkout, 'node_modules', '.package-lock.json')));
}

async function install(checkout) {
  // Another set-up may have done it meanwhile.
  if (!isComplete(checkout)) {
    const options = { cwd: checkout, env: npmEnvironment(checkout) };
    const what = 'installing the npm packages and Node 24';
    if (!(await runQuietly(what, npmCommand(lockOf(checkout) !== undefined), options))) return false;
  }
  if (!hasNode24(checkout)) return false;
  if (isComplete(checkout)) return true;
  // Run by an old Node, npm silently leaves out optional packages that ask for a newer one, vitest's among them.
  const env = npmEnvironment(checkout, { nodeFolder: dirname(findNode24(checkout)) });
  return runQuietly('adding the packages that need Node 24', [...npmCommand(false), '--no-save'], {
    cwd: checkout,
    env,
  });
}

function hasNode24(checkout) {
  if (findNode24(checkout) !== undefined) return true;
  console.error(`setup: Node 24 is missing: the npm package "node" is there, but its install script has not run, or its
binary does not run on this system. Run this, or install Node 24 by other means:
  npm rebuild node --ignore-scripts=false`);
  return false;
}
