// `crossfade run`: the gateway in the foreground, until a signal ends it.

import type { Command } from 'commander';
import type { Gateway } from '../gateway.ts';
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
  const { config } = readConfig(options.config);
  const log = makeLog(config.log.level);
  // Loaded here, so that the other commands need not wait for all its adapters.
  const { startGateway } = await import('../gateway.ts');
  const stopping = firstSignal();
  const starting = startGateway(config, { log });
  // Whoever stops it while it starts need not wait until the links stand.
  const first = await Promise.race([starting, stopping]);
  const gateway = typeof first === 'string' ? undefined : first;
  if (gateway) {
    log.info({ event: 'gateway.started', admin: gateway.adminUrl });
    await endOf(gateway, stopping);
  }
  log.info({ event: 'gateway.stopping' });
  await (await starting).stop();
  log.info({ event: 'gateway.stopped' });
}

/** Resolves at a signal; throws when the gateway itself cannot go on. */
async function endOf(gateway: Gateway, stopping: Promise<string>): Promise<void> {
  const failed = await Promise.race([gateway.failed, stopping]);
  if (typeof failed === 'string') return;
  await gateway.stop();
  throw new CliFault(exitCodes.failed, failed.message);
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
