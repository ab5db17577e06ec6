// `crossfade ledger restore`: puts a backup in the place of the ledger, while no gateway runs.

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadSections } from '../config.ts';
import { explainFault } from '../ledger/account.ts';
import { configOption, examples } from './options.ts';
import { note, print, printJson, printText, shortTime } from './output.ts';
import { configFile } from './settings.ts';
import { commandLine, counted } from './words.ts';

const about =
  "Puts a backup in the place of the ledger that the configuration names, and keeps the old file beside it. The gateway must be stopped. Its next start begins a new key space and a new epoch on the link: no key is used twice, and what the legacy server's archive has since the backup is caught up. What apps had sent since then, and moves of users, are as they were at the backup: see docs/operating.md, Backup and restore.";

export function addLedgerRestore(ledger: Command): void {
  ledger
    .command('restore <file>')
    .summary('put a backup in the place of the ledger')
    .description(about)
    .addOption(configOption())
    .option('--yes', 'do it; without it, it is only said what would be done')
    .option('--json', 'print JSON')
    .addHelpText('after', examples(['crossfade ledger restore /backup/ledger-2026-03-01.sqlite --yes']))
    .action(restore);
}

async function restore(name: string, options: { config?: string; yes?: boolean; json?: boolean }): Promise<void> {
  const { ledger } = loadSections({ file: configFile(options.config), env: process.env }, ['ledger']);
  const { lookAtRestore, restoreLedger } = await import('../gateway-offline.ts');
  const look = lookAtRestore(resolve(name), ledger.path);
  const made = look.backupAt === undefined ? undefined : new Date(look.backupAt).toISOString();
  const kept = options.yes ? restoreLedger(look) : null;
  if (options.json) {
    const { checked: entries, faults, replaces } = look;
    return printJson({ dryRun: !options.yes, file: look.file, path: look.path, made, entries, replaces, kept, faults });
  }
  print(
    `${look.file}: ${made ? `a backup of ${shortTime(made)}` : 'a copy of a ledger'}, ${counted(look.checked, 'entry', 'entries')}`,
  );
  for (const fault of look.faults)
    printText(`In it ${[fault.lane, fault.state].filter(Boolean).join(' ')}: ${explainFault(fault)}`, '  ');
  if (options.yes) {
    if (kept) print(`The old ledger is kept as ${kept}`);
    print(`${look.path} is restored; start the gateway now: crossfade run`);
    return;
  }
  print(
    look.replaces
      ? `It would take the place of ${look.path}, which would be kept beside it.`
      : `It would become ${look.path}.`,
  );
  note(`Nothing was changed. To do it:\n  ${commandLine('--yes')}`);
}
