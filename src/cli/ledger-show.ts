// `crossfade ledger show`: the whole life of one message, as a story with times.

import type { Command } from 'commander';
import { type Client, NotFound } from './client.ts';
import { type ActItem, type EntryItem, entryPath } from './entry-item.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples } from './options.ts';
import { note, print, printBeside, printFields, printJson, printText } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { counted } from './words.ts';

type Shown = EntryItem & { acts: ActItem[] };

const about =
  "Tells the whole life of a message, by its key or by its sender's id; of several with the same id, each. Searching by id reads the whole ledger. Bodies are never shown.";
/** Of several with the same id. */
const atMost = 20;

export function addLedgerShow(ledger: Command): void {
  asksGateway(ledger.command('show <key-or-id>'))
    .summary("tell one message's whole life")
    .description(about)
    .addHelpText(
      'after',
      examples(['crossfade ledger show 5f0c1d2e3a4b5c6d-1k', 'crossfade ledger show 8f7e-the-senders-id --json']),
    )
    .action(show);
}

async function show(name: string, options: GatewayOptions & { json?: boolean }): Promise<void> {
  const client = clientOf(options);
  const entries = await find(client, name);
  if (options.json) return printJson(entries.length === 1 ? entries[0] : entries);
  for (const [index, entry] of entries.entries()) {
    if (index > 0) print('');
    printEntry(entry);
  }
  if (entries.length > 1) note(`\n${entries.length} entries have this id`);
}

/** By key; else all with this sender's id. */
async function find(client: Client, name: string): Promise<Shown[]> {
  const get = (key: string) => client.get<Shown>(entryPath(key));
  try {
    return [await get(name)];
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
  const query = new URLSearchParams({ id: name, limit: String(atMost) });
  const { items, next } = await client.get<{ items: EntryItem[]; next: string | null }>(`/api/v1/ledger?${query}`);
  if (items.length === 0)
    throw new CliFault(exitCodes.failed, `the ledger has no entry ${name}, neither as a key nor as a sender's id`);
  if (next !== null) note(`only the first ${atMost} with this id`);
  return Promise.all(items.map(({ key }) => get(key)));
}

function printEntry(entry: Shown): void {
  const { key, lane, channel, state, user, peer } = entry;
  print(
    lane === 'toMqtt'
      ? `A ${channel} from ${peer} to the apps of ${user}`
      : `A ${channel} from an app of ${user} to ${peer}`,
  );
  print('');
  printFields([
    ['key', key],
    ['state', state],
    ['id', entry.id],
    ['custody', custodyOf(entry)],
    ...(entry.topic === undefined ? [] : [['topic', entry.topic] as const]),
    ...(entry.mapping === undefined ? [] : [['mapping', entry.mapping] as const]),
    ...(entry.position ? [['position', positionOf(entry.position)] as const] : []),
    ...(entry.expiresAt === undefined ? [] : [['expires', entry.expiresAt.replace('T', ' ')] as const]),
    ...(entry.archived ? [['archive', 'its repeats are told by the id the archive gave it'] as const] : []),
  ]);
  print('');
  for (const { at, what } of momentsOf(entry)) printBeside(`${at.replace('T', ' ')}  `, what);
  const rest = nextFor(entry);
  if (!rest) return;
  print('');
  printText(rest);
}

function custodyOf({ lane, custody }: EntryItem): string | null {
  if (lane === 'toXmpp') return null;
  return custody === 'sole' ? 'sole: nobody else has it' : 'copy: somebody else has it, too';
}

function positionOf({ n, link, epoch }: NonNullable<EntryItem['position']>): string {
  return link === undefined ? `${n}, in an epoch that is over` : `${n} on ${link}, epoch ${epoch}`;
}

interface Moment {
  at: string;
  what: string;
}

/** In the order of their times. */
function momentsOf(entry: Shown): Moment[] {
  const { lane, at, acceptedAt, sentAt, ackedAt, appAckedAt, acts } = entry;
  const receiver = lane === 'toMqtt' ? 'the broker' : 'the legacy server';
  const came = entry.late ? 'written, by a way that may bring second copies' : 'written by its sender';
  const moments: (Moment | undefined)[] = [
    at < acceptedAt ? { at, what: `${came}, by its own time stamp` } : undefined,
    isRefused(entry) ? undefined : { at: acceptedAt, what: 'accepted: on disk, then acknowledged' },
    sentAt === undefined
      ? undefined
      : {
          at: sentAt,
          what:
            entry.state === 'parked' ? 'parked: nobody subscribed' : `sent to ${receiver}, and unanswered for a second`,
        },
    ackedAt === undefined || (lane === 'toXmpp' && entry.state === 'settled')
      ? undefined
      : { at: ackedAt, what: `${receiver} took it (attempt ${entry.attempts})` },
    appAckedAt === undefined ? undefined : { at: appAckedAt, what: 'an app acknowledged it' },
    ...acts.map(({ at, who, what, reason }) => ({
      at,
      what: `${who}: ${what.replace('entry.', '')}${reason === undefined ? '' : ` (${reason})`}`,
    })),
    endOf(entry),
  ];
  return moments
    .filter((moment) => moment !== undefined)
    .sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
}

/** It never was to be sent, and its body was not kept. */
function isRefused({ state, acceptedAt, endedAt }: EntryItem): boolean {
  return state === 'dead' && acceptedAt === endedAt;
}

function endOf(entry: EntryItem): Moment | undefined {
  const { state, endedAt, condition, text, lane } = entry;
  if (endedAt === undefined) return undefined;
  const why = [condition, text].filter(Boolean).join(': ');
  const settled = lane === 'toMqtt' ? 'settled: broker and app have it' : 'settled: the legacy server processed it';
  const words: Partial<Record<EntryItem['state'], string>> = {
    settled,
    dead: `${isRefused(entry) ? 'refused as it came' : 'dead'}${why && `: ${why}`}`,
    returned: 'returned: handed back to the legacy server',
    discarded: `discarded${why && `: ${why}`}`,
  };
  return { at: endedAt, what: words[state] ?? state };
}

/** What is to come, or what can be done. */
function nextFor(entry: EntryItem): string | null {
  const { key, state, lane, attempts, condition } = entry;
  if (isRefused(entry)) return 'Its sender was told, and its body was not kept: it goes with the history.';
  if (state === 'parked')
    return `It is tried again by itself, at the latest 10 minutes after it was parked; at once: crossfade ledger retry ${key}`;
  if (state === 'dead' && condition === 'returning')
    return `It is set aside to be handed back: crossfade ledger return ${key}`;
  if (state === 'dead') return `It stays until an operator decides: crossfade ledger retry|return|discard ${key}`;
  if (state === 'sent') return `It was sent ${counted(attempts, 'time')} and waits for the answer.`;
  if (state === 'accepted') return 'It waits for its turn; `crossfade user show` tells what holds it up.';
  if (state === 'acked' && lane === 'toMqtt') return 'It is settled when the broker has it safely and an app has it.';
  return null;
}
