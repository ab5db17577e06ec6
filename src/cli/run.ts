// `crossfade run`: the gateway in the foreground, until a signal ends it.

import { writeSync } from 'node:fs';
import type { Command } from 'commander';
import { makeLog } from '../log.ts';
import { CliFault, exitCodes } from './exit.ts';
import { configOption, examples } from './options.ts';
import { readConfig } from './settings.ts';

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('run the gateway')
    .description(
      'Runs the gateway in the foreground and logs JSON lines to standard output. SIGTERM or SIGINT stops it cleanly, within shutdown.drainTime and a second; another one ends it at once. Neither loses anything.',
    )
    .addOption(configOption())
    .addHelpText('after', examples(['crossfade run', 'crossfade run --config /etc/crossfade/crossfade.yaml']))
    .action(run);
}

async function run(options: { config?: string }): Promise<void> {
  const { config, strange } = await readConfig(options.config);
  const log = makeLog(config.log.level);
  for (const { name, hint } of strange)
    log.warn({ event: 'config.strange-variable', variable: name, hint }, `${name} counts for nothing: ${hint}`);
  const signal = firstSignal(config.log.level);
  // Loaded here, so that the other commands need not wait for all its adapters.
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(config, { log });
  log.info({ event: 'gateway.started', adminUrl: gateway.adminUrl });
  const end = await Promise.race([gateway.failed, signal]);
  log.info({ event: 'gateway.stopping', reason: end instanceof Error ? end.message : end });
  const from = performance.now();
  const stopped = await gateway.stop();
  log.info({ event: 'gateway.stopped', ...stopped, tookMs: Math.round(performance.now() - from) });
  if (end instanceof Error) throw new CliFault(exitCodes.failed, end.message);
}

/** The name of the first signal; the second one ends the process. */
function firstSignal(level: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let count = 0;
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      count++;
      if (count === 1) return resolve(name);
      // The log itself writes a moment later, when there is nobody any more.
      makeLog(level, { write: (line) => void writeSync(1, line) }).warn(
        { event: 'gateway.ended', reason: name },
        'ended at once by a second signal; nothing is lost: what was out goes again after the next start, with the same keys',
      );
      // By the signal itself, at once, whatever the disk does.
      process.removeAllListeners(name);
      process.kill(process.pid, name);
      // The first process of a container cannot be ended so.
      process.exit(128 + number);
    });
  }
  return promise;
}
