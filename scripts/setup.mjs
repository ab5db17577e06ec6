// Installs what is missing: node scripts/setup.mjs [--for run|demo|test]. Runs on Node ≥ 18 in a fresh clone, no packages.

import { root } from './node24.mjs';
import { setUpNpm } from './npm-packages.mjs';
import { purposes, setUpSystem } from './system-packages.mjs';

const [option = '--for', purpose = 'run', ...rest] = process.argv.slice(2);
if (option !== '--for' || !Object.hasOwn(purposes, purpose) || rest.length > 0) {
  console.error(`Usage: node scripts/setup.mjs [--for ${Object.keys(purposes).join('|')}]`);
  process.exit(2);
}
if (Number(process.versions.node.split('.')[0]) < 18) {
  console.error(`Node ${process.versions.node} is too old for npm's newer packages: any version from 18 will do.`);
  process.exit(1);
}

// Both are tried even if the first fails: one run then names all that is missing.
const npm = await setUpNpm(root);
const system = await setUpSystem(root, purpose);
process.exitCode = npm && system ? 0 : 1;
