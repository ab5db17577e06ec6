// Holds the layout (docs/architecture.md, "Who may import whom") against the imports that stand in src/.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const top = fileURLToPath(new URL('..', import.meta.url));

/** Rooms are the folders of src/ and the single files beside them. Whoever is not in a row may not be imported. */
const mayImport: Record<string, string[]> = {
  xmpp: ['chunks'],
  mqtt: ['chunks'],
  mapping: ['xmpp', 'mqtt'],
  ledger: [],
  migration: ['ledger', 'xmpp/jid', 'xmpp/xml-text'],
  flow: ['xmpp', 'mqtt', 'mapping', 'ledger', 'migration'],
  shadow: ['mapping', 'xmpp', 'mqtt'],
  doctor: ['xmpp', 'mqtt'],
  admin: ['migration', 'ledger', 'mapping', 'shadow', 'doctor'],
  'admin-token': [],
  webhook: [],
  credentials: ['xmpp'],
  cli: ['migration', 'ledger', 'mapping', 'shadow', 'doctor', 'gateway', 'admin-token'],
  core: ['flow', 'xmpp', 'mqtt', 'mapping', 'ledger', 'migration', 'shadow'],
  gateway: [
    'core',
    'flow',
    'xmpp',
    'mqtt',
    'mapping',
    'ledger',
    'migration',
    'shadow',
    'doctor',
    'admin',
    'admin-token',
    'webhook',
    'shutdown',
    'credentials',
  ],
  shutdown: ['core', 'flow', 'ledger'],
  main: ['cli'],
  config: ['xmpp/jid', 'mqtt/topic'],
  chunks: [],
  refusal: [],
  log: [],
  metrics: [],
  clock: [],
};

/** Everybody may import these. */
const common = ['config', 'refusal', 'log', 'metrics', 'clock'];

/** Only this room constructs adapters; the others know them as types. */
const builder = 'gateway';

/** Who imports one of these owns a socket, a thread or a file, is an adapter, and stands in one of the rooms named. */
const owners: [module: RegExp, rooms: string[]][] = [
  [/^@xmpp\//, ['xmpp']],
  [/^(mqtt|aedes)$/, ['mqtt']],
  [/^fastify$/, ['admin']],
  [/^node:sqlite$/, ['ledger']],
  [/^node:worker_threads$/, ['ledger', 'mqtt']],
  [/^node:(net|tls|http|https|http2|dgram|child_process)$/, ['xmpp', 'mqtt', 'admin', 'credentials']],
];

/** Adapters that have their socket from another one, so that their imports do not show it. */
const namedAdapters = ['xmpp/component', 'xmpp/attach-link', 'xmpp/own-domain', 'webhook'];

interface Import {
  from: string;
  typeOnly: boolean;
}

/** All imports and re-exports of a file; comments are cut out first. `typeOnly`: nothing is left of it when it runs. */
function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const clauses = /^\s*(?:import|export)\s+(type\s+)?((?:[\w*$]|\{[^}]*\}|,|\s)*?)\s*from\s*['"]([^'"]+)['"]/gm;
  const found: Import[] = [];
  for (const [, typeWord, clause = '', from = ''] of code.matchAll(clauses)) {
    const names = /^\{([^}]*)\}$/
      .exec(clause.trim())?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    found.push({
      from,
      typeOnly: typeWord !== undefined || (names?.every((name) => /^\s*type\s/.test(name)) ?? false),
    });
  }
  for (const [, from = ''] of code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm)) found.push({ from, typeOnly: false });
  for (const [, from = ''] of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    found.push({ from, typeOnly: false });
  return found;
}

interface Source {
  /** Path below src/ without `.ts`, with slashes: `xmpp/jid`. */
  name: string;
  room: string;
  text: string;
  imports: Import[];
}

const roomOf = (name: string) => name.replace(/^gateway-.*$/, 'gateway').split('/')[0] ?? '';

function sourceOf(name: string, text: string): Source {
  return { name, room: roomOf(name), text, imports: importsOf(text) };
}

/** What a relative import means: a name below src/, or, outside src/, the path below the checkout with `../` before it. */
function targetOf(source: Source, from: string): string {
  const path = resolve(top, 'src', dirname(source.name), from);
  return relative(join(top, 'src'), path)
    .split(sep)
    .join('/')
    .replace(/(\.d)?\.ts$/, '');
}

/** Adapters: by their modules, by name, or because they run another adapter of their room. */
function adaptersAmong(sources: Source[]): Set<string> {
  const owns = ({ imports }: Source) =>
    imports.some(({ from, typeOnly }) => !typeOnly && owners.some(([module]) => module.test(from)));
  const adapters = new Set([...namedAdapters, ...sources.filter(owns).map(({ name }) => name)]);
  for (let before = -1; before !== adapters.size; ) {
    before = adapters.size;
    for (const source of sources) {
      const runs = source.imports.filter(({ from, typeOnly }) => !typeOnly && from.startsWith('.'));
      const same = runs.map(({ from }) => targetOf(source, from)).filter((name) => roomOf(name) === source.room);
      if (same.some((name) => adapters.has(name))) adapters.add(source.name);
    }
  }
  return adapters;
}

function faultOf(source: Source, { from, typeOnly }: Import, adapters: Set<string>): string | undefined {
  if (!from.startsWith('.')) {
    const row = owners.find(([module]) => module.test(from));
    if (row === undefined || typeOnly || row[1].includes(source.room)) return undefined;
    return `only ${row[1].join(', ')} may import ${from}`;
  }
  const target = targetOf(source, from);
  if (target.startsWith('../')) return `src/ may import nothing outside src/, as it runs without the checkout`;
  const room = roomOf(target);
  if (room === source.room) return undefined;
  const allowed = [...common, ...(mayImport[source.room] ?? [])];
  if (!allowed.includes(room) && !allowed.includes(target)) {
    return `${source.room} may import only ${allowed.join(', ')}`;
  }
  if (adapters.has(target) && !typeOnly && source.room !== builder) {
    return `${target} is an adapter: outside its room only ${builder}.ts may import more of it than types`;
  }
  return undefined;
}

/** Every forbidden import, in words. */
function layoutFaults(sources: Source[]): string[] {
  const adapters = adaptersAmong(sources);
  return sources.flatMap((source) =>
    source.imports.flatMap((imported) => {
      const fault = faultOf(source, imported, adapters);
      return fault === undefined ? [] : [`src/${source.name}.ts imports ${imported.from}: ${fault}`];
    }),
  );
}

function filesBelow(folder: string, extension: RegExp): string[] {
  if (!existsSync(join(top, folder))) return [];
  return readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => extension.test(path))
    .map((path) => `${folder}/${path.split(sep).join('/')}`);
}

const read = (path: string) => readFileSync(join(top, path), 'utf8');
const sources = filesBelow('src', /\.ts$/).map((path) =>
  sourceOf(path.replace(/^src\//, '').replace(/(\.d)?\.ts$/, ''), read(path)),
);
const allFiles = ['src', 'test', 'demo', 'bench', 'scripts'].flatMap((folder) => filesBelow(folder, /\.(ts|mjs)$/));

test('src/ keeps to the table of who may import whom', () => {
  expect(layoutFaults(sources)).toEqual([]);
});

test('every room has its row in the table', () => {
  const rooms = new Set(sources.map(({ room }) => room));
  expect([...rooms].filter((room) => !Object.hasOwn(mayImport, room))).toEqual([]);
});

test('every adapter that the table names exists', () => {
  expect(namedAdapters.filter((name) => !sources.some((source) => source.name === name))).toEqual([]);
});

test('no file is longer than 400 lines', () => {
  const lines = (path: string) => read(path).trimEnd().split('\n').length;
  expect(allFiles.filter((path) => lines(path) > 400).map((path) => `${path}: ${lines(path)} lines`)).toEqual([]);
});

test('every file begins with a comment that says its duty', () => {
  const first = (path: string) => read(path).replace(/^#!.*\n/, '');
  expect(allFiles.filter((path) => !/^(\/\/ |\/\*\* ).{10}/.test(first(path)))).toEqual([]);
});

const parsed = [
  { text: "import { a } from './a.ts';", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "import type { A } from './a.ts';", imports: [{ from: './a.ts', typeOnly: true }] },
  { text: "import { type A, type B } from './a.ts';", imports: [{ from: './a.ts', typeOnly: true }] },
  { text: "import { type A, b } from './a.ts';", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "import a, {\n  b,\n  type C,\n} from './a.ts';", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "export * from './a.ts';", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "export type { A } from './a.ts';", imports: [{ from: './a.ts', typeOnly: true }] },
  { text: "import './a.ts';", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "const a = await import('./a.ts');", imports: [{ from: './a.ts', typeOnly: false }] },
  { text: "// import { a } from './a.ts';\n/* import './b.ts' */\nconst s = 1;", imports: [] },
];

test.each(parsed)('what is read of $text', ({ text, imports }) => {
  expect(importsOf(text)).toEqual(imports);
});

const judged = [
  { file: 'xmpp/component', text: "import { x } from '../mqtt/topic.ts';", fault: 'xmpp may import only config' },
  { file: 'migration/moves', text: "import { x } from '../xmpp/jid.ts';", fault: undefined },
  { file: 'migration/moves', text: "import type { X } from '../xmpp/stanza.ts';", fault: 'migration may import only' },
  { file: 'flow/deliver', text: "import type { X } from '../mqtt/client.ts';", fault: undefined },
  { file: 'flow/deliver', text: "import { x } from '../mqtt/client.ts';", fault: 'mqtt/client is an adapter' },
  { file: 'flow/deliver', text: "import { x } from '../mqtt/topic.ts';", fault: undefined },
  { file: 'gateway', text: "import { x } from './mqtt/client.ts';", fault: undefined },
  { file: 'cli/run', text: "import { x } from '../ledger/sqlite.ts';", fault: 'ledger/sqlite is an adapter' },
  {
    file: 'mapping/load',
    text: "import { connect } from 'node:net';",
    fault: 'only xmpp, mqtt, admin, credentials may import node:net',
  },
  { file: 'flow/deliver', text: "import { x } from '../../test/harness/x.ts';", fault: 'nothing outside src/' },
  { file: 'refusal', text: "import { x } from './flow/deliver.ts';", fault: 'refusal may import only' },
];

test.each(judged)('$file with $text', ({ file, text, fault }) => {
  const others = [
    sourceOf('mqtt/client', "import { run } from './wire.ts';"),
    sourceOf('mqtt/wire', "import mqtt from 'mqtt';"),
    sourceOf('mqtt/topic', ''),
    sourceOf('ledger/sqlite', "import { Worker } from 'node:worker_threads';"),
  ];
  const faults = layoutFaults([...others, sourceOf(file, text)]);
  expect(faults).toEqual(fault === undefined ? [] : [expect.stringContaining(fault)]);
});
