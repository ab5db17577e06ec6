// What the reader takes from its memory of tags is what sax would have read.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ReaderLimits } from '../../src/xmpp/stanza-limits.ts';
import { TagForms } from '../../src/xmpp/tag-forms.ts';
import { header, inStream, read } from './reading.ts';

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

test('readers that share their memory learn from each other, and read as one alone does', () => {
  const forms = new TagForms();
  const text = `<message id='1'><body>hi</body><x xmlns='urn:x'/></message>`;
  expect(inStream(text, {}, forms)).toEqual(inStream(text));
  expect(forms.find("<x xmlns='urn:y'/>", 0, 18)).toMatchObject({ kind: 'empty' });
  const other = `<message id='2'><body>ho</body><x xmlns='urn:y'/></message>`;
  expect(inStream(other, {}, forms)).toEqual(inStream(other));
});
