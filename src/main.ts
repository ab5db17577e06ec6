#!/usr/bin/env node
// The `crossfade` command. It looks at Node's version before anything is loaded that an older one cannot even read.

const needed = 24;
const version = process.versions.node;

if (Number.parseInt(version, 10) < needed) {
  process.stderr.write(`crossfade needs Node ${needed} or newer; this is Node ${version}, ${process.execPath}.
Install a newer one, or start crossfade with it: /path/to/node${needed} ${process.argv[1]} …\n`);
  process.exitCode = 1;
} else {
  const { runCommand } = await import('./cli/program.ts');
  process.exitCode = await runCommand(process.argv);
}
