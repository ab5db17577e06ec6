// `crossfade map`: a dry run of the mappings, in either direction. Asks no gateway and sends nothing.

import type { Command } from 'commander';
import { compile, type Mappings } from '../mapping/compile.ts';
import { load } from '../mapping/load.ts';
import { parseXml, writeXml } from '../mapping/xml.ts';
import { isRefusal } from '../refusal.ts';
import { CliFault, exitCodes } from './exit.ts';
import { readInput } from './input.ts';
import { configOption, examples } from './options.ts';
import { print, printJson } from './output.ts';
import { readConfig } from './settings.ts';

interface Options {
  config?: string;
  mappings?: string[];
}

const gather = (folder: string, before: string[] = []) => [...before, folder];
const mappingsHelp = 'folder with mapping files, repeatable; the configuration is not read then';

export function addMap(program: Command): void {
  const map = program
    .command('map')
    .summary('try the mappings (dry run)')
    .description('Shows what the mappings make of a message. Sends nothing.');
  map
    .command('stanza [file]')
    .summary('what a stanza becomes on MQTT')
    .description(
      'Reads one <message/> from a file or standard input (-) and prints channel, QoS and payload as JSON. The gateway adds at, key, direction and copy, and publishes below {root}/{user}/in/.',
    )
    .addOption(configOption())
    .option('-m, --mappings <folder>', mappingsHelp, gather)
    .addHelpText(
      'after',
      examples([
        'crossfade map stanza message.xml',
        `echo "<message id='1'><body>Hi</body></message>" | crossfade map stanza`,
      ]),
    )
    .action(mapStanza);
  map
    .command('publish <channel> [file]')
    .summary('what a publish becomes on XMPP')
    .description(
      'Reads the JSON payload of a publish to {root}/{user}/out/<channel> from a file or standard input (-) and prints the stanza. The gateway adds the sender.',
    )
    .addOption(configOption())
    .option('-m, --mappings <folder>', mappingsHelp, gather)
    .addHelpText(
      'after',
      examples([
        'crossfade map publish message payload.json',
        `echo '{"id":"1","to":"bob@example.com","body":"Hi"}' | crossfade map publish message`,
      ]),
    )
    .action(mapPublish);
}

async function mapStanza(file: string | undefined, options: Options): Promise<void> {
  const mappings = await mappingsOf(options);
  const elements = parseXml(readInput(file ?? '-')) ?? [];
  const [stanza] = elements;
  if (!stanza || elements.length > 1 || (stanza.name !== 'message' && stanza.name !== 'presence')) {
    throw new CliFault(exitCodes.failed, 'this is not one well-formed <message/> or <presence/>');
  }
  const { channel, qos, fields, mapping } = (stanza.name === 'presence' ? mappings.presence : mappings).toPayload(
    stanza,
  );
  printJson({ channel, qos, mapping, payload: fields });
}

async function mapPublish(channel: string, file: string | undefined, options: Options): Promise<void> {
  const mappings = await mappingsOf(options);
  const payload = readObject(readInput(file ?? '-'));
  const stanza = channel === 'presence' ? mappings.presence.toStanza(payload) : mappings.toStanza(channel, payload);
  if (isRefusal(stanza)) throw new CliFault(exitCodes.failed, `refused (${stanza.name}): ${stanza.text}`);
  print(writeXml(stanza));
}

async function mappingsOf({ config, mappings }: Options): Promise<Mappings> {
  return compile(load(mappings ?? (await readConfig(config)).config.mappings));
}

function readObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliFault(exitCodes.failed, `this is not JSON: ${(error as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CliFault(exitCodes.failed, 'the payload must be one JSON object');
}
