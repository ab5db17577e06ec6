// `crossfade ledger`: what became of messages. Never a body.

import type { Command } from 'commander';
import { Option } from 'commander';
import type { Counts, EntryView, Lane } from '../ledger/ledger.ts';
import { asksGateway, clientOf, examples, positive } from './options.ts';
import { note, print, printFields, printJson, printList, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { table } from './table.ts';

const timeNames = ['at', 'acceptedAt', 'sentAt', 'ackedAt', 'appAckedAt', 'endedAt'] as const;
/** As the API gives it: times in RFC 3339. */
type EntryItem = Omit<EntryView, (typeof timeNames)[number]> & Record<(typeof timeNames)[number], string | undefined>;

const stateNames = ['accepted', 'sent', 'acked', 'settled', 'parked', 'dead', 'returned', 'discarded'] as const;

export function addLedger(program: Command): void {
  const ledger = program
    .command('ledger')
    .summary('what became of messages')
    .description('Shows what became of messages. Bodies are never shown.');
  asksGateway(ledger.command('list'))
    .summary('list entries')
    .description('Lists entries, the oldest first.')
    .addOption(new Option('--lane <lane>', 'only this direction').choices(['toMqtt', 'toXmpp']))
    .addOption(
      new Option('--state <state>', 'only in this state; waiting = accepted, sent, acked').choices([
        ...stateNames,
        'waiting',
      ]),
    )
    .option('--user <jid>', 'only of this user')
    .option('--limit <n>', 'at most so many', positive, 100)
    .addHelpText(
      'after',
      examples([
        'crossfade ledger list --state dead',
        'crossfade ledger list --user bob@example.com --lane toMqtt --json',
      ]),
    )
    .action(list);
  asksGateway(ledger.command('show <key>'))
    .summary('show one entry')
    .description('Shows one entry by its key, with all its times.')
    .addHelpText('after', examples(['crossfade ledger show 5f0c1d2e3a4b5c6d-1k']))
    .action(show);
  asksGateway(ledger.command('counts'))
    .summary('count entries by state')
    .description('Counts the entries in each state.')
    .addHelpText('after', examples(['crossfade ledger counts']))
    .action(counts);
}

async function list(
  options: GatewayOptions & { lane?: string; state?: string; user?: string; limit: number; json?: boolean },
): Promise<void> {
  const { lane, state, user, limit, json } = options;
  const onMore = () => note(`only the first ${limit}; there are more (--limit)`);
  const pages = clientOf(options).pages<EntryItem>('/api/v1/ledger', { lane, state, user }, limit, onMore);
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
  await printList(pages, columns, { json, empty: 'no such entry' });
}

async function show(key: string, options: GatewayOptions & { json?: boolean }): Promise<void> {
  const entry = await clientOf(options).get<EntryItem>(`/api/v1/ledger/${encodeURIComponent(key)}`);
  if (options.json) return printJson(entry);
  const known = [
    'key',
    'lane',
    'state',
    'user',
    'peer',
    'channel',
    'id',
    'custody',
    'topic',
    'mapping',
    'condition',
    'text',
    'attempts',
  ] as const;
  printFields([
    ...known.flatMap((name) => (entry[name] === undefined ? [] : [[name, entry[name]] as const])),
    ...timeNames.flatMap((name) => (entry[name] === undefined ? [] : [[name, shortTime(entry[name])] as const])),
  ]);
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
