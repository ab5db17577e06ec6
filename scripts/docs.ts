// Writes docs/mappings.md, docs/asyncapi.yaml and docs/configuration.md from the mapping files and the configuration's schema.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { leaves, variableOf } from '../src/config/keys.ts';
import type { Schema } from '../src/config/node.ts';
import { schema } from '../src/config/schema.ts';
import { asyncapi } from '../src/mapping/asyncapi.ts';
import { compile } from '../src/mapping/compile.ts';
import type { MappingFile, Path } from '../src/mapping/language.ts';
import { load } from '../src/mapping/load.ts';

const root = join(import.meta.dirname, '..');
const generated = '<!-- Made by scripts/docs.ts; change that, the mapping files or the schema, not this. -->';

const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
const table = (head: string[], rows: string[][]) =>
  [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');

const language = `# Mappings

A mapping says, for one XEP or part of an RFC, which JSON field stands for which place in a stanza. One declaration serves both
directions. To support another XEP, put one file into a folder listed under \`mappings\` in crossfade.yaml; whatever no mapping
knows travels as it is, in the field \`xml\`.

\`\`\`yaml
xep: "0184"                              # or rfc: "6121"
version: "1.4.0"                         # optional: the version that was followed
title: Message Delivery Receipts
namespaces: { r: "urn:xmpp:receipts" }   # prefixes for the paths of this file
channels:
  receipt: { when: "r:received@id", qos: 1, after: message }
fields:
  receipt:      { path: "r:received@id", about: The id of the message that has arrived. }
  wantsReceipt: { path: "r:request", as: flag }
examples:
  - stanza: <message …/>
    publish: { topic: chat/bob/in/receipt, qos: 1, payload: { … } }
\`\`\`

## Paths
A path leads from the stanza down: \`prefix:name/prefix:name@attribute\`. Without an attribute it ends in the element's text. A name
without prefix is in jabber:client. \`@xml:lang\` alone is an attribute of the stanza. \`c:{active,paused}\`, only at the end, is one of
several elements.

## Fields
\`as\` says how the place becomes JSON:

${table(
  ['as', 'in JSON', 'in the stanza'],
  [
    ['text (default)', 'string', 'the text or attribute, unchanged'],
    ['flag', '`true` (`false` is as good as leaving it out)', 'the element is there'],
    ['integer', 'number', 'a whole number'],
    ['time', 'string', 'a time by XEP-0082 (RFC 3339), unchanged'],
    ['name', 'string', 'which of the elements in `{…}` is there'],
    ['list', 'list of strings', 'the element is there several times; it carries this one field only'],
    ['xml', 'string', 'the whole element'],
  ],
)}

\`only: in\` is for what only a server may state: apps get it and cannot send it. It holds for all fields of an element, or none.
\`about\` goes into the documentation. \`drop: ["m:archived"]\` lists elements that servers add and that say nothing to an app.

Field names are unique over all files. An element (a child of the stanza) has **one owner**: two files that claim the same one
refuse to start. Names the gateway writes itself (id, key, from, to, type, at, direction, copy, xml) cannot be used.

## Channels
A stanza is on the channel of the first rule whose \`when\` (a path, or a list of paths of which one is enough) is there. \`after\`
(a channel or a list) gives the order; what it leaves free is by file name. When none holds, the channel is \`stanza\` with QoS 1.
A channel may have rules in several files if they agree on the QoS. An app must publish on the channel the finished stanza
belongs on, or it is refused: otherwise a message could travel as a chat state, which nobody keeps.

## Presence
\`stanza: presence\` makes a file one for \`<presence/>\` instead of messages. Its fields have names and owners of their own beside those of
messages, and it has no \`channels\`: presence is always on the channel \`presence\`, with QoS 1 where it concerns a subscription.

## What does not fit
- An element no mapping claims goes to \`xml\`, with its namespaces; back from \`xml\` it is parsed, checked and written anew.
- Of an element that stands several times (but as: list) one is taken: the first, or rather the first in the stanza's language.
  The others go to \`xml\`. An app may put an element with an owner into \`xml\` only as a further language: with an \`xml:lang\` of
  its own, next to the field.
- An element that holds more than its fields say, or something that is not of their kind, gives the fields that fit, and also stands in \`xml\`
  as a whole. This is outside the mapped language: it cannot be sent back as it is.
- From apps \`xml\` must not contain what only a server may say (stanza-id, delay, carbons, archive
  results, stream management, binding, registration), nor anything else in jabber:client.

## Examples
Every example is tried in both directions, at each start and in the tests. The topic's last level is the channel. The gateway
adds key, at and direction. An example whose topic has \`out\` has no sender.

A faulty file stops the start, with all faults as \`file:line: reason\`.
`;

function showPath(path: Path): string {
  const steps = path.steps.map(({ names }) => (names.length > 1 ? `{${names.join(', ')}}` : (names[0] ?? '')));
  const namespaces = [...new Set(path.steps.map(({ namespace }) => namespace))].filter((ns) => ns !== 'jabber:client');
  return `\`${steps.join('/')}${path.attribute === undefined ? '' : `@${path.attribute}`}\`${namespaces.map((ns) => ` in ${ns}`)}`;
}

function mappingSection(file: MappingFile): string {
  const fields = file.fields.map((field) => [
    `\`${field.name}\``,
    field.as,
    showPath(field.path),
    field.onlyIn ? 'to the app' : 'both',
    field.about,
  ]);
  const example = file.examples[0];
  return [
    `### ${file.source}: ${file.title}${file.version === undefined ? '' : ` (version ${file.version})`}`,
    ...file.channels.map(
      ({ channel, qos, when }) =>
        `Channel \`${channel}\`, QoS ${qos}, when ${when.map((path) => showPath(path)).join(' or ')} is there.\n`,
    ),
    table(['field', 'as', 'place', 'direction', 'meaning'], fields),
    ...file.drop.map(({ path }) => `\nDropped: ${showPath(path)}.`),
    ...(example
      ? [
          `\n\`\`\`\n${example.stanza.trim()}\n${example.publish.topic}  QoS ${example.publish.qos}\n${JSON.stringify(example.publish.payload)}\n\`\`\``,
        ]
      : []),
  ].join('\n');
}

function mappingsPage(files: MappingFile[], order: string[]): string {
  const list = table(
    ['', 'title', 'version', 'file'],
    files.map((file) => [file.source, file.title, file.version ?? '', `mappings/${file.name}.yaml`]),
  );
  const sections = files.map(mappingSection).join('\n\n');
  return `${generated}\n${language}\n## What comes with Crossfade\nThe channels are tried in this order: ${order.join(', ')}.\n\n${list}\n\n${sections}\n`;
}

function keyCells(path: string[], node: Schema, required: boolean): string[] {
  const type =
    node.reads === 'duration'
      ? 'duration'
      : node.type === 'array'
        ? 'list'
        : node.reads === 'path'
          ? 'path'
          : node.type;
  const range = node.minimum === undefined ? '' : `, ${node.minimum} to ${node.maximum}`;
  const allowed = node.enum ? `, one of ${node.enum.join(', ')}` : '';
  const standard =
    node.default === undefined ? (required ? '**required**' : 'none') : `\`${JSON.stringify(node.default)}\``;
  return [
    `\`${path.join('.')}\``,
    `${type}${range}${allowed}`,
    standard,
    `\`${variableOf(path)}\``,
    node.description + (node.inFile ? ` Also as \`${path.at(-1)}File\`.` : ''),
  ];
}

function configurationPage(): string {
  const isRequired = (path: string[]) => {
    let node: Schema | undefined = schema;
    return path.every((key) => {
      const here = node?.required?.includes(key) ?? false;
      node = node?.properties?.[key];
      return here;
    });
  };
  const sections = Object.entries(schema.properties ?? {}).map(([name, node]) => {
    const rows = leaves(node, [name]).map(({ path, node: leaf }) => keyCells(path, leaf, isRequired(path)));
    return `## ${name}\n${node.properties ? `${node.description}\n\n` : ''}${table(['key', 'type', 'default', 'variable', 'meaning'], rows)}`;
  });
  return `${generated}
# Configuration

\`crossfade.yaml\` is YAML; crossfade.example.yaml is one to start from. Everything wrong with it is reported at once, each fault with
its line and a hint; unknown keys are refused. It is read from the working folder, unless
\`--config\` or the variable \`CROSSFADE_CONFIG\` names another.

- **Environment.** Each key has a variable, which goes before the file. Lists are separated by commas. All that is required can
  come from the environment; then no file is needed. One that is named like a section and belongs to no key counts for nothing: \`run\` logs it, \`check\` warns.
- **Secrets.** \`"\${NAME}"\` inside a text is replaced by the environment variable NAME (\`$\${\` stands for a plain \`\${\`). Or the value
  stands in a file: \`secretFile: /run/secrets/component\` instead of \`secret\`, or \`CROSSFADE_XMPP_COMPONENT_SECRET_FILE\`. One line
  end at the end of such a file does not count.
- **Paths** are taken from the folder of crossfade.yaml (without a file: from the working folder), those in variables as well.
- **Durations** are a whole number and a unit: 500ms, 10s, 5m, 1h, 7d.
- **Domains and addresses** are taken in prepared form (RFC 7622), however they are written: \`Example.COM\` is example.com.
- Also checked: the component has another domain than the users; its users are on that domain, and none of them has the gateway's
  own account at the broker; \`mqtt.url\` holds no user name or password; \`mqtt.shadowRoot\` and \`mqtt.root\` do not contain
  each other; cert and key come together. With
  \`xmpp.attach.kind: client\` there is exactly one source of credentials, \`security: none\` is for loopback, and \`legacyLogin: deny\` cannot be had.

${sections.join('\n\n')}
`;
}

/** The pages by their path from the top of the repository. */
export function pages(): Record<string, string> {
  const files = load([join(root, 'mappings')]);
  const mappings = compile(files);
  const order = [...new Set(mappings.table.ranks.map(({ channel }) => channel)), 'stanza'];
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    'docs/mappings.md': mappingsPage(files, order),
    'docs/asyncapi.yaml': `# Made by scripts/docs.ts.\n${stringify(asyncapi(files, mappings, version), { lineWidth: 120, aliasDuplicateObjects: false })}`,
    'docs/configuration.md': configurationPage(),
  };
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(pages())) writeFileSync(join(root, path), text);
}
