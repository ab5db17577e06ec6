// Finds the Node that runs Crossfade: the one from npm, else the one that runs this, if it is new enough. Node ≥ 18, no packages.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const wanted = 24;
const major = (version) => Number(/^v(\d+)\./.exec(version)?.[1] ?? 0);

/** Path of a Node ≥ 24 that really runs here, or undefined. The one from npm is missing where install scripts are off. */
export function findNode24(checkout = root) {
  const fromNpm = join(checkout, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(fromNpm)) {
    const answer = spawnSync(fromNpm, ['-v'], { encoding: 'utf8' });
    if (answer.status === 0 && major(answer.stdout) >= wanted) return fromNpm;
  }
  return major(process.version) >= wanted ? process.execPath : undefined;
}

/** PATH for what runs under that Node: our own commands first, and /usr/sbin, where Debian keeps its servers, last. */
export function pathFor(node, checkout = root, path = process.env.PATH ?? '') {
  const first = [dirname(node), join(checkout, 'node_modules', '.bin')];
  const last = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
  return [...new Set([...first, ...path.split(delimiter), ...last])].join(delimiter);
}
