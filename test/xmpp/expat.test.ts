// Writer and reader beside expat, the parser of the servers: what we write it takes, and what it takes never ends our stream.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import { isRefusal } from '../../src/refusal.ts';
import type { ReaderLimits } from '../../src/xmpp/stanza-limits.ts';
import { type XmlFault, XmlReader } from '../../src/xmpp/xml-reader.ts';
import { writeElement } from '../../src/xmpp/xml-writer.ts';
import { stanza } from './random-xml.ts';

const header = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'>`;
/** Prosody's separator of namespace and name: the one that refuses least. */
const prosodys = '\u0001';

/** For each document: does expat take it? One process for all. */
function expatTakes(documents: string[], separators = [prosodys]): boolean[] {
  const input = JSON.stringify(documents.flatMap((text) => separators.map((separator) => [text, separator])));
  const program = join(import.meta.dirname, 'expat.py');
  const takes: boolean[] = JSON.parse(
    execFileSync('/usr/bin/python3', [program], { input, maxBuffer: 2 ** 28, encoding: 'utf8' }),
  );
  return documents.map((_, at) => takes.slice(at * separators.length, (at + 1) * separators.length).every(Boolean));
}

/** What the reader says of one stanza and the one after it: kinds, or the fault's text. */
function readerSays(chunks: string[], limits: Partial<ReaderLimits> = {}): string[] {
  const said: string[] = [];
  const reader = new XmlReader(limits);
  reader.on('element', () => said.push('element'));
  reader.on('skipped', () => said.push('skipped'));
  reader.on('error', (fault: XmlFault) => said.push(fault.message));
  reader.on('end', () => said.push('end'));
  for (const chunk of [header, ...chunks, '<message/>']) reader.write(chunk);
  return said;
}

const charCodes = Array.from({ length: 0x10000 - 0x20 }, (_, at) => at + 0x20).filter((c) => c < 0xd800 || c > 0xdfff);

describe('of every character of the basic plane,', () => {
  const where: [string, (char: string) => string][] = [
    ['first in a name', (char) => char],
    ['later in a name', (char) => `a${char}`],
  ];
  test.each(where)('%s: the writer writes it if expat takes it, and then the reader reads it', (_, nameOf) => {
    const shown = (code: number) => code.toString(16);
    const names = charCodes.map((code) => nameOf(String.fromCharCode(code)));
    const takes = expatTakes(names.map((name) => `<${name}/>`));
    // A colon makes a prefix, and some characters end the name: that is markup, not a name.
    const isName = (at: number) => takes[at] && !':/ '.includes(String.fromCharCode(charCodes[at]!));
    const expats = charCodes.filter((_, at) => isName(at)).map(shown);
    const written = charCodes.filter((_, at) => !isRefusal(writeElement(new Element(names[at]!)))).map(shown);
    const attributes = charCodes.filter(
      (_, at) => !isRefusal(writeElement(new Element('a', { [names[at]!]: '' }))) && names[at] !== 'xmlns',
    );
    expect(written).toEqual(expats);
    expect(attributes.map(shown)).toEqual(expats);
    expect(expats.length).toBeGreaterThan(30_000);
    const text = charCodes.map((_, at) => (isName(at) ? `<${names[at]}/>` : '')).join('');
    expect(new Set(readerSays([`<message>${text}</message>`]))).toEqual(new Set(['element']));
  });

  test('in a namespace: the writer writes it only if expat takes it, whatever separator it uses', () => {
    const separators = [prosodys, ...' \n\t|{}^<>"\\`:#!~,'];
    const texts = ['\t', '\n', '\r', ...charCodes.filter((code) => code < 0x300).map((c) => String.fromCharCode(c))]
      .map((char) => writeElement(new Element('a', { xmlns: `urn:x${char}y` })))
      .filter((text) => typeof text === 'string');
    const takes = expatTakes(texts, separators);
    expect(texts.filter((_, at) => !takes[at])).toEqual([]);
    expect(texts.length).toBeGreaterThan(500);
  });
});

test('beyond the basic plane neither takes a character in a name', () => {
  expect(expatTakes(['<\u{10000}/>', '<a\u{2f800}/>'])).toEqual([false, false]);
  expect(['\u{10000}', 'a\u{2f800}'].map((name) => isRefusal(writeElement(new Element(name))))).toEqual([true, true]);
});

const times = (count: number, text: string) => text.repeat(count);

describe('what expat takes never ends the stream, in one piece or in many:', () => {
  const stanzas: [string, string][] = [
    ['a long name deep inside', `<message>${times(70, '<a>')}<${times(100_000, 'n')}/>${times(70, '</a>')}</message>`],
    ['a long name', `<message><${times(100_000, 'n')}/></message>`],
    ['a long name of 2 MiB', `<message><${times(2_097_152, 'n')}/></message>`],
    ['a long name of the stanza', `<${times(2_097_152, 'n')}></${times(2_097_152, 'n')} >`],
    ['a long name of an attribute', `<message><a ${times(100_000, 'n')}='1'/></message>`],
    [
      'a long prefix',
      `<message><p:a xmlns:p='urn:p'/><${times(9000, 'p')}:a xmlns:${times(9000, 'p')}='urn:p'/></message>`,
    ],
    ['a character of 100,000 digits', `<message><a>&#x${times(100_000, '0')}41;</a></message>`],
    ['such a one in an attribute', `<message a='&#${times(1_500_000, '0')}65;'/>`],
    ['200,000 levels', `<message>${times(200_000, '<a>')}${times(200_000, '</a>')}</message>`],
    ['100,000 attributes', `<message ${Array.from({ length: 100_000 }, (_, at) => `a${at}='1'`).join(' ')}/>`],
    [
      'the prefix after 100 attributes',
      `<p:a ${Array.from({ length: 100 }, (_, at) => `a${at}=''`).join(' ')} xmlns:p='urn:p'/>`,
    ],
    ['10 MiB in an attribute', `<message><a b='${times(10_485_760, '>')}'/></message>`],
    ['10 MiB in the stanza’s own tag', `<message b="${times(10_485_760, "'")}"><a/></message>`],
    ['10 MiB of blanks in tags', `<message ${times(5_242_880, ' ')}></message${times(5_242_880, '\n')}>`],
    ['3 MiB of CDATA', `<message><![CDATA[${times(1_048_576, ']] ')}]]]]><![CDATA[></message>]]></message>`],
    ['tags in CDATA', `<message><b><![CDATA[</b></message>${times(700_000, '<!')}]]]></b>&gt;</message>`],
    ['an element of xml:', '<message><xml:a/></message>'],
    ['xml bound to what it is', `<message xmlns:xml='http://www.w3.org/XML/1998/namespace'/>`],
    ['a namespace with a blank', `<message><a xmlns='urn:a b'/></message>`],
    ['a namespace with markup', `<message><p:a xmlns:p='&lt;&#10;|"'/></message>`],
    ['a quote and a slash', `<message a='/>' b="'"><a/ ></message>`.replace('/ >', '/>')],
  ];
  test('(expat takes all of them)', () => {
    const takes = expatTakes(stanzas.map(([, text]) => `${header}${text}</stream:stream>`));
    expect(stanzas.filter((_, at) => !takes[at]).map(([name]) => name)).toEqual([]);
  });

  test.each(stanzas)('%s', (_, text) => {
    const pieces = text.match(/[\s\S]{1,65536}/g) ?? [];
    for (const chunks of [[text], pieces])
      expect(readerSays(chunks)).toEqual([expect.stringMatching(/element|skipped/), 'element']);
  });
});

test('of thousands of random stanzas, none that expat takes ends the stream, whatever the limits', () => {
  const seed = 20_221_125;
  const samples = fc.sample(fc.record({ text: stanza, size: fc.integer({ min: 1, max: 40 }), tight: fc.nat(3) }), {
    seed,
    numRuns: 6000,
  });
  const takes = expatTakes(samples.map(({ text }) => `${header}${text}</stream:stream>`));
  const tight: Partial<ReaderLimits>[] = [
    {},
    { maxBytes: 120 },
    { maxDepth: 2, maxName: 16 },
    { maxAttributes: 2, maxBytes: 400 },
  ];
  const counts = { element: 0, skipped: 0 };
  for (const [at, sample] of samples.entries()) {
    if (!takes[at]) continue;
    const chunks = sample.text.match(new RegExp(`[\\s\\S]{1,${sample.size}}`, 'gu')) ?? [];
    const said = readerSays(chunks, tight[sample.tight]);
    expect([sample.text, ...said]).toEqual([sample.text, expect.stringMatching(/^(element|skipped)$/), 'element']);
    counts[said[0] as 'element' | 'skipped'] += 1;
  }
  expect(counts.element).toBeGreaterThan(500);
  expect(counts.skipped).toBeGreaterThan(500);
});
