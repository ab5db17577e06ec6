// `crossfade ledger return --all --offline`: everything back to the legacy server, by ourselves, when no gateway can run.

import { loadSections } from '../config.ts';
import type { Offline } from '../gateway-offline.ts';
import { type Log, silentLog } from '../log.ts';
import type { Left, Stand } from '../migration/return-all.ts';
import { CliFault, exitCodes } from './exit.ts';
import { note, print, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { configFile } from './settings.ts';
import { table } from './table.ts';
import { commandLine, counted, listed } from './words.ts';

export interface OfflineOptions {
  config?: string;
  reason?: string;
  yes?: boolean;
  /** Seconds without any progress until it gives up. */
  timeout: number;
  json?: boolean;
}

/** What went wrong for good, for the operator's eyes; and what may be missing, which is told once. */
const log: Log = {
  ...silentLog,
  error: ({ event, ...fields }, text) => note(`crossfade: ${text ?? `${event} ${JSON.stringify(fields)}`}`),
  warn({ event, ...fields }, text) {
    if (event === 'gateway.gap') note(`crossfade: ${text} ${JSON.stringify(fields)}`);
  },
};

const sum = <Row>(rows: readonly Row[], of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);

export async function returnAllOffline(options: OfflineOptions): Promise<void> {
  const config = loadSections({ file: configFile(options.config), env: process.env }, ['xmpp', 'ledger']);
  // Loaded here, so that the other commands need not wait for all its adapters.
  const { openOffline } = await import('../gateway-offline.ts');
  const offline = await openOffline(config, { log });
  try {
    const stands = await offline.stands();
    if (options.yes) await run(offline, stands, options);
    else plan(stands, options);
  } finally {
    await offline.close();
  }
}

function plan(stands: Stand[], { json }: OfflineOptions): void {
  if (json) return printJson({ dryRun: true, users: stands });
  if (stands.length === 0) return note('every user is in phase legacy already, and nothing is left in the ledger');
  const columns = [
    { title: 'user', cell: (row: Stand) => row.user },
    { title: 'phase', cell: (row: Stand) => (row.isMoving ? `to ${row.phase}` : row.phase) },
    { title: 'return', cell: (row: Stand) => (row.isOwn ? null : row.toReturn) },
    { title: 'send', cell: (row: Stand) => row.toSend },
    { title: 'discard', cell: (row: Stand) => (row.isOwn ? null : row.toDiscard) },
    { title: 'stays', cell: (row: Stand) => row.dead + (row.isOwn ? row.toReturn + row.toDiscard : 0) },
  ];
  for (const line of table(columns, stands)) print(line);
  const movable = stands.filter(({ isOwn }) => !isOwn);
  print('');
  print(
    `return   ${counted(
      sum(movable, (row) => row.toReturn),
      'message',
    )} nobody else has, back to the legacy server`,
  );
  print(
    `send     ${counted(
      sum(stands, (row) => row.toSend),
      'message',
    )} of apps that the legacy server has not got yet, first`,
  );
  print(
    `discard  ${counted(
      sum(movable, (row) => row.toDiscard),
      'copy',
      'copies',
    )} that somebody else has, or the app`,
  );
  print('stays    what the legacy server refused, and what is for addresses without a legacy account');
  note(`\nNothing was changed. To do it:\n  ${commandLine('--yes')}`);
}

async function run(offline: Offline, stands: Stand[], options: OfflineOptions): Promise<void> {
  const { returnAll } = offline;
  const total = sum(stands, (row) => (row.isOwn ? 0 : row.toReturn));
  let isOver = false;
  const progress = showProgress(() => 'interrupted; nothing is lost: run the same command again to go on');
  try {
    progress.show('connecting to the legacy server …');
    await offline.connect(options.timeout * 1000);
    await returnAll.begin({ who: 'offline', reason: options.reason ?? 'ledger return --all --offline' });
    void offline.failed.then(() => (isOver = true));
    await returnAll.finish(
      options.timeout * 1000,
      ({ users, returned, sent }) =>
        progress.show(`${counted(users, 'user')} to go; handed back ${returned} of ${total}, sent ${sent} …`),
      () => isOver,
    );
  } finally {
    progress.end();
  }
  if (isOver) throw new CliFault(exitCodes.failed, (await offline.failed).message);
  const done = await returnAll.progress();
  const left = await returnAll.left();
  summary(done, left, options);
}

function summary(
  { users, returned, sent }: { users: number; returned: number; sent: number },
  left: Left[],
  options: OfflineOptions,
): void {
  const missing = left.filter(({ toReturn, toSend, why }) => toReturn + toSend > 0 || why !== undefined);
  if (options.json) printJson({ dryRun: false, returned, sent, unfinished: users, left });
  else {
    print(
      `${listed([`${counted(returned, 'message')} handed back to the legacy server`, `${sent} of apps sent`])}${users === 0 ? '; every user is in phase legacy' : ''}`,
    );
    if (left.length > 0) printLeft(left);
  }
  if (missing.length === 0) return;
  throw new CliFault(
    exitCodes.failed,
    `not everything could be brought back, see above; mend the cause and run the same command again`,
  );
}

function printLeft(left: Left[]): void {
  print('\nWhat is left:');
  const columns = [
    { title: 'user', cell: (row: Left) => row.user },
    { title: 'phase', cell: (row: Left) => row.phase },
    { title: 'not returned', cell: (row: Left) => row.toReturn },
    { title: 'not sent', cell: (row: Left) => row.toSend },
    { title: 'refused', cell: (row: Left) => row.dead },
    {
      title: 'why',
      cell: (row: Left) => row.why ?? (row.dead > 0 ? 'see `crossfade ledger list --state dead`' : undefined),
    },
  ];
  for (const line of table(columns, left)) print(line);
}
