// The examples of the mapping files, tried in both directions: they are the tests that every mapping brings along.

import type { Element } from 'ltx';
import { isRefusal } from '../refusal.ts';
import type { Mappings } from './compile.ts';
import type { Example, Fault, MappingFile, StanzaKind } from './language.ts';
import type { Table } from './table.ts';
import { withoutServerParts } from './to-payload.ts';
import { isNamespaceAttribute, namespaceOf, parseXml } from './xml.ts';

/** One fault for each example that a translation does not bear out. */
export function checkExamples(files: MappingFile[], mappings: Mappings): Fault[] {
  return files.flatMap((file) =>
    file.examples.flatMap((example) => {
      const reason = checkExample(example, mappings, file.stanza);
      return reason === undefined ? [] : [{ file: example.file, line: example.line, reason }];
    }),
  );
}

/** The reason why an example fails, if it does. */
export function checkExample(example: Example, mappings: Mappings, kind: StanzaKind = 'message'): string | undefined {
  const { stanza: text, publish } = example;
  const [stanza, ...more] = parseXml(text) ?? [];
  if (!stanza || more.length > 0 || stanza.name !== kind) return `failing example: the stanza is no <${kind}/>`;
  const channel = publish.topic.split('/').at(-1) ?? '';
  const { presence } = mappings;
  const table = kind === 'presence' ? presence.table : mappings.table;
  const got = kind === 'presence' ? presence.toPayload(stanza) : mappings.toPayload(stanza);
  if (got.channel !== channel || got.qos !== publish.qos) {
    return `failing example: the stanza belongs on ${got.channel} with qos ${got.qos}, not on ${channel} with ${publish.qos}`;
  }
  const difference = differs(table, got.fields, publish.payload);
  if (difference) return `failing example: ${difference}`;
  const payload = forApp(table, publish.payload);
  const back = kind === 'presence' ? presence.toStanza(payload) : mappings.toStanza(channel, payload);
  if (isRefusal(back)) return `failing example: on the way back it is refused: ${back.text}`;
  const [is, should] = [canonical(table, back), canonical(table, stanza)];
  return is === should ? undefined : `failing example: on the way back the stanza is ${is}, not ${should}`;
}

function differs(table: Table, got: Record<string, unknown>, wanted: Record<string, unknown>): string | undefined {
  const names = [...new Set([...Object.keys(wanted), ...Object.keys(got)])];
  // XML can be written in more than one way: compared is what it says.
  const form = (name: string, value: unknown) =>
    (name === 'xml' || table.fields.get(name)?.as === 'xml') && typeof value === 'string'
      ? parseXml(value)?.map(formOf).join('')
      : JSON.stringify(value);
  const show = (value: unknown) => (value === undefined ? 'missing' : JSON.stringify(value));
  const name = names.find((each) => form(each, got[each]) !== form(each, wanted[each]));
  return name && `'${name}' is ${show(got[name])}, the example has ${show(wanted[name])}`;
}

/** A payload as an app would send it: without the sender and what only the server may state. */
export function forApp(table: Table, payload: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(payload).filter(([name]) => name !== 'from' && table.fields.get(name)?.onlyIn !== true),
  );
}

/**
 * A stanza in a form that is equal for equal content: no sender, no server-only parts, no prefixes, attributes sorted, and
 * children.
 */
export function canonical(table: Table, stanza: Element): string {
  const known = new Set(['id', 'to', 'type', ...table.attributes.keys()]);
  const attrs = Object.entries(stanza.attrs).filter(
    ([name]) => known.has(name) && table.attributes.get(name)?.onlyIn !== true,
  );
  const children = withoutServerParts(table, stanza).map(formOf).sort();
  return `<${table.stanza} ${JSON.stringify(attrs.sort())}>${children.join('')}`;
}

function formOf(element: Element): string {
  const attrs = Object.entries(element.attrs).filter(([name]) => !isNamespaceAttribute(name));
  const parts: string[] = [];
  let text = '';
  for (const child of [...element.children, null]) {
    if (typeof child === 'string') {
      text += child;
      continue;
    }
    if (text !== '') parts.push(JSON.stringify(text));
    text = '';
    if (child) parts.push(formOf(child));
  }
  return `{${namespaceOf(element)}}${element.name}${JSON.stringify(attrs.sort())}(${parts.join('')})`;
}
