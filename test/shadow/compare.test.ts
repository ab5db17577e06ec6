// What a message would lose on its way to an app and back, row by row: equal, ignored by a rule, or reported with its path.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../src/mapping/compile.ts';
import { load } from '../../src/mapping/load.ts';
import { compare } from '../../src/shadow/compare.ts';
import { outlineOf } from '../../src/shadow/outline.ts';
import { rules } from '../../src/shadow/rules.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { writeStanza } from '../../src/xmpp/xml-writer.ts';
import { mappings, stanzaOf, withFiles } from '../mapping/mappings.ts';

const received = (inner: string, attrs = "id='m1' type='chat'") =>
  stanzaOf(`<message from='alice@example.com/desk' to='bob@example.com' ${attrs}>${inner}</message>`);
const sent = (inner: string, attrs = "id='m1' type='chat'") =>
  stanzaOf(`<message from='bob@example.com/phone' to='alice@example.com' ${attrs}>${inner}</message>`);
const both = ['in', 'out'] as const;
const of = (dir: (typeof both)[number], inner: string, attrs?: string) =>
  compare(mappings, dir === 'in' ? received(inner, attrs) : sent(inner, attrs), dir);

const equal: [what: string, inner: string, attrs?: string][] = [
  ['a text', '<body>Hello</body>'],
  ['no id and no type', '<body>Hello</body>', ''],
  ['an empty body', '<body/>'],
  [
    'a subject, a thread and a language',
    "<subject>s</subject><thread parent='p'>t</thread><body>b</body>",
    "id='m1' xml:lang='de'",
  ],
  ['the same in two languages', "<body>Good day</body><body xml:lang='de'>Guten Tag</body>"],
  [
    'a request for a receipt and a chat state',
    "<body>b</body><request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/>",
  ],
  ['a receipt', "<received xmlns='urn:xmpp:receipts' id='m0'/>"],
  ['a marker', "<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>"],
  ['an unknown namespace', "<body>b</body><x xmlns='urn:example:x' a='1'><y>text</y><z xmlns='urn:example:z'/></x>"],
  ['a prefix', "<body>b</body><p:x xmlns:p='urn:example:x' p:a='1' b='2'><p:y/></p:x>"],
  [
    'another order of attributes and children',
    "<x xmlns='urn:example:x' b='2' a='1'/><thread>t</thread><body>b</body>",
    "type='chat' id='m1'",
  ],
  ['white space between elements', "\n <body>b</body>\n <x xmlns='urn:example:x'>\n <y/>\n</x>\n"],
  ['several of one kind', "<body>b</body><x xmlns='urn:example:x'>1</x><x xmlns='urn:example:x'>2</x>"],
  [
    'encrypted',
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>AAA=</key></header><payload>BBB=</payload></encrypted><store xmlns='urn:xmpp:hints'/>",
  ],
];

describe.each(both)('%s', (dir) => {
  test.each(equal)('%s is equal', (_, inner, attrs) => {
    expect(of(dir, inner, attrs).losses).toEqual([]);
  });

  test('each child is counted as kept', () => {
    expect(of(dir, "<body>b</body><x xmlns='urn:example:x'/>").elements).toEqual([
      { namespace: 'jabber:client', name: 'body', kept: true },
      { namespace: 'urn:example:x', name: 'x', kept: true },
    ]);
  });

  test.each([
    [
      'an attribute of the message that no mapping knows',
      '<body>b</body>',
      "id='m1' nick='Al'",
      'message@nick',
      'lost',
    ],
    ['text beside the elements', 'text<body>b</body>', undefined, 'message#text', 'lost'],
  ])('%s is lost, and said so', (_, inner, attrs, path, kind) => {
    expect(of(dir, inner, attrs).losses).toEqual([{ path, namespace: 'jabber:client', kind }]);
  });

  test.each([
    ['delay', "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2026-01-01T00:00:00Z'/>"],
    ['legacy-delay', "<x xmlns='jabber:x:delay' stamp='20260101T00:00:00'/>"],
    ['stanza-id', "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.com' id='1'/>"],
    ['archived', "<archived xmlns='urn:xmpp:mam:tmp' by='bob@example.com' id='1'/>"],
  ])('what servers add is ignored by the rule %s', (rule, added) => {
    const { losses, elements, rules: used } = of(dir, `<body>b</body>${added}`);
    expect([losses, elements.length]).toEqual([[], 1]);
    expect(used).toContain(rule);
  });
});

test('lang: a language that no mapping carries is the stream’s, and ignored', () => {
  const stanza = received("<x xmlns='urn:example:x'/>", "id='m1' xml:lang='en'");
  expect(compare(compile([]), stanza, 'in')).toMatchObject({ losses: [], rules: ['lang'] });
});

test('from, to, id: what an app need not say is ignored', () => {
  const stanza = stanzaOf("<message from='bob@example.com/phone'><body>b</body></message>");
  const { losses, rules: used } = compare(mappings, stanza, 'out');
  expect([losses, used.sort()]).toEqual([[], ['from', 'id', 'to']]);
});

const errorStanza = (inside: string) =>
  received(
    `<body>bounced</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>${inside}</error>`,
    "id='m1' type='error'",
  );

test('bounced: what an error sends back is ignored; what it says beyond condition and text is lost', () => {
  expect(compare(mappings, errorStanza(''), 'in')).toMatchObject({
    ...{ channel: 'error', losses: [], rules: ['bounced'] },
    fields: { id: 'm1', condition: 'gone', text: '' },
  });
  expect(compare(mappings, errorStanza("<why xmlns='urn:example:why'/>"), 'in').losses).toEqual([
    { path: '{jabber:client}error/{urn:example:why}why', namespace: 'jabber:client', kind: 'lost' },
  ]);
});

test('error: an error that a client sends is ignored', () => {
  expect(compare(mappings, errorStanza(''), 'out')).toMatchObject({ losses: [], rules: ['error'] });
});

test('every rule has a test of its own here', () => {
  expect(Object.keys(rules).sort()).toEqual(
    ['delay', 'legacy-delay', 'stanza-id', 'archived', 'lang', 'from', 'to', 'id', 'bounced', 'error'].sort(),
  );
});

describe('what an app could not say', () => {
  const more = "<body>b</body><x xmlns='urn:example:x'/>";
  test.each([
    [
      'what only servers say',
      "<private xmlns='urn:xmpp:carbons:2'/>",
      '{urn:xmpp:carbons:2}private',
      'urn:xmpp:carbons:2',
    ],
    ['an element of jabber:client that nobody knows', '<nick>Al</nick>', '{jabber:client}nick', 'jabber:client'],
    ['a name beyond ASCII', "<é xmlns='urn:example:e'/>", '{urn:example:e}é', 'urn:example:e'],
    [
      'more in an element than its fields say',
      "<received xmlns='urn:xmpp:receipts' id='m0' odd='1'/>",
      '{urn:xmpp:receipts}received',
      'urn:xmpp:receipts',
    ],
    ['a second body in the same language', '<body>again</body>', '{jabber:client}body', 'jabber:client'],
    [
      'more than 64 KiB of xml',
      `<y xmlns='urn:example:y'>${'y'.repeat(66_000)}</y>`,
      '{urn:example:y}y',
      'urn:example:y',
    ],
  ])('%s is reported as refused, and the rest is compared', (_, inner, path, namespace) => {
    const { losses, elements } = of('out', more + inner);
    expect(losses).toEqual([{ path, namespace, kind: 'refused' }]);
    expect(elements.filter(({ kept }) => kept)).toHaveLength(2);
    // The app gets all of it.
    expect(of('in', more + inner).losses).toEqual([]);
  });

  test.each([
    ['an id of more than 256 bytes', `id='${'i'.repeat(257)}'`, 'message@id'],
    ['a type that there is not', "id='m1' type='shout'", 'message@type'],
  ])('%s', (_, attrs, path) => {
    expect(of('out', '<body>b</body>', attrs).losses).toEqual([{ path, namespace: 'jabber:client', kind: 'refused' }]);
    expect(of('in', '<body>b</body>', attrs).losses).toEqual([]);
  });
});

describe('a mapping that loses something is found out', () => {
  const withMapping = (yaml: string, inner: string, dir: 'in' | 'out' = 'in') =>
    withFiles({ 'm.yaml': yaml }, (folder) => compare(compile(load([folder])), received(inner), dir));
  const head = "xep: '0999'\ntitle: Test\nnamespaces: { x: 'urn:example:x' }\n";

  test('by dropping an element', () => {
    expect(withMapping(`${head}drop: ['x:x']\n`, "<x xmlns='urn:example:x'/>").losses).toEqual([
      { path: '{urn:example:x}x', namespace: 'urn:example:x', kind: 'lost' },
    ]);
  });

  test('what it keeps in a field, or in xml because the fields cannot say it all, is no loss', () => {
    const yaml = `${head}fields:\n  a: { path: 'x:x@a', about: A. }\n`;
    expect(withMapping(yaml, "<x xmlns='urn:example:x' a='1'/>").losses).toEqual([]);
    expect(withMapping(yaml, "<x xmlns='urn:example:x' a='1' b='2'><y/></x>").losses).toEqual([]);
  });
});

test('the outline of a stanza has no text, no value and no address in it', () => {
  const inner = "<body>secret</body><x xmlns='urn:example:x' a='secret'><y>secret</y></x>";
  const outline = outlineOf(received(inner, "id='secret' type='chat'"));
  expect(outline).toBe('<message from id to type><body>…</body><x xmlns="urn:example:x" a><y>…</y></x></message>');
});

describe('properties', () => {
  const text = fc.string().map((raw) => raw.replace(/[^ -~]/g, '').replace(/[<>&'"]/g, ''));
  const extension = fc
    .tuple(fc.constantFrom('a', 'b', 'body', 'x'), fc.constantFrom('urn:example:1', 'urn:example:2'), text, text)
    .map(([name, ns, value, inner]) => `<${name} xmlns='${ns}' v='${value}'><i>${inner}</i>${inner}</${name}>`);
  const part = fc.oneof(
    extension,
    text.map((id) => `<origin-id xmlns='urn:xmpp:sid:0' id='${id}'/>`),
    fc.constant("<markable xmlns='urn:xmpp:chat-markers:0'/>"),
    fc.constant("<no-store xmlns='urn:xmpp:hints'/>"),
  );
  const parts = fc.uniqueArray(part, {
    maxLength: 5,
    selector: (xml) => (xml.includes('example') ? xml : xml.slice(0, 8)),
  });

  test('inside the mapped language a message there and back is equal, both ways', () => {
    fc.assert(
      fc.property(text, parts, fc.constantFrom(...both), (body, inner, dir) => {
        const { losses } = of(dir, `<body>${body}</body>${inner.join('')}`);
        expect(losses).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('whatever a stanza holds, the comparison ends, leaves it as it was, and says no word of it', () => {
    const name = fc.constantFrom('body', 'thread', 'error', 'received', 'delay', 'x', 'subject', 'composing', 'result');
    const ns = fc.constantFrom(
      '',
      'jabber:client',
      'urn:xmpp:receipts',
      'urn:xmpp:delay',
      'urn:xmpp:carbons:2',
      'urn:crossfade:attach:1',
    );
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc
        .tuple(name, ns, fc.array(fc.oneof(fc.constant('SECRET'), tie('tree')), { maxLength: 3 }))
        .map(
          ([element, space, inner]) =>
            `<${element}${space && ` xmlns='${space}'`} id='SECRET'>${inner.join('')}</${element}>`,
        ),
    }));
    const type = fc.constantFrom('chat', 'error', 'groupchat', 'SECRET');
    fc.assert(
      fc.property(type, fc.array(tree, { maxLength: 4 }), fc.constantFrom(...both), (kind, inner, dir) => {
        const stanza = parseStanza(
          `<message from='SECRET@x/y' to='b@x' id='SECRET' type='${kind}'>${inner.join('')}</message>`,
        )!;
        const before = writeStanza(stanza);
        const { losses, elements, rules: used } = compare(mappings, stanza, dir);
        expect(writeStanza(stanza)).toBe(before);
        expect(JSON.stringify([losses, elements, used, outlineOf(stanza)])).not.toContain('SECRET');
      }),
      { numRuns: 500 },
    );
  });
});

test.each(both)('%s: a megabyte in a quarter of a million elements is one refused message', (dir) => {
  expect(of(dir, '<a/>'.repeat(250_000)).losses).toEqual([
    { path: 'message', namespace: 'jabber:client', kind: 'refused' },
  ]);
});
