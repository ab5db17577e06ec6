// The writer: what it writes the reader reads as the same, and what must not go out is refused.

import fc from 'fast-check';
import { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import { isRefusal } from '../../src/refusal.ts';
import { isContent } from '../../src/xmpp/stanza.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { forEnvelope, forStream, tag, writeElement, writeStanza, writeWithContent } from '../../src/xmpp/xml-writer.ts';

/** A tree built by hand: name, attributes, children. */
const el = (name: string, attrs: Record<string, string> = {}, ...children: (Element | string)[]) => {
  const element = new Element(name, attrs);
  element.append(...children.filter((child) => child !== ''));
  return element;
};

describe('a stanza is written as', () => {
  test.each([
    ['text', el('message', {}, el('body', {}, 'a<b>&"\'')), `<message><body>a&lt;b&gt;&amp;"'</body></message>`],
    [
      'white space that would be changed',
      el('message', { id: 'a\t\n\r"' }, 'a\rb\tc'),
      '<message id="a&#9;&#10;&#13;&quot;">a&#13;b\tc</message>',
    ],
    ['the end of CDATA', el('message', {}, ']]>'), '<message>]]&gt;</message>'],
    ['no namespace of its own', el('message', { xmlns: 'jabber:client', to: 'b' }), '<message to="b"/>'],
    [
      'children’s namespaces',
      el('message', {}, el('x', { id: '1', xmlns: 'urn:x' }, el('y', { xmlns: 'urn:x' }))),
      '<message><x xmlns="urn:x" id="1"><y/></x></message>',
    ],
    [
      'a stanza inside',
      el('message', {}, el('f', { xmlns: 'urn:f' }, el('message', { xmlns: 'jabber:client' }))),
      '<message><f xmlns="urn:f"><message xmlns="jabber:client"/></f></message>',
    ],
    [
      'a declared prefix',
      el('message', { 'xmlns:p': 'urn:p', 'p:a': '1', 'xml:lang': 'de' }),
      '<message xmlns:p="urn:p" p:a="1" xml:lang="de"/>',
    ],
    ['an attribute without value: left out', el('message', { id: undefined as unknown as string }), '<message/>'],
  ])('%s', (_, stanza, text) => {
    expect(writeStanza(stanza)).toBe(text);
  });

  test('with its namespace where it is asked for', () => {
    expect(writeStanza(el('message', { to: 'b' }), { ns: 'jabber:client' })).toBe(
      '<message xmlns="jabber:client" to="b"/>',
    );
    expect(writeElement(el('x', { xmlns: 'urn:x' }))).toBe('<x xmlns="urn:x"/>');
  });
});

describe('the content of a stanza is the same', () => {
  const content = '<body>a&amp;b</body><x xmlns="urn:x" a="1"/>';
  test.each([
    [
      'with and without what servers add',
      `<message>${content}<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>
      <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='b'/><archived xmlns='urn:xmpp:mam:tmp' id='1' by='b'/></message>`,
    ],
    ['in any language', `<message xml:lang='de'>${content}</message>`],
    ['however it was spelled', `<message><body>a&#38;b</body><p:x a='1' xmlns:p='urn:x'></p:x></message>`],
    ['as one of the component’s stream', `<message xmlns='jabber:component:accept'>${content}</message>`],
  ])('%s', (_, text) => {
    expect(writeWithContent(parseStanza(text)!, isContent)).toMatchObject({ content });
  });

  test('and not that of one with other words, or with other children', () => {
    for (const other of [content.replace('&amp;', ''), `${content}<y xmlns="urn:y"/>`, content.replace('1', '2')]) {
      expect(writeWithContent(parseStanza(`<message>${other}</message>`)!, isContent)).toEqual({
        text: `<message>${other}</message>`,
        content: other,
      });
    }
  });
});

describe('refused instead of written:', () => {
  test.each([
    ['NUL', el('message', {}, '\u0000')],
    ['a control character', el('message', {}, el('body', {}, 'a\u001bb'))],
    ['a control character in an attribute', el('message', { id: '\u0008' })],
    ['U+FFFE', el('message', {}, '\ufffe')],
    ['U+FFFF', el('message', {}, '\uffff')],
    ['a high surrogate alone', el('message', {}, 'a\ud83d')],
    ['a low surrogate alone', el('message', {}, '\ude00a')],
    ['surrogates the wrong way round', el('message', {}, '\ude00\ud83d')],
    ['a name with a blank', el('message', {}, el('a b'))],
    ['a name that is markup', el('message', {}, el('a/><b'))],
    ['an empty name', el('message', {}, el(''))],
    ['a name that starts with a digit', el('message', {}, el('1'))],
    ['a prefixed name', el('message', {}, el('a:b', { 'xmlns:a': 'urn:a' }))],
    ['an attribute that is markup', el('message', { 'a="" b': '1' })],
    ['an unbound prefix', el('message', { 'p:a': '1' })],
    ['a prefix bound to nothing', el('message', { 'xmlns:p': '', 'p:a': '1' })],
    ['the prefix xmlns', el('message', { 'xmlns:xmlns': 'urn:a' })],
    ['xml bound to something else', el('message', { 'xmlns:xml': 'urn:a' })],
    ['the namespace of xml as default', el('message', {}, el('a', { xmlns: 'http://www.w3.org/XML/1998/namespace' }))],
    ['a name of the fifth edition only', el('message', {}, el('ȡ', { xmlns: 'urn:x' }))],
    ['an attribute of the fifth edition only', el('message', {}, el('a', { ȡ: '1' }))],
    ...[...' \t\n\r\u00a0<>"{}|\\^`'].map((char): [string, Element] => [
      `a namespace with ${JSON.stringify(char)}`,
      el('message', {}, el('a', { xmlns: `urn:${char}x` })),
    ]),
    ['a prefix for such a namespace', el('message', { 'xmlns:p': 'urn:a b', 'p:a': '1' })],
    ['an attribute twice', el('message', { 'xmlns:a': 'urn:a', 'xmlns:b': 'urn:a', 'a:c': '1', 'b:c': '2' })],
    ['what is no stanza', el('stream')],
    ['what is a stanza by name only', el('message', { xmlns: 'urn:x' })],
    ['too many levels', Array.from({ length: 300 }).reduce<Element>((inner) => el('a', {}, inner), el('a'))],
  ])('%s', (_, stanza) => {
    expect(isRefusal(writeStanza(stanza))).toBe(true);
  });
});

test('a tree that refers to itself is refused', () => {
  const stanza = el('message');
  stanza.children.push(stanza);
  expect(isRefusal(writeStanza(stanza))).toBe(true);
});

const names = fc.constantFrom('a', 'body', 'x-1', 'Ü', '_', 'constructor', '__proto__');
const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom('<', '>', '&', '"', "'", '\r', '\n', '\t', ']]>', '😀', ' '),
    fc.string({ unit: 'binary', maxLength: 1 }),
  ),
});
const namespaces = fc.constantFrom('urn:a', "urn:b&'(é)", 'jabber:client', '');
const attributes = fc.dictionary(
  names.filter((name) => name !== '__proto__'),
  texts,
  { maxKeys: 3 },
);
const { node } = fc.letrec<{ node: Element }>((tie) => ({
  node: fc
    .record({
      name: names,
      ns: fc.option(namespaces, { nil: undefined }),
      attrs: attributes,
      lang: fc.boolean(),
      children: fc.array(fc.oneof({ depthSize: 'small' }, texts, tie('node')), { maxLength: 3 }),
    })
    .map(({ name, ns, attrs, lang, children }) =>
      el(
        name,
        { ...(ns === undefined ? {} : { xmlns: ns }), ...attrs, ...(lang ? { 'xmlns:p': 'urn:p', 'p:q': '1' } : {}) },
        ...children,
      ),
    ),
}));

test('whatever the writer writes, the reader reads as the same', () => {
  let written = 0;
  fc.assert(
    fc.property(fc.array(node, { maxLength: 3 }), attributes, (children, attrs) => {
      const text = writeStanza(el('message', attrs, ...children));
      if (isRefusal(text)) return;
      written += 1;
      const read = parseStanza(text, { maxDepth: 1000 });
      expect(read && writeStanza(read)).toBe(text);
    }),
    { numRuns: 1500 },
  );
  expect(written).toBeGreaterThan(300);
});

test('text goes through writer and reader unchanged, or not at all', () => {
  fc.assert(
    fc.property(texts, texts, (body, id) => {
      const text = writeStanza(el('message', { id }, el('body', {}, body)));
      if (isRefusal(text)) return;
      const read = parseStanza(text);
      expect([read?.attrs.id, read?.getChildText('body')]).toEqual([id, body]);
    }),
  );
});

test('a written stanza moves between the stream and an envelope', () => {
  const inside = '<message xmlns="jabber:client" to="b"><body xmlns="jabber:client"/></message>';
  const outside = '<message to="b"><body xmlns="jabber:client"/></message>';
  expect([forEnvelope(outside), forEnvelope(inside)]).toEqual([inside, inside]);
  expect([forStream(inside), forStream(outside)]).toEqual([outside, outside]);
  expect([forEnvelope('<iq/>'), forStream('<iq xmlns="jabber:client"/>')]).toEqual([
    '<iq xmlns="jabber:client"/>',
    '<iq/>',
  ]);
});

test('an envelope’s attributes are escaped, and an illegal one is a fault', () => {
  expect(tag('send', { from: 'a"<&', key: 1, no: undefined }, '<x/>')).toBe(
    '<send from="a&quot;&lt;&amp;" key="1"><x/></send>',
  );
  expect(() => tag('send', { from: '\u0000' })).toThrow('send/@from');
});
