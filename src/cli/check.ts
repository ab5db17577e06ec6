// `crossfade check`: are configuration and mappings valid, and is the gateway ready if it runs?

import type { Command } from 'commander';
import { compile } from '../mapping/compile.ts';
import { load } from '../mapping/load.ts';
import { Unreachable } from './client.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples } from './options.ts';
import { print, printJson } from './output.ts';
import { type GatewayOptions, readConfig } from './settings.ts';

const about =
  'Checks the configuration and the mappings, their examples included. If the gateway runs, asks it whether both links stand and the ledger can be written. It opens no link itself, and does not test the access rules (ACL) of the broker yet.';

export function addCheck(program: Command): void {
  asksGateway(program.command('check'))
    .summary('check the configuration, and the gateway if it runs')
    .description(about)
    .addHelpText(
      'after',
      examples(['crossfade check', 'crossfade check --config /etc/crossfade/crossfade.yaml --json']),
    )
    .action(check);
}

async function check(options: GatewayOptions & { json?: boolean }): Promise<void> {
  const { file, config } = await readConfig(options.config);
  const files = load(config.mappings);
  const { channels } = compile(files);
  const client = clientOf(options);
  const answer = await client.ready().catch((error: unknown) => {
    if (error instanceof Unreachable) return null;
    throw error;
  });
  const down = Object.entries(answer?.body ?? {}).flatMap(([name, up]) => (up || name === 'ready' ? [] : [name]));
  const isReady = answer?.status === 200;
  if (options.json) {
    printJson({
      configuration: file ?? null,
      mappings: files.length,
      gateway: { url: client.url, running: answer !== null, ...answer?.body },
    });
  } else {
    print(`ok    configuration: ${file ?? 'the environment alone'}`);
    print(`ok    mappings: ${files.length} files for the channels ${[...channels.keys()].join(', ')}`);
    print('-     broker: its access rules (ACL) are not tested yet');
    if (!answer) print(`-     gateway: none runs at ${client.url}`);
    else if (isReady) print(`ok    gateway: ready at ${client.url}`);
  }
  if (answer && !isReady)
    throw new CliFault(
      exitCodes.failed,
      `the gateway at ${client.url} is not ready; down: ${down.join(', ') || `it answers with ${answer.status}`}`,
    );
}
