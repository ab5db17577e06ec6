// Our reader beside expat, the parser of the servers: both take the same documents, and find the same in them.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { Element } from 'ltx';
import { readPayload } from '../../src/mqtt/message.ts';
import { isRefusal } from '../../src/refusal.ts';
import { XmlReader } from '../../src/xmpp/xml-reader.ts';
import { writeElement, writeStanza } from '../../src/xmpp/xml-writer.ts';
import { mappings } from '../mapping/mappings.ts';
import { stanza } from '../xmpp/random-xml.ts';
import { message, mistaken, payload } from './generators.ts';
import { header, stanzas } from './streams.ts';

/** Name, attributes sorted by name, children. */
type Tree = [string, [string, string][], (string | Tree)[]];
type ExpatTree = [string, Record<string, string>, (string | ExpatTree)[]];

export interface Verdict {
  inputs: number;
  /** Both took it, and the same. */
  same: number;
  /** The first that they do not agree on. */
  fault: string | null;
}

const separator = '\u0001';
const client = 'jabber:client';

/**
 * So many documents from this seed. What expat takes our reader takes, or skips, and finds the same in it. Where sax is laxer than XML
 * (`]]>` in text, a blank behind `<`, names), what was found, written again, is the same to expat. `ours` stands in for the reader
 * where a test breaks it.
 */
export function besideExpat(seed: number, inputs: number, ours = read): Verdict {
  const texts = fc
    .sample(fc.oneof(stanza, mistaken(stanzas)), { seed, numRuns: inputs })
    .map((text) => `${header}${Buffer.from(text)}</stream:stream>`);
  const found = texts.map(ours);
  const theirs = expatReads(texts);
  const written = found.map((elements) => (Array.isArray(elements) ? writeAll(elements) : null));
  const again = expatReads(written.map((text) => text ?? '<none/>'));
  let same = 0;
  for (const [at, text] of texts.entries()) {
    const elements = found[at]!;
    if (!Array.isArray(elements)) {
      if (elements === 'skipped' || theirs[at] === null) continue;
      return { inputs: at + 1, same, fault: `refused, though expat takes it: ${JSON.stringify(text)}` };
    }
    const mine = JSON.stringify(elements.map((one) => treeOf(one)));
    for (const [what, other] of [
      ['it is read as', theirs[at]],
      ['written again, it is read as', again[at]],
    ] as const) {
      const isBeside = what === 'it is read as' ? theirs[at] !== null : written[at] !== null;
      const expats = JSON.stringify(other?.map(treeOfExpat) ?? null);
      if (isBeside && mine !== expats)
        return { inputs: at + 1, same, fault: `${JSON.stringify(text)}\nours: ${mine}\nby expat ${what}: ${expats}` };
      if (isBeside) same += 1;
    }
  }
  return { inputs, same, fault: null };
}

/** So many payloads of apps: what the writer makes of them expat takes, and finds what was meant. `write` stands in for the writer. */
export function payloadsBesideExpat(seed: number, inputs: number, write = writeStanza): Verdict {
  const channels = fc.constantFrom('receipt', 'chatstate', 'stanza', 'presence');
  const meant = fc
    .sample(
      fc.oneof(
        { weight: 4, arbitrary: fc.tuple(fc.constant('message'), message) },
        { weight: 1, arbitrary: fc.tuple(channels, payload) },
      ),
      { seed, numRuns: inputs },
    )
    .flatMap(([channel, fields]): Element[] => {
      const read = readPayload(Buffer.from(JSON.stringify({ id: 'm1', ...fields, to: 'alice@example.com' })), {
        maxBytes: 100_000,
      });
      if (isRefusal(read)) return [];
      const stanza = channel === 'presence' ? mappings.presence.toStanza(read) : mappings.toStanza(channel, read);
      return isRefusal(stanza) ? [] : [stanza];
    });
  const written = meant.map((stanza) => write(stanza)).map((text) => (isRefusal(text) ? null : text));
  const found = expatReads(written.map((text) => `${header}${text ?? ''}</stream:stream>`));
  let same = 0;
  for (const [at, text] of written.entries()) {
    if (text === null) continue;
    const [mine, theirs] = [JSON.stringify([treeOf(meant[at]!)]), JSON.stringify(found[at]?.map(treeOfExpat) ?? null)];
    if (mine !== theirs) return { inputs, same, fault: `${text}\nmeant: ${mine}\nby expat it is read as: ${theirs}` };
    same += 1;
  }
  return { inputs, same, fault: null };
}

function expatReads(texts: string[]): (ExpatTree[] | null)[] {
  const input = JSON.stringify(texts.map((text) => [text, separator]));
  const program = join(import.meta.dirname, '..', 'xmpp', 'expat.py');
  return JSON.parse(
    execFileSync('/usr/bin/python3', [program, 'stanzas'], { input, maxBuffer: 2 ** 28, encoding: 'utf8' }),
  );
}

/** Null where the writer refuses one. */
function writeAll(elements: Element[]): string | null {
  const texts = elements.map((element) => writeElement(element));
  return texts.some((text) => isRefusal(text)) ? null : `${header}${texts.join('')}</stream:stream>`;
}

/** Null where it refuses the stream. */
export function read(text: string): Element[] | 'skipped' | null {
  const found: Element[] = [];
  let [ended, skipped] = [false, false];
  const reader = new XmlReader();
  reader.on('element', (element: Element) => found.push(element));
  reader.on('skipped', () => (skipped = true));
  reader.on('error', () => {});
  reader.on('end', () => (ended = true));
  reader.write(text);
  if (skipped) return 'skipped';
  return ended ? found : null;
}

/** `around`: the namespace of what is around it. */
function treeOf(element: Element, around = client): Tree {
  const ns: string = element.attrs.xmlns ?? around;
  const attributes = Object.entries(element.attrs as Record<string, string>)
    .filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'))
    .map(([name, value]): [string, string] => [qualified(element, name), oneBlank(value)]);
  const children = element.children.map((child) =>
    child instanceof Element ? treeOf(child, ns) : oneLineEnd(String(child)),
  );
  return [named(ns, element.name), sorted(attributes), children];
}

function qualified(element: Element, name: string): string {
  const colon = name.indexOf(':');
  if (colon < 0) return name;
  const prefix = name.slice(0, colon);
  const ns = prefix === 'xml' ? 'http://www.w3.org/XML/1998/namespace' : element.attrs[`xmlns:${prefix}`];
  return `${ns}${separator}${name.slice(colon + 1)}`;
}

function treeOfExpat([name, attributes, children]: ExpatTree): Tree {
  const [ns, local] = name.includes(separator) ? (name.split(separator) as [string, string]) : ['', name];
  const values = Object.entries(attributes).map(([key, value]): [string, string] => [key, oneBlank(value)]);
  // jabber:component:accept is read as jabber:client.
  return [
    named(ns === 'jabber:component:accept' ? client : ns, local),
    sorted(values),
    children.map((child) => (typeof child === 'string' ? oneLineEnd(child) : treeOfExpat(child))),
  ];
}

const named = (ns: string, name: string) => `{${ns}}${name}`;
const sorted = (attributes: [string, string][]) => attributes.toSorted(([a], [b]) => (a < b ? -1 : 1));
// Our reader keeps line ends and blanks as they came: what servers write they have normalised already (XML 1.0 §2.11, §3.3.3).
const oneLineEnd = (text: string) => text.replace(/\r\n?/g, '\n');
const oneBlank = (text: string) => text.replace(/\r\n|[\t\n\r]/g, ' ');
