// `crossfade ledger backup`: the running gateway copies its ledger to a file; waits for it, with progress.

import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackupState } from '../ledger/backup.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples } from './options.ts';
import { print, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import type { GatewayOptions } from './settings.ts';
import { counted } from './words.ts';

/** Times are RFC 3339. */
type Backup = Omit<BackupState, 'at'> & { at: string };

const about =
  'The running gateway copies its ledger to FILE, on its own machine: consistent, while messages go on; checked from end to end, fsynced, readable by its owner only. An existing file is never overwritten. Bodies of waiting messages are in it: keep it as safe as the ledger. Restore it with `crossfade ledger restore`.';
const lookEveryMs = 200;

export function addLedgerBackup(ledger: Command): void {
  asksGateway(ledger.command('backup <file>'))
    .summary('copy the ledger while the gateway runs')
    .description(about)
    .addHelpText('after', examples(['crossfade ledger backup /backup/ledger-$(date +%F).sqlite']))
    .action(backup);
}

async function backup(name: string, options: GatewayOptions & { json?: boolean }): Promise<void> {
  const client = clientOf(options);
  const path = '/api/v1/ledger/backup';
  let now = await client.post<Backup>(path, { file: resolve(name) });
  const progress = showProgress(
    () => 'interrupted; the gateway goes on with the backup: GET /api/v1/ledger/backup tells how it went',
  );
  try {
    while (now.state === 'copying' || now.state === 'checking') {
      progress.show(now.state === 'copying' ? `copied ${percent(now)} …` : 'checking the copy …');
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      now = await client.get<Backup>(path);
    }
  } finally {
    progress.end();
  }
  if (now.state === 'failed') throw new CliFault(exitCodes.failed, `no backup was made: ${now.text}`);
  if (options.json) return printJson(now);
  const { file, bytes = 0, entries = 0, tookMs = 0 } = now;
  print(
    `${file}: ${counted(entries, 'entry', 'entries')}, ${(bytes / 1e6).toFixed(1)} MB, checked, in ${(tookMs / 1000).toFixed(1)} s`,
  );
}

function percent({ pages, ofPages }: Backup): string {
  return ofPages === 0 ? '0 %' : `${Math.floor((100 * pages) / ofPages)} %`;
}
