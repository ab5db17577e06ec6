// `crossfade ledger retry`, `return` and `discard`: one entry by its key, or many, with a dry run first.

import { type Command, Option } from 'commander';
import { type Client, NotFound } from './client.ts';
import { type EntryItem, entryPath } from './entry-item.ts';
import { CliFault, exitCodes } from './exit.ts';
import { type OfflineOptions, returnAllOffline } from './ledger-offline.ts';
import { asksGateway, clientOf, examples, laneOption, olderOption, positive, stateOption } from './options.ts';
import { note, print, printJson, shortTime } from './output.ts';
import { showProgress } from './progress.ts';
import type { GatewayOptions } from './settings.ts';
import { table } from './table.ts';
import { commandLine, counted } from './words.ts';

type Act = 'retry' | 'return' | 'discard';

interface Options extends GatewayOptions {
  lane?: string;
  state?: string;
  user?: string;
  older?: string;
  reason?: string;
  yes?: boolean;
  json?: boolean;
}

interface Done {
  key: string;
  done: boolean;
  user?: string;
  state?: string;
  text?: string;
}

/** Of these states there is something to do, where none is named. */
const statesOf: Record<Act, readonly string[]> = {
  retry: ['parked', 'dead'],
  return: ['waiting', 'parked', 'dead'],
  discard: ['dead'],
};
const past: Record<Act, string> = {
  retry: 'accepted again',
  return: 'handed back to the legacy server',
  discard: 'discarded',
};
const about: Record<Act, string> = {
  retry:
    'Sends parked and dead entries again. Several, or those that --user, --state, --lane and --older choose, are listed first and retried with --yes.',
  return:
    'Hands entries that nobody else has (custody sole) back to the legacy server, with their own time: to the legacy clients, or to offline storage. Not those that the broker or an app has: move the user back for that. Several are listed first and handed back with --yes.',
  discard:
    'Ends entries for good: nobody will get them. Several are listed first and discarded with --yes. Without --state only dead ones are chosen.',
};
const batch = 20;
const shownRows = 30;

export function addLedgerActs(ledger: Command): void {
  for (const act of ['retry', 'return', 'discard'] as const) {
    const command = asksGateway(ledger.command(`${act} [keys...]`))
      .summary({ retry: 'send again', return: 'hand back to the legacy server', discard: 'end for good' }[act])
      .description(about[act])
      .addOption(
        stateOption(act === 'discard' ? ['accepted', 'sent', 'acked', 'waiting', 'parked', 'dead'] : statesOf[act]),
      )
      .option('--user <jid>', 'only of this user')
      .addOption(olderOption())
      .option('--yes', 'do it; without, several are only listed')
      .action((keys: string[], options: Options & AllOptions) =>
        act === 'return' && (options.all || options.offline) ? everything(keys, options) : run(act, keys, options),
      );
    if (act !== 'return') command.addOption(laneOption());
    const why = 'why; kept in the audit';
    command.addOption(
      act === 'discard'
        ? new Option('--reason <text>', `${why} (required)`).makeOptionMandatory()
        : new Option('--reason <text>', why),
    );
    if (act === 'return')
      command
        .option('--all', 'every entry of every user, and every user to phase legacy; with --offline')
        .option('--offline', 'without a gateway: takes the ledger and the link to the legacy server itself')
        .option('--timeout <seconds>', 'with --offline: give up after so long without progress', positive, 60);
    command.addHelpText('after', examples(examplesOf[act]));
  }
}

const examplesOf: Record<Act, string[]> = {
  retry: [
    'crossfade ledger retry 5f0c1d2e3a4b5c6d-1k',
    'crossfade ledger retry --state dead --user bob@example.com --yes',
  ],
  return: [
    'crossfade ledger return 5f0c1d2e3a4b5c6d-1k --reason "the phone is lost"',
    'crossfade ledger return --state parked --older 7d',
    'crossfade ledger return --all --offline',
  ],
  discard: [
    'crossfade ledger discard 5f0c1d2e3a4b5c6d-1k --reason "a test"',
    'crossfade ledger discard --user test@example.com --state dead --reason "a test account" --yes',
  ],
};

interface AllOptions extends Partial<Pick<OfflineOptions, 'timeout'>> {
  all?: boolean;
  offline?: boolean;
}

async function everything(keys: string[], options: Options & AllOptions): Promise<void> {
  const { all, offline, timeout = 60 } = options;
  if (!all || !offline)
    throw new CliFault(
      exitCodes.usage,
      '--all and --offline go together; a running gateway moves users back: crossfade user set',
    );
  if (keys.length > 0 || options.user || options.state || options.older)
    throw new CliFault(
      exitCodes.usage,
      '--all takes every entry: name no keys, and neither --user, --state nor --older',
    );
  await returnAllOffline({ ...options, timeout });
}

async function run(act: Act, keys: string[], options: Options): Promise<void> {
  const { lane, state, user, older } = options;
  const isFilter = [lane, state, user, older].some((value) => value !== undefined);
  if (keys.length > 0 && isFilter)
    throw new CliFault(exitCodes.usage, 'name keys, or choose by --user, --state, --lane and --older, but not both');
  if (keys.length === 0 && !isFilter)
    throw new CliFault(exitCodes.usage, 'name the keys, or choose by --user, --state, --lane or --older');
  const client = clientOf(options);
  if (keys.length === 1) return one(client, act, keys[0] ?? '', options);
  const entries = keys.length > 0 ? await named(client, keys) : await chosen(client, act, options);
  if (entries.length === 0)
    return options.json ? printJson(result(act, [])) : note(`no entry fits that can be ${past[act]}`);
  if (options.yes) await doAll(client, act, entries, options);
  else plan(act, entries, options);
}

async function one(client: Client, act: Act, key: string, { reason, json }: Options): Promise<void> {
  const { items } = await client.post<{ items: Done[] }>(`/api/v1/ledger/${act}`, { keys: [key], reason });
  const [done] = items;
  if (json) printJson(result(act, items));
  if (!done?.done) throw new CliFault(exitCodes.failed, `${key}: ${done?.text}`);
  if (!json) print(`${key} is ${past[act]}`);
}

async function named(client: Client, keys: string[]): Promise<EntryItem[]> {
  const entries: EntryItem[] = [];
  for (const key of new Set(keys)) {
    try {
      entries.push(await client.get<EntryItem>(entryPath(key)));
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      throw new CliFault(exitCodes.failed, error.message);
    }
  }
  return entries;
}

/** In the order in which they came; `return` goes by nothing else. */
async function chosen(client: Client, act: Act, { lane, state, user, older: before }: Options): Promise<EntryItem[]> {
  const entries: EntryItem[] = [];
  for (const one of state === undefined ? statesOf[act] : [state]) {
    const filter = { lane: act === 'return' ? 'toMqtt' : lane, state: one, user, before };
    const pages = client.pages<EntryItem>('/api/v1/ledger', filter, Number.MAX_SAFE_INTEGER, () => {});
    for await (const page of pages) entries.push(...page.filter((entry) => act !== 'return' || isOurs(entry)));
  }
  return entries.sort((one, other) => one.seq - other.seq);
}

/** Whoever is not named by its key is not handed back where that must fail. */
function isOurs({ custody, state, appAckedAt }: EntryItem): boolean {
  return custody === 'sole' && state !== 'acked' && appAckedAt === undefined;
}

function plan(act: Act, entries: EntryItem[], { json }: Options): void {
  if (json) return printJson({ act, dryRun: true, entries });
  const columns = [
    { title: 'key', cell: (entry: EntryItem) => entry.key },
    { title: 'lane', cell: (entry: EntryItem) => entry.lane },
    { title: 'user', cell: (entry: EntryItem) => entry.user },
    { title: 'peer', cell: (entry: EntryItem) => entry.peer },
    { title: 'state', cell: (entry: EntryItem) => entry.state },
    { title: 'custody', cell: (entry: EntryItem) => entry.custody },
    { title: 'accepted', cell: (entry: EntryItem) => shortTime(entry.acceptedAt) },
    { title: 'why', cell: (entry: EntryItem) => entry.condition },
  ];
  for (const line of table(columns, entries.slice(0, shownRows))) print(line);
  if (entries.length > shownRows) print(`… and ${entries.length - shownRows} more`);
  const sole = entries.filter(({ custody, lane }) => custody === 'sole' && lane === 'toMqtt').length;
  print(`\n${counted(entries.length, 'entry', 'entries')} would be ${past[act]}.`);
  if (act === 'discard' && sole > 0)
    print(`Nobody else has ${sole === 1 ? 'one of them: it' : `${sole} of them: they`} would be lost.`);
  note(`Nothing was changed. To do it:\n  ${commandLine('--yes')}`);
}

async function doAll(client: Client, act: Act, entries: EntryItem[], { reason, json }: Options): Promise<void> {
  const answers: Done[] = [];
  const progress = showProgress(
    () =>
      `${counted(answers.length, 'entry', 'entries')} of ${entries.length} were gone through; run it again for the rest`,
  );
  try {
    for (let at = 0; at < entries.length; at += batch) {
      progress.show(`${act}: ${at} of ${entries.length} …`);
      const keys = entries.slice(at, at + batch).map(({ key }) => key);
      answers.push(...(await client.post<{ items: Done[] }>(`/api/v1/ledger/${act}`, { keys, reason })).items);
    }
  } finally {
    progress.end();
  }
  report(act, answers, json);
}

function report(act: Act, answers: Done[], json = false): void {
  const failed = answers.filter(({ done }) => !done);
  if (json) printJson(result(act, answers));
  else {
    print(`${counted(answers.length - failed.length, 'entry', 'entries')} ${past[act]}`);
    if (failed.length > 0) {
      print('');
      const columns = [
        { title: 'key', cell: (row: Done) => row.key },
        { title: 'user', cell: (row: Done) => row.user },
        { title: 'state', cell: (row: Done) => row.state },
        { title: 'why not', cell: (row: Done) => row.text },
      ];
      for (const line of table(columns, failed.slice(0, shownRows))) print(line);
      if (failed.length > shownRows) print(`… and ${failed.length - shownRows} more`);
    }
  }
  if (failed.length > 0)
    throw new CliFault(
      exitCodes.failed,
      `${failed.length} of ${counted(answers.length, 'entry', 'entries')} were left as they are`,
    );
}

function result(act: Act, items: Done[]) {
  return { act, dryRun: false, done: items.filter(({ done }) => done).length, items };
}
