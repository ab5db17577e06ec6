// `crossfade audit`: who did what to whom, when and why.

import type { Command } from 'commander';
import type { AuditRow } from '../ledger/ledger.ts';
import { asksGateway, clientOf, examples, positive } from './options.ts';
import { note, printList, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';

/** As the API gives it. */
type AuditItem = Omit<AuditRow, 'at'> & { at: string };

export function addAudit(program: Command): void {
  asksGateway(program.command('audit'))
    .summary('who did what and why')
    .description('Lists what operators and the gateway did to whom, when and why, the newest first.')
    .option('--user <jid>', 'only about this user')
    .option('--limit <n>', 'at most so many', positive, 100)
    .addHelpText('after', examples(['crossfade audit', 'crossfade audit --user bob@example.com --json']))
    .action(audit);
}

async function audit(options: GatewayOptions & { user?: string; limit: number; json?: boolean }): Promise<void> {
  const { user, limit, json } = options;
  const onMore = () => note(`only the newest ${limit}; there are more (--limit)`);
  const pages = clientOf(options).pages<AuditItem>('/api/v1/audit', { user }, limit, onMore);
  const columns = [
    { title: 'at', cell: (row: AuditItem) => shortTime(row.at) },
    { title: 'who', cell: (row: AuditItem) => row.who },
    { title: 'what', cell: (row: AuditItem) => row.what },
    { title: 'user', cell: (row: AuditItem) => row.user },
    { title: 'detail', cell: (row: AuditItem) => row.detail },
    { title: 'reason', cell: (row: AuditItem) => row.reason },
  ];
  await printList(pages, columns, { json, empty: 'the audit is empty' });
}
