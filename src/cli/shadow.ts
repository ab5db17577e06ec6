// `crossfade shadow report`: what would be lost if the users in shadow were moved now.

import type { Command } from 'commander';
import type { ShadowView } from '../shadow/report.ts';
import { asksGateway, clientOf, examples } from './options.ts';
import { note, print, printFields, printJson, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { type Column, printable, table } from './table.ts';

/** As the API gives it: times as texts. */
type Shown = Omit<ShadowView, 'since'> & { since: string };
type Loss = ShadowView['losses'][number];

interface Options extends GatewayOptions {
  user?: string;
  namespace?: string;
  reset?: boolean;
  json?: boolean;
}

export function addShadow(program: Command): void {
  const shadow = program
    .command('shadow')
    .summary('what a move would lose')
    .description('Tells what was found out about users in phase shadow.');
  asksGateway(shadow.command('report'))
    .summary('compare, and say what would be lost')
    .description(
      'Every message of users in phase shadow is translated to MQTT and back and compared: how many are equal, and what would be lost, with samples of structure. What people write is never shown.',
    )
    .option('--user <jid>', "only this user's row and samples")
    .option('--namespace <namespace>', 'only elements and losses of this namespace')
    .option('--reset', 'show it, then begin counting anew')
    .addHelpText(
      'after',
      examples([
        'crossfade shadow report',
        'crossfade shadow report --user bob@example.com',
        'crossfade shadow report --namespace urn:xmpp:receipts --json',
        'crossfade shadow report --reset',
      ]),
    )
    .action(report);
}

async function report(options: Options): Promise<void> {
  const { user, namespace, reset, json } = options;
  const client = clientOf(options);
  const query = new URLSearchParams({ ...(user && { user }), ...(namespace && { namespace }) });
  const shown = await client.get<Shown>(`/api/v1/shadow?${query}`);
  if (json) printJson(shown);
  else printReport(shown);
  if (!reset) return;
  await client.delete('/api/v1/shadow');
  note('counting begins anew');
}

function printReport(shown: Shown): void {
  const { stanzas, equal, different, failed, copies, losses, beyond } = shown;
  printFields([
    ['since', shortTime(shown.since)],
    ['compared', `${stanzas.in + stanzas.out} (${stanzas.in} received, ${stanzas.out} sent)`],
    ['equal', shareOf(equal, stanzas.in + stanzas.out)],
    ['different', different],
    ...(failed > 0 ? [['failed', `${failed} (the log has shadow.failed)`] as const] : []),
    ['copies', `${copies.published} published, ${copies.dropped} dropped`],
    ...(beyond > 0 ? [['not listed', `${beyond} names found no room`] as const] : []),
  ]);
  if (stanzas.in + stanzas.out + failed === 0) return note('nothing was compared; is a user in phase shadow?');
  section('By mapping', mappingColumns, shown.mappings);
  section('By element', elementColumns, shown.elements);
  section('By user', userColumns, shown.users);
  section('Ignored by rule', ruleColumns, shown.rules);
  print('');
  if (losses.length === 0) return print('Nothing would be lost.');
  section('What would be lost', lossColumns, losses, '');
  for (const { path, samples } of losses) {
    if (samples.length > 0) print(`\n${printable(path)}`);
    for (const { at, user, outline } of samples) {
      print(`  ${shortTime(String(at))}  ${printable(user)}`);
      print(`  ${printable(outline)}`);
    }
  }
}

function section<Row>(title: string, columns: readonly Column<Row>[], rows: readonly Row[], before = '\n'): void {
  if (rows.length === 0) return;
  print(`${before}${title}`);
  for (const line of table(columns, rows)) print(`  ${line}`);
}

function shareOf(part: number, whole: number): string {
  return whole === 0 ? String(part) : `${part} (${Math.floor((part * 1000) / whole) / 10} %)`;
}

const mappingColumns: Column<ShadowView['mappings'][number]>[] = [
  { title: 'mapping', cell: ({ mapping }) => mapping },
  { title: 'channel', cell: ({ channel }) => channel },
  { title: 'stanzas', cell: ({ stanzas }) => stanzas },
  { title: 'equal', cell: ({ equal }) => equal },
];
const elementColumns: Column<ShadowView['elements'][number]>[] = [
  { title: 'namespace', cell: ({ namespace }) => namespace },
  { title: 'element', cell: ({ name }) => name },
  { title: 'stanzas', cell: ({ stanzas }) => stanzas },
  { title: 'kept', cell: ({ kept }) => kept },
];
const userColumns: Column<ShadowView['users'][number]>[] = [
  { title: 'user', cell: ({ user }) => user },
  { title: 'stanzas', cell: ({ stanzas }) => stanzas },
  { title: 'different', cell: ({ different }) => different },
  { title: 'last', cell: ({ lastAt }) => shortTime(String(lastAt)) },
];
const ruleColumns: Column<ShadowView['rules'][number]>[] = [
  { title: 'rule', cell: ({ rule }) => rule },
  { title: 'stanzas', cell: ({ stanzas }) => stanzas },
  { title: 'why', cell: ({ about }) => about },
];
const lossColumns: Column<Loss>[] = [
  { title: 'path', cell: ({ path }) => path },
  { title: 'what', cell: ({ kind }) => kind },
  { title: 'direction', cell: ({ dir }) => (dir === 'in' ? 'received' : 'sent') },
  { title: 'stanzas', cell: ({ stanzas }) => stanzas },
];
