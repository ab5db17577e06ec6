// `crossfade user show`: where one user stands, what is under way, what waits and why.

import type { Command } from 'commander';
import { asksGateway, clientOf, examples } from './options.ts';
import { print, printFields, printJson, printText, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { table } from './table.ts';
import { explainConversation, explainUser } from './user-explain.ts';
import { type UserView, userPath } from './user-view.ts';

/** Of the conversations in which something waits. */
const shownConversations = 20;

export function addUserShow(user: Command): void {
  asksGateway(user.command('show <jid>'))
    .summary('show one user')
    .description(
      'Explains where a user stands: phase, move, session on the legacy server, devices, what waits in each conversation and why. The 1000 oldest open entries are counted.',
    )
    .addHelpText(
      'after',
      examples(['crossfade user show bob@example.com', 'crossfade user show bob@example.com --json']),
    )
    .action(show);
}

async function show(jid: string, options: GatewayOptions & { json?: boolean }): Promise<void> {
  const user = await clientOf(options).get<UserView>(userPath(jid));
  if (options.json) printJson(user);
  else printUser(user);
}

function printUser(user: UserView): void {
  const [first = '', ...sentences] = explainUser(user);
  printText(first);
  print('');
  for (const sentence of sentences) printText(sentence, '  ');
  print('');
  printFacts(user);
  printDevices(user);
  printConversations(user);
}

function printFacts({ phase, moving, attached, app, acks, waiting, changedAt, version, own }: UserView): void {
  printFields([
    ['phase', phase],
    ['moving', moving && `from ${moving.from}, step ${moving.step}`],
    ['session', attached && `${attached.jid} (${attached.shown ? `shown as ${attached.shown}` : 'presence changing'})`],
    ['app', app],
    ['acknowledges', acks],
    ['waiting', `${waiting.toMqtt} to MQTT, ${waiting.toXmpp} to XMPP`],
    ['changed', shortTime(changedAt)],
    ['version', version],
    ...(own ? ([['account', `${own.mqttUsername} at the broker`]] as const) : []),
  ]);
}

function printDevices({ devices }: UserView): void {
  if (devices.length === 0) return;
  print('');
  const columns = [
    { title: 'device', cell: (device: UserView['devices'][number]) => device.client },
    { title: 'online', cell: (device: UserView['devices'][number]) => device.online },
    { title: 'seen', cell: (device: UserView['devices'][number]) => shortTime(device.seenAt) },
  ];
  for (const line of table(columns, devices)) print(line);
}

function printConversations({ conversations, jid }: UserView): void {
  if (conversations.length === 0) return;
  print('\nOPEN');
  for (const one of conversations.slice(0, shownConversations)) {
    const { head, why } = explainConversation(one);
    printText(head);
    if (why) printText(why, '    ');
  }
  const rest = conversations.length - shownConversations;
  if (rest > 0) print(`… and ${rest} more conversations: crossfade ledger list --user ${jid}`);
}
