// What the reader takes from its memory of tags is what sax would have read.

import fc from 'fast-check';
import type { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import type { ReaderLimits, Skipped } from '../../src/xmpp/stanza-limits.ts';
import { type XmlFault, XmlReader } from '../../src/xmpp/xml-reader.ts';

const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'>`;

/** Everything the reader says about these chunks, one line each. */
function read(chunks: string[], limits: Partial<ReaderLimits> = {}): string[] {
  const said: string[] = [];
  const reader = new XmlReader(limits);
  reader.on('start', (root: Element) => said.push(`start ${root.attrs.id}`));
  reader.on('element', (element: Element) => said.push(element.toString()));
  reader.on('skipped', ({ outline, reason }: Skipped) => said.push(`skipped ${reason} ${outline}`));
  reader.on('error', (fault: XmlFault) => said.push(`error ${fault.condition}`));
  reader.on('end', () => said.push('end'));
  for (const chunk of chunks) reader.write(chunk);
  return said;
}

const inStream = (text: string, limits?: Partial<ReaderLimits>) => read([header, text], limits).slice(1);

describe('a tag that is like an earlier one is read like it:', () => {
  const name = fc.constantFrom('a', 'b', 'message', 'p:a', 'p:b', 'xmlns', '__proto__');
  const value = fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom('', 'urn:a', 'jabber:client', 'a b', '&lt;', '>', '/>', 'ß') },
    fc.constantFrom('&', '<', '"', "'"),
  );
  const attribute = fc
    .tuple(fc.oneof(name, fc.constantFrom('xmlns:p', 'xml:lang', 'id')), fc.constantFrom('"', "'"), value)
    .map(([key, quote, text]) => ` ${key}=${quote}${text}${quote}`);
  const startTag = fc
    .tuple(name, fc.array(attribute, { maxLength: 4 }), fc.constantFrom('>', '/>', ' >', '\n/>'))
    .map(([element, attributes, end]) => `<${element}${attributes.join('')}${end}`);
  const piece = fc.oneof(
    { weight: 3, arbitrary: startTag },
    { weight: 3, arbitrary: name.map((element) => `</${element}>`) },
    fc.constantFrom('text', '&amp;', ' ', '<![CDATA[<a>]]>'),
  );
  // Wrong nesting ends the stream, so most pieces stand in an element that is closed.
  const element = fc.tuple(startTag, piece).map(([start, inner]) => {
    const element = /[^<> \n/]+/.exec(start)?.[0];
    return start.endsWith('/>') ? start : `${start}${inner.startsWith('</') ? '' : inner}</${element}>`;
  });
  const stanza = fc
    .array(fc.oneof({ weight: 40, arbitrary: element }, piece), { maxLength: 4 })
    .map((inner) => `<message id='1'>${inner.join('')}</message>`);

  const sameForm = fc.tuple(value, value, value).map(([id, ns, text]) => {
    return `<message id="${id}"><a xmlns='${ns}' b="${text}"/></message>`;
  });

  const cases: [string, fc.Arbitrary<string>, Partial<ReaderLimits>][] = [
    ['tags of all kinds', stanza, {}],
    ['tags of one form with other values', sameForm, {}],
    ['tags among which some are over a limit', stanza, { maxAttributes: 3, maxDepth: 2 }],
  ];
  test.each(cases)('%s, whole, as one character at a time', (_, stanzas, limits) => {
    let whole = 0;
    fc.assert(
      fc.property(fc.array(stanzas, { minLength: 1, maxLength: 8 }), (some) => {
        const text = [...some, ...some].join('');
        const said = inStream(text, limits);
        whole += said.filter((line) => line.startsWith('<message')).length;
        // In single characters no form is ever known.
        expect(said).toEqual(read([header, ...text], limits).slice(1));
      }),
      { numRuns: 2000 },
    );
    expect(whole).toBeGreaterThan(1000);
  });

  test('after more forms than are remembered, too', () => {
    const texts = Array.from({ length: 3000 }, (_, at) => `<message><a${at} b${at}="${at}"/><c/></message>`);
    expect(inStream(texts.join('') + texts.join(''))).toEqual([...texts, ...texts]);
  });
});
