// `crossfade user`: lists users here; showing and moving them have files of their own.

import type { Command } from 'commander';
import { asksGateway, clientOf, examples, phaseOption, positive } from './options.ts';
import { note, printList, shortTime } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { addUserOwn } from './user-own.ts';
import { addUserSet } from './user-set.ts';
import { addUserShow } from './user-show.ts';
import type { UserSummary } from './user-view.ts';

export function addUser(program: Command): void {
  const user = program
    .command('user')
    .summary('list, show, move and add users')
    .description("Lists, shows and moves users, and adds addresses on the component's own domain.");
  asksGateway(user.command('list'))
    .summary('list the known users')
    .description(
      'Lists the known users, ordered by JID: everybody who was moved once, and the addresses on the component’s own domain.',
    )
    .addOption(phaseOption())
    .option('--match <pattern>', 'only JIDs that fit: * stands for any text, ? for one character')
    .option('--limit <n>', 'at most so many (default: all)', positive)
    .addHelpText(
      'after',
      examples(['crossfade user list', "crossfade user list --phase mqtt --match 'a*@example.com' --json"]),
    )
    .action(list);
  addUserShow(user);
  addUserSet(user);
  addUserOwn(user);
}

async function list(
  options: GatewayOptions & { phase?: string; match?: string; limit?: number; json?: boolean },
): Promise<void> {
  const { phase, match, limit = Number.MAX_SAFE_INTEGER, json } = options;
  const onMore = () => note(`only the first ${limit}; there are more`);
  const pages = clientOf(options).pages<UserSummary>('/api/v1/users', { phase, match }, limit, onMore);
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
