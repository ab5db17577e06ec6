// `crossfade run`: the gateway in the foreground, until a signal ends it.

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
      'Runs the gateway in the foreground and logs JSON lines to standard output. SIGTERM or SIGINT stops it cleanly; a second one ends it at once.',
    )
    .addOption(configOption())
    .addHelpText('after', examples(['crossfade run', 'crossfade run --config /etc/crossfade/crossfade.yaml']))
    .action(run);
}

async function run(options: { config?: string }): Promise<void> {
  const { config } = await readConfig(options.config);
  const log = makeLog(config.log.level);
  const signal = firstSignal();
  // Loaded here, so that the other commands need not wait for all its adapters.
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(config, { log });
  log.info({ event: 'gateway.started', adminUrl: gateway.adminUrl });
  const end = await Promise.race([gateway.failed, signal]);
  log.info({ event: 'gateway.stopping', reason: end instanceof Error ? end.message : end });
  await gateway.stop();
  log.info({ event: 'gateway.stopped' });
  if (end instanceof Error) throw new CliFault(exitCodes.failed, end.message);
}

/** The name of the first signal; the second one ends the process. */
function firstSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let count = 0;
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      count++;
      if (count > 1) process.exit(128 + number);
      resolve(name);
    });
  }
  return promise;
}
