// Compiles src/ to plain JavaScript in dist/ for the npm package; Node does not strip types inside node_modules.

import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { findNode24, root } from './node24.mjs';

const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
execFileSync(findNode24(), [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
// What is not TypeScript (the ledger's migrations, the configuration's schema) goes along as it is.
cpSync(join(root, 'src'), dist, { recursive: true, filter: (path) => extname(path) !== '.ts' });
chmodSync(join(dist, 'main.js'), 0o755);
