// Reads mapping files (docs/mappings.md) and checks them: each by itself here, all together in compile, examples last.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { compile } from './compile.ts';
import { checkExamples } from './examples.ts';
import {
  type ChannelRule,
  type Example,
  type Fault,
  type FieldRule,
  type Kind,
  kinds,
  MappingFault,
  type MappingFile,
  parsePath,
  reservedChannels,
  reservedFields,
  type StanzaKind,
  stanzaKinds,
} from './language.ts';

/**
 * Reads every `*.yaml` in the folders, by name. Throws one MappingFault with everything that is wrong: unknown keys, bad
 * paths, an element or a field with two owners, an `after` that leads nowhere or round in a circle, a failing example.
 */
export function load(dirs: string[]): MappingFile[] {
  const faults: Fault[] = [];
  const files = dirs.flatMap((dir) => mappingPaths(dir, faults).map((path) => readMapping(path, faults)));
  if (faults.length > 0) throw new MappingFault(faults);
  faults.push(...checkExamples(files, compile(files)));
  if (faults.length > 0) throw new MappingFault(faults);
  return files;
}

function mappingPaths(dir: string, faults: Fault[]): string[] {
  try {
    const names = readdirSync(dir).filter((name) => name.endsWith('.yaml'));
    return names.sort().map((name) => join(dir, name));
  } catch (error) {
    faults.push({
      file: dir,
      line: 1,
      reason: `this folder cannot be read (${(error as NodeJS.ErrnoException).code})`,
    });
    return [];
  }
}

/** One file while it is read: where each node stands, and the faults found so far. */
class Reading {
  readonly file: string;
  readonly faults: Fault[];
  readonly lines = new LineCounter();
  readonly namespaces = new Map<string, string>();

  constructor(file: string, faults: Fault[]) {
    this.file = file;
    this.faults = faults;
  }

  place(node: unknown): { file: string; line: number } {
    const offset = (node as Node | null)?.range?.[0];
    return { file: this.file, line: offset === undefined ? 1 : this.lines.linePos(offset).line };
  }

  fault(node: unknown, reason: string): void {
    this.faults.push({ ...this.place(node), reason });
  }

  /** The pairs of a map; what is no map is a fault, a missing one is empty. */
  pairs(node: unknown, what: string): { key: string; keyNode: unknown; value: unknown }[] {
    if (node === undefined || node === null) return [];
    if (isMap(node)) {
      return node.items.map(({ key, value }) => ({ key: isScalar(key) ? String(key.value) : '', keyNode: key, value }));
    }
    this.fault(node, `${what} must be a map`);
    return [];
  }

  /** The known keys of a map, each with its value's node; unknown ones are faults. */
  keys(node: unknown, what: string, known: readonly string[]): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    for (const { key, keyNode, value } of this.pairs(node, what)) {
      if (known.includes(key)) found[key] = value;
      else this.fault(keyNode, `unknown key '${key}' in ${what}; known are ${known.join(', ')}`);
    }
    return found;
  }

  /** A value from a list of allowed ones, or any string; `fallback` when absent. */
  scalar<T>(node: unknown, what: string, allowed: (value: unknown) => value is T, wanted: string, fallback: T): T {
    if (node === undefined) return fallback;
    const value = isScalar(node) ? node.value : undefined;
    if (allowed(value)) return value;
    this.fault(node, `${what} must be ${wanted}`);
    return fallback;
  }

  text(node: unknown, what: string): string {
    return this.scalar(node, what, isText, 'a text (a number in quotes)', '');
  }

  /** A text or a list of texts, with their nodes. */
  texts(node: unknown, what: string): { text: string; node: unknown }[] {
    const nodes = node === undefined ? [] : isSeq(node) ? node.items : [node];
    return nodes.map((item) => ({ text: this.text(item, what), node: item }));
  }

  paths(node: unknown, what: string) {
    return this.texts(node, what).flatMap(({ text, node: where }) => {
      const path = parsePath(text, this.namespaces);
      if (typeof path === 'string') this.fault(where, path);
      return typeof path === 'string' ? [] : [{ ...this.place(where), path }];
    });
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isQos = (value: unknown): value is 0 | 1 => value === 0 || value === 1;
const isIn = (value: unknown): value is 'in' => value === 'in';
const isKind = (value: unknown): value is Kind => kinds.includes(value as Kind);
const isStanzaKind = (value: unknown): value is StanzaKind => stanzaKinds.includes(value as StanzaKind);
const fileKeys = [
  'rfc',
  'xep',
  'version',
  'title',
  'stanza',
  'namespaces',
  'channels',
  'fields',
  'drop',
  'examples',
] as const;

function readMapping(file: string, faults: Fault[]): MappingFile {
  const reading = new Reading(file, faults);
  const document = parseDocument(readFileSync(file, 'utf8'), { lineCounter: reading.lines, prettyErrors: false });
  for (const { message, pos } of document.errors) {
    faults.push({ file, line: reading.lines.linePos(pos[0]).line, reason: `no YAML: ${message}` });
  }
  // A map with holes (a syntax error) would only bring faults that go away with the first.
  const root = document.errors.length > 0 ? undefined : document.contents;
  const top = reading.keys(root, 'a mapping', fileKeys);
  if (root !== undefined && (top.rfc === undefined) === (top.xep === undefined)) {
    reading.fault(root, "give either rfc: or xep:, the source's number");
  }
  for (const { key, value } of reading.pairs(top.namespaces, 'namespaces')) {
    reading.namespaces.set(key, reading.text(value, `the namespace of '${key}'`));
  }
  const version = reading.text(top.version, 'version');
  const stanza = reading.scalar(top.stanza, 'stanza', isStanzaKind, `one of ${stanzaKinds.join(', ')}`, 'message');
  if (stanza === 'presence' && top.channels !== undefined) {
    reading.fault(top.channels, 'presence is always on the channel presence; leave channels out');
  }
  return {
    ...reading.place(root),
    stanza,
    name: basename(file, '.yaml'),
    source: top.xep ? `XEP-${reading.text(top.xep, 'xep')}` : `RFC ${reading.text(top.rfc, 'rfc')}`,
    title: reading.text(top.title, 'title'),
    ...(version === '' ? {} : { version }),
    channels: reading.pairs(top.channels, 'channels').flatMap((pair) => readChannel(reading, pair)),
    fields: reading.pairs(top.fields, 'fields').flatMap((pair) => readField(reading, pair)),
    drop: reading.paths(top.drop, 'drop'),
    examples: readExamples(reading, top.examples),
  };
}

type Pair = { key: string; keyNode: unknown; value: unknown };

function readChannel(reading: Reading, { key: channel, keyNode, value }: Pair): ChannelRule[] {
  const found = reading.keys(value, `channel '${channel}'`, ['when', 'qos', 'after']);
  if (!/^[a-z][a-z0-9-]*$/.test(channel)) reading.fault(keyNode, `'${channel}' is no channel name (a-z, 0-9, -)`);
  if (reservedChannels.includes(channel)) reading.fault(keyNode, `the channel '${channel}' is the gateway's own`);
  const when = reading.paths(found.when, `when of '${channel}'`);
  if (found.when === undefined) reading.fault(keyNode, `the channel '${channel}' has no 'when'`);
  for (const { path, line } of when) {
    if (path.steps.length === 0)
      reading.faults.push({ file: reading.file, line, reason: "'when' must begin with an element" });
  }
  return [
    {
      ...reading.place(keyNode),
      channel,
      when: when.map(({ path }) => path),
      qos: reading.scalar(found.qos, `qos of '${channel}'`, isQos, '0 or 1', 1),
      after: reading.texts(found.after, `after of '${channel}'`).map(({ text }) => text),
    },
  ];
}

function readField(reading: Reading, { key: name, keyNode, value }: Pair): FieldRule[] {
  const found = reading.keys(value, `field '${name}'`, ['path', 'as', 'only', 'about']);
  if (!/^[a-z][A-Za-z0-9]*$/.test(name))
    reading.fault(keyNode, `'${name}' is no field name (camelCase, letters and digits)`);
  if (reservedFields.includes(name)) reading.fault(keyNode, `the field '${name}' is the gateway's own`);
  const as = reading.scalar<Kind>(found.as, `as of '${name}'`, isKind, `one of ${kinds.join(', ')}`, 'text');
  const onlyIn = reading.scalar<'in' | ''>(found.only, `only of '${name}'`, isIn, "'in'", '') === 'in';
  const about = reading.text(found.about, `about of '${name}'`);
  if (found.path === undefined) reading.fault(keyNode, `the field '${name}' has no path`);
  return reading.paths(found.path, `path of '${name}'`).flatMap(({ path, ...place }) => {
    const several = path.steps.some((step) => step.names.length > 1);
    const onElement = path.attribute === undefined;
    let reason = '';
    if (several !== (as === 'name')) reason = '{…} and as: name go together';
    else if ((as === 'flag' || as === 'xml') && !onElement)
      reason = `as: ${as} is for an element, not for an attribute`;
    else if (as === 'list' && path.steps.length === 0) reason = 'as: list needs an element that can be repeated';
    if (reason === '') return [{ ...place, name, path, as, onlyIn, about }];
    reading.faults.push({ ...place, reason: `field '${name}': ${reason}` });
    return [];
  });
}

function readExamples(reading: Reading, node: unknown): Example[] {
  if (node !== undefined && !isSeq(node)) reading.fault(node, 'examples must be a list');
  return (isSeq(node) ? node.items : []).map((item) => {
    const found = reading.keys(item, 'an example', ['stanza', 'publish']);
    const publish = reading.keys(found.publish, 'publish', ['topic', 'qos', 'payload']);
    if (found.stanza === undefined || !isMap(publish.payload)) {
      reading.fault(item, 'an example has a stanza, and a publish with a topic, a qos and a payload');
    }
    return {
      ...reading.place(item),
      stanza: reading.text(found.stanza, 'stanza'),
      publish: {
        topic: reading.text(publish.topic, 'topic'),
        qos: reading.scalar(publish.qos, 'qos', isQos, '0 or 1', 1),
        payload: isMap(publish.payload) ? ((publish.payload as YAMLMap).toJSON() as Record<string, unknown>) : {},
      },
    };
  });
}
