// What is measured runs as plain JavaScript, as it is installed: Node's own stripping of types takes some 20 MB in each thread.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Packages are found from here, too. */
const folder = fileURLToPath(new URL('../node_modules/.cache/crossfade-bench/', import.meta.url));

/** The path of the compiled file; it may import `neighbours`. The gateway itself is in dist/, by scripts/build.mjs. */
export function compiled(name: string, ...neighbours: string[]): string {
  mkdirSync(folder, { recursive: true });
  for (const file of [name, ...neighbours]) {
    const source = stripTypeScriptTypes(readFileSync(new URL(`${file}.ts`, import.meta.url), 'utf8'));
    writeFileSync(`${folder}${file}.mjs`, source.replaceAll(/ from '(\.\/[\w-]+)\.ts'/g, " from '$1.mjs'"));
  }
  return `${folder}${name}.mjs`;
}
