// Options that several commands share.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { phases } from '../migration/phase.ts';
import { Client } from './client.ts';
import { findGateway, type GatewayOptions } from './settings.ts';

export const configOption = () =>
  new Option(
    '-c, --config <file>',
    'configuration (default: CROSSFADE_CONFIG, else crossfade.yaml in this folder, if there is one)',
  );

/** For a command that asks the running gateway. */
export function asksGateway(command: Command): Command {
  return command
    .addOption(configOption())
    .option('--url <url>', 'the gateway (default: CROSSFADE_ADMIN_URL, else admin.listen)')
    .option(
      '--token <token>',
      'admin token (default: CROSSFADE_ADMIN_TOKEN, else admin.token, else the file beside the ledger)',
    )
    .option('--json', 'print JSON');
}

export function clientOf(options: GatewayOptions): Client {
  return new Client(findGateway(options));
}

export const phaseOption = () => new Option('--phase <phase>', 'only users in this phase').choices(phases);

export const laneOption = () => new Option('--lane <lane>', 'only this direction').choices(['toMqtt', 'toXmpp']);

export const stateOption = (choices: readonly string[]) =>
  new Option(
    '--state <state>',
    `only in this state${choices.includes('waiting') ? '; waiting = accepted, sent, acked' : ''}`,
  ).choices(choices);

/** Its value is the time before which an entry must have been accepted. */
export const olderOption = () =>
  new Option('--older <span>', 'only accepted longer ago than this: 90s, 10m, 2h, 7d').argParser(longAgo);

/** A span, counted back from now, or a time, as RFC 3339; undefined for what is neither. */
export function timeOf(text: string): string | undefined {
  if (/^\d{1,6}[smhd]$/.test(text)) return longAgo(text);
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  return isTime && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : undefined;
}

function longAgo(text: string): string {
  const [, number, unit] = /^(\d{1,6})(s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined)
    throw new InvalidArgumentError('It must be a number with a unit: 90s, 10m, 2h or 7d.');
  const seconds = { s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1;
  return new Date(Date.now() - Number(number) * seconds * 1000).toISOString();
}

/** A whole number of at least 1. */
export function positive(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < 1 || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}

export function examples(lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}
