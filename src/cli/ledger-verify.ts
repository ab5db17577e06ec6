// `crossfade ledger verify`: does the account of the ledger add up, and if not, what is wrong and what to do.

import { type Command, InvalidArgumentError } from 'commander';
import { loadSections } from '../config.ts';
import { type Account, explainFault, type Fault } from '../ledger/account.ts';
import type { Lane } from '../ledger/ledger.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples, timeOf } from './options.ts';
import { print, printBeside, printJson, shortTime } from './output.ts';
import { configFile, type GatewayOptions } from './settings.ts';
import { table } from './table.ts';
import { counted } from './words.ts';

type Checked = Omit<Account, 'faults'> & {
  ok: boolean;
  at: string;
  tookMs: number;
  faults: (Fault & { text: string })[];
};

const about =
  'Counts the entries that are really in the ledger, and compares: in each lane accepted = settled + waiting + parked + dead + returned + discarded. Looks at every entry in small pieces, so messages go on meanwhile. Ends with 1 if anything is wrong.';

export function addLedgerVerify(ledger: Command): void {
  asksGateway(ledger.command('verify'))
    .summary('check that the account adds up')
    .description(about)
    .option('--user <jid>', 'only the entries of this user')
    .option('--since <time>', 'only what was accepted from then on: 2h (ago), 7d, 2026-03-01T09:30:00Z', sinceTime)
    .option('--offline', 'without a gateway: opens the file itself, and changes nothing in it')
    .addHelpText(
      'after',
      examples([
        'crossfade ledger verify',
        'crossfade ledger verify --user bob@example.com --since 2d',
        'crossfade ledger verify --json || alert "the ledger does not add up"',
      ]),
    )
    .action(verify);
}

interface Options extends GatewayOptions {
  user?: string;
  since?: string;
  offline?: boolean;
  json?: boolean;
}

async function verify(options: Options): Promise<void> {
  const checked = options.offline ? await offline(options) : await ask(options);
  if (options.json) printJson(checked);
  else show(checked, options);
  if (checked.ok) return;
  const kinds = checked.more ? 'more than 100 faults' : counted(checked.faults.length, 'fault');
  throw new CliFault(exitCodes.failed, `the account of the ledger does not add up: ${kinds}`);
}

async function ask({ user, since, ...options }: Options): Promise<Checked> {
  const query = new URLSearchParams({ ...(user && { user }), ...(since && { since }) });
  return await clientOf(options).getLong<Checked>(`/api/v1/ledger/verify?${query}`);
}

async function offline({ config, user, since }: Options): Promise<Checked> {
  const { ledger } = loadSections({ file: configFile(config), env: process.env }, ['ledger']);
  const { verifyOffline } = await import('../gateway-offline.ts');
  const at = Date.now();
  const account = verifyOffline(ledger.path, { user, since: since === undefined ? undefined : Date.parse(since) });
  const faults = account.faults.map((fault) => ({ ...fault, text: explainFault(fault) }));
  const times = { at: new Date(at).toISOString(), tookMs: Date.now() - at };
  return { ok: faults.length === 0, ...times, ...account, faults };
}

function show({ lanes, checked, tookMs, faults, more, at }: Checked, { user, since }: Options): void {
  const isPart = user !== undefined || since !== undefined;
  const columns = [
    { title: 'lane', cell: (lane: Lane) => lane },
    { title: 'accepted', cell: (lane: Lane) => lanes[lane].accepted },
    { title: 'settled', cell: (lane: Lane) => lanes[lane].states.settled },
    { title: 'waiting', cell: (lane: Lane) => waiting(lanes[lane].states) },
    ...(['parked', 'dead', 'returned', 'discarded'] as const).map((state) => ({
      title: state,
      cell: (lane: Lane) => lanes[lane].states[state],
    })),
    ...(isPart ? [] : [{ title: 'of these forgotten', cell: (lane: Lane) => lanes[lane].forgotten }]),
  ];
  for (const line of table(columns, ['toMqtt', 'toXmpp'] as const)) print(line);
  print('');
  const part = [user && `of ${user}`, since && `accepted since ${shortTime(since)}`].filter(Boolean).join(' ');
  const looked = `${counted(checked, 'entry', 'entries')}${part && ` ${part}`} looked at in ${(tookMs / 1000).toFixed(1)} s, ${shortTime(at)}`;
  print(
    `${looked}: ${faults.length === 0 ? (isPart ? 'nothing is wrong' : 'the account adds up') : 'something is wrong'}`,
  );
  for (const fault of faults) {
    print('');
    printBeside(`${fault.kind}  `, [placeOf(fault), fault.text].filter(Boolean).join(' '));
    if (fault.keys) print(`  ${fault.keys.join(' ')}${fault.count > fault.keys.length ? ' …' : ''}`);
  }
  if (more) print('\n… and more');
}

/** Which lane, state and user, and how many of them. */
function placeOf({ kind, lane, state, user, count }: Fault): string {
  const where = [lane, state, user && `of ${user}`].filter(Boolean).join(' ');
  if (kind === 'sum' || kind === 'count') return `${where}:`;
  return `${counted(count, 'entry', 'entries')}${where && ` (${where})`}`;
}

function waiting({ accepted, sent, acked }: Account['lanes'][Lane]['states']): number {
  return accepted + sent + acked;
}

/** A span counts back from now. */
function sinceTime(text: string): string {
  const time = timeOf(text);
  if (time === undefined)
    throw new InvalidArgumentError('It must be a time such as 2026-03-01T09:30:00Z, or a span such as 2h.');
  return time;
}
