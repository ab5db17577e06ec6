// `crossfade user add`, `remove` and `contacts`: addresses on the component's own domain, for services, back ends and users without a legacy account.

import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { imageType, maxAvatarBytes } from '../migration/profile.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples, positive } from './options.ts';
import { note, print, printJson, printList } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { type OwnView, userPath } from './user-view.ts';

interface AddOptions extends GatewayOptions {
  reason: string;
  subscriptions?: string;
  listed?: boolean;
  json?: boolean;
  name?: string;
  about?: string;
  link?: string;
  email?: string;
  organization?: string;
  avatar?: string;
}

interface ContactItem {
  contact: string;
  subscription: string;
  asks: boolean;
  approved: boolean;
  asked: boolean;
}

export function addUserOwn(user: Command): void {
  asksGateway(user.command('add <jid>'))
    .summary("add an address on the component's own domain")
    .description(
      "Adds an address on the component's own domain, such as bot@gw.example.com, or changes what is set for it. It counts at once and is kept in the ledger. Special characters are written as XEP-0106 has them: a\\2fb@gw.example.com is the name a/b. An empty text takes a field of the profile away.",
    )
    .requiredOption('--reason <text>', 'why; kept in the audit (required)')
    .addOption(
      new Option(
        '--subscriptions <policy>',
        'requests to see it: ask the app, accept them at once, or as configured',
      ).choices(['ask', 'accept', 'default']),
    )
    .option('--listed', "name it in the domain's disco#items")
    .option('--no-listed', 'do not name it there')
    .option('--name <text>', 'its name for contacts (default: what its address was made of)')
    .option('--about <text>', 'what it is')
    .option('--link <url>', 'its page')
    .option('--email <address>', 'its mail address')
    .option('--organization <text>', 'whose it is')
    .option('--avatar <file>', 'its picture: PNG, JPEG, GIF or WebP of at most 64 KiB')
    .addHelpText(
      'after',
      examples([
        'crossfade user add bot@gw.example.com --reason "weather service" --subscriptions accept',
        'crossfade user add bot@gw.example.com --reason "logo" --name Weather --avatar sun.png --listed',
      ]),
    )
    .action(add);
  asksGateway(user.command('remove <jid>'))
    .summary("remove an address on the component's own domain")
    .description(
      'Removes an address that was added with `crossfade user add`. Its contacts are told. Refused while messages wait for it, or from it.',
    )
    .requiredOption('--reason <text>', 'why; kept in the audit (required)')
    .addHelpText('after', examples(['crossfade user remove bot@gw.example.com --reason "service ended"']))
    .action(remove);
  asksGateway(user.command('contacts <jid>'))
    .summary("list the contacts of an address on the component's own domain")
    .description(
      "Lists who may see an address on the component's own domain, whom it may see, and who waits for an answer.",
    )
    .option('--limit <n>', 'at most so many (default: all)', positive)
    .addHelpText('after', examples(['crossfade user contacts bot@gw.example.com']))
    .action(contacts);
}

async function add(jid: string, options: AddOptions): Promise<void> {
  const { reason, subscriptions, listed, json } = options;
  const profile = profileOf(options);
  const body = {
    reason,
    ...(subscriptions !== undefined && { subscriptions: subscriptions === 'default' ? null : subscriptions }),
    ...(listed !== undefined && { listed }),
    ...(Object.keys(profile).length > 0 && { profile }),
  };
  const { status, body: user } = await clientOf(options).put<OwnView & { jid: string }>(userPath(jid), body);
  if (json) return printJson(user);
  print(`${user.jid} is ${status === 201 ? 'added' : 'changed'}`);
  if (status === 201) note(`Its apps need an account at the broker with the user name ${user.mqttUsername}`);
}

async function remove(jid: string, options: GatewayOptions & { reason: string; json?: boolean }): Promise<void> {
  const path = `${userPath(jid)}?${new URLSearchParams({ reason: options.reason })}`;
  const user = await clientOf(options).delete<OwnView & { jid: string }>(path);
  if (options.json) return printJson(user);
  print(`${user.jid} is removed`);
  note(`Its account at the broker, ${user.mqttUsername}, is left as it is`);
}

async function contacts(jid: string, options: GatewayOptions & { limit?: number; json?: boolean }): Promise<void> {
  const { limit = Number.MAX_SAFE_INTEGER, json } = options;
  const onMore = () => note(`only the first ${limit}; there are more`);
  const pages = clientOf(options).pages<ContactItem>(`${userPath(jid)}/contacts`, {}, limit, onMore);
  const waits = ({ asks, approved, asked }: ContactItem) =>
    [asks && 'asks', approved && 'approved before it asks', asked && 'is asked'].filter(Boolean).join(', ') ||
    undefined;
  const columns = [
    { title: 'contact', cell: (item: ContactItem) => item.contact },
    { title: 'subscription', cell: (item: ContactItem) => item.subscription },
    { title: 'waits', cell: waits },
  ];
  await printList(pages, columns, { json, empty: `${jid} has no contacts` });
}

/** The fields that are named; an empty one is taken away. */
function profileOf({ name, about, link: url, email, organization, avatar }: AddOptions): Record<string, unknown> {
  const given = Object.entries({ name, about, url, email, organization, avatar });
  const value = ([field, text]: [string, string | undefined]) =>
    text === '' ? null : field === 'avatar' ? picture(text ?? '') : text;
  return Object.fromEntries(given.flatMap((one) => (one[1] === undefined ? [] : [[one[0], value(one)]])));
}

function picture(file: string): { type: string; data: string } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new CliFault(exitCodes.usage, `--avatar: ${(error as Error).message}`);
  }
  const type = imageType(bytes);
  if (!type) throw new CliFault(exitCodes.usage, `--avatar: ${file} is no PNG, JPEG, GIF or WebP`);
  if (bytes.length > maxAvatarBytes)
    throw new CliFault(exitCodes.failed, `--avatar: ${file} has ${bytes.length} bytes; ${maxAvatarBytes} are allowed`);
  return { type, data: bytes.toString('base64') };
}
