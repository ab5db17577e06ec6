// `crossfade ledger`: what became of messages. Never a body. Lists and counts here, the rest in files of its own.

import type { Command } from 'commander';
import type { Counts, Lane } from '../ledger/ledger.ts';
import { type EntryItem, stateNames } from './entry-item.ts';
import { addLedgerActs } from './ledger-act.ts';
import { addLedgerBackup } from './ledger-backup.ts';
import { addLedgerRestore } from './ledger-restore.ts';
import { addLedgerShow } from './ledger-show.ts';
import { addLedgerVerify } from './ledger-verify.ts';
import { asksGateway, clientOf, examples, laneOption, olderOption, positive, stateOption } from './options.ts';
import { note, print, printJson, printList, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { table } from './table.ts';

export function addLedger(program: Command): void {
  const ledger = program
    .command('ledger')
    .summary('what became of messages')
    .description(
      'Shows what became of messages, and lets an operator try them again, hand them back or discard them. Bodies are never shown.',
    );
  asksGateway(ledger.command('list'))
    .summary('list entries')
    .description('Lists entries, the oldest first.')
    .addOption(laneOption())
    .addOption(stateOption([...stateNames, 'waiting']))
    .option('--user <jid>', 'only of this user')
    .addOption(olderOption())
    .option('--limit <n>', 'at most so many', positive, 100)
    .addHelpText(
      'after',
      examples([
        'crossfade ledger list --state dead',
        'crossfade ledger list --user bob@example.com --lane toMqtt --older 1h --json',
      ]),
    )
    .action(list);
  addLedgerShow(ledger);
  asksGateway(ledger.command('counts'))
    .summary('count entries by state')
    .description('Counts the entries in each state.')
    .addHelpText('after', examples(['crossfade ledger counts']))
    .action(counts);
  addLedgerVerify(ledger);
  addLedgerActs(ledger);
  addLedgerBackup(ledger);
  addLedgerRestore(ledger);
}

async function list(
  options: GatewayOptions & {
    lane?: string;
    state?: string;
    user?: string;
    older?: string;
    limit: number;
    json?: boolean;
  },
): Promise<void> {
  const { lane, state, user, older: before, limit, json } = options;
  const onMore = () => note(`only the first ${limit}; there are more (--limit)`);
  const pages = clientOf(options).pages<EntryItem>('/api/v1/ledger', { lane, state, user, before }, limit, onMore);
  const columns = [
    { title: 'key', cell: (entry: EntryItem) => entry.key },
    { title: 'lane', cell: (entry: EntryItem) => entry.lane },
    { title: 'state', cell: (entry: EntryItem) => entry.state },
    { title: 'user', cell: (entry: EntryItem) => entry.user },
    { title: 'peer', cell: (entry: EntryItem) => entry.peer },
    { title: 'channel', cell: (entry: EntryItem) => entry.channel },
    { title: 'custody', cell: (entry: EntryItem) => entry.custody },
    { title: 'accepted', cell: (entry: EntryItem) => shortTime(entry.acceptedAt) },
    { title: 'why', cell: ({ condition }: EntryItem) => condition },
  ];
  await printList(pages, columns, { json, empty: 'no entry fits' });
}

async function counts(options: GatewayOptions & { json?: boolean }): Promise<void> {
  const all = await clientOf(options).get<Counts>('/api/v1/ledger/counts');
  if (options.json) return printJson(all);
  const columns = [
    { title: 'lane', cell: (lane: Lane) => lane },
    ...stateNames.map((state) => ({ title: state, cell: (lane: Lane) => all[lane][state] })),
  ];
  for (const line of table(columns, ['toMqtt', 'toXmpp'] as const)) print(line);
}
