#!/usr/bin/env node
// The `crossfade` command. It looks at Node's version before anything is loaded that an older one cannot even read.

const needed = 24;
const version = process.versions.node;
const sizeOption = '--max-semi-space-size';
/** MiB; V8's young generation, in each thread, takes up to three times that. */
const size = 32;

if (Number.parseInt(version, 10) < needed) {
  process.stderr.write(`crossfade needs Node ${needed} or newer; this is Node ${version}, ${process.execPath}.
Install a newer one, or start crossfade with it: /path/to/node${needed} ${process.argv[1]} …\n`);
  process.exitCode = 1;
} else {
  if (process.argv[2] === 'run' && mayBeginAnew()) beginAnew();
  const { runCommand } = await import('./cli/program.ts');
  process.exitCode = await runCommand(process.argv);
}

/**
 * By itself V8 lets the young generation grow further: a burst then fills 100 MB more with garbage, and is no faster for it; with a
 * smaller one what waits for the disk is copied again and again (docs/benchmarks.md). The size counts only from the start of a process, so this one replaces itself; it keeps its number.
 */
function beginAnew(): void {
  const { execPath, execArgv, argv, env } = process;
  process.execve!(execPath, [execPath, ...execArgv, `${sizeOption}=${size}`, ...argv.slice(1)], env);
}

/** Not where somebody has chosen a size, where a connected parent would lose us, or where it is not to be had. */
function mayBeginAnew(): boolean {
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ').replaceAll('_', '-');
  if (options.includes(sizeOption) || process.connected) return false;
  return process.execve !== undefined && process.platform !== 'win32' && process.permission?.has('child') !== false;
}
