// `crossfade user list` and `crossfade user show`: where users stand.

import type { Command } from 'commander';
import { asksGateway, clientOf, examples, phaseOption, positive } from './options.ts';
import { note, print, printFields, printJson, printList, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { table } from './table.ts';
import { addUserSet } from './user-set.ts';
import { type UserSummary, type UserView, userPath } from './user-view.ts';

export function addUser(program: Command): void {
  const user = program
    .command('user')
    .summary('list, show and move users')
    .description('Lists, shows and moves users.');
  asksGateway(user.command('list'))
    .summary('list the known users')
    .description('Lists the known users: everybody who was moved once, ordered by JID.')
    .addOption(phaseOption())
    .option('--limit <n>', 'at most so many (default: all)', positive)
    .addHelpText('after', examples(['crossfade user list', 'crossfade user list --phase mqtt --json']))
    .action(list);
  asksGateway(user.command('show <jid>'))
    .summary('show one user')
    .description('Shows one user: phase, move, session, devices, and how many entries wait (counted up to 1000).')
    .addHelpText('after', examples(['crossfade user show bob@example.com']))
    .action(show);
  addUserSet(user);
}

async function list(options: GatewayOptions & { phase?: string; limit?: number; json?: boolean }): Promise<void> {
  const { phase, limit = Number.MAX_SAFE_INTEGER, json } = options;
  const onMore = () => note(`only the first ${limit}; there are more`);
  const pages = clientOf(options).pages<UserSummary>('/api/v1/users', { phase }, limit, onMore);
  const columns = [
    { title: 'user', cell: (user: UserSummary) => user.jid },
    { title: 'phase', cell: (user: UserSummary) => user.phase },
    { title: 'moving', cell: ({ moving }: UserSummary) => moving && `from ${moving.from}, ${moving.step}` },
    { title: 'app', cell: (user: UserSummary) => user.app },
    { title: 'session', cell: (user: UserSummary) => user.attached?.jid },
    { title: 'changed', cell: (user: UserSummary) => shortTime(user.changedAt) },
  ];
  await printList(pages, columns, {
    json,
    empty: 'no user is known yet; `crossfade user set JID mqtt --reason …` makes one known',
  });
}

async function show(jid: string, options: GatewayOptions & { json?: boolean }): Promise<void> {
  const user = await clientOf(options).get<UserView>(userPath(jid));
  if (options.json) printJson(user);
  else printUser(user);
}

function printUser(user: UserView): void {
  const { moving, attached, waiting } = user;
  printFields([
    ['user', user.jid],
    ['phase', user.phase],
    ['moving', moving && `from ${moving.from}, step ${moving.step}`],
    ['session', attached && `${attached.jid} (${attached.shown ? `shown as ${attached.shown}` : 'presence changing'})`],
    ['app', user.app],
    ['acknowledges', user.acks ? 'yes' : 'no'],
    ['waiting', `${waiting.toMqtt} to MQTT, ${waiting.toXmpp} to XMPP`],
    ['changed', shortTime(user.changedAt)],
    ['version', user.version],
  ]);
  if (user.devices.length === 0) return;
  print('');
  const columns = [
    { title: 'device', cell: (device: UserView['devices'][number]) => device.client },
    { title: 'online', cell: (device: UserView['devices'][number]) => device.online },
    { title: 'seen', cell: (device: UserView['devices'][number]) => shortTime(device.seenAt) },
  ];
  for (const line of table(columns, user.devices)) print(line);
}
