// Random messages and presences inside the mapped language: every field, all that a text may be, and elements no mapping knows.

import fc from 'fast-check';

// Text without line ends other than \n: a parser that normalises them would not be at fault (XML 1.0 §2.11). Of all planes, with what
// is rare: C1, line separators, marks without a base, noncharacters beyond the basic plane.
const rare = fc.constantFrom(
  ...'<>&"\'\u0085\u009f\u00ad\u0308\u200d\u2028\ufeff\ufffd\ud7ff\ue000',
  ']]>',
  '<!--',
  '\u{1f468}\u200d\u{1f469}',
  '\u{10ffff}',
  '\u{1fffe}',
);
const text = fc
  .string({
    unit: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 2 }), fc.string({ unit: 'binary', maxLength: 2 }), rare),
    maxLength: 12,
  })
  .map((raw) => raw.replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, ''));
const language = fc.constantFrom(undefined, 'en', 'de', 'fr');
const escaped = (raw: string) => raw.replace(/[&<>"'\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
export const attribute = (name: string, value: string | undefined) =>
  value === undefined ? '' : ` ${name}="${escaped(value)}"`;
const element = (name: string, ns: string, attrs = '', inner = '') =>
  `<${name}${ns && attribute('xmlns', ns)}${attrs}>${escaped(inner)}</${name}>`;

/** One text per language, as RFC 6121 §5.2.3 wants it: of two in the same one, none could be told to be the message's. */
const texts = (name: string, own: string | undefined) =>
  fc
    .uniqueArray(fc.tuple(language, text), { maxLength: 3, selector: ([lang]) => lang ?? own })
    .map((all) => all.map(([lang, inner]) => element(name, '', attribute('xml:lang', lang), inner)));
const one = (arbitrary: fc.Arbitrary<string>) =>
  fc.option(arbitrary, { nil: undefined }).map((each) => (each === undefined ? [] : [each]));
const flag = (name: string, ns: string) => one(fc.constant(element(name, ns)));
const some = (arbitrary: fc.Arbitrary<string>) => fc.option(arbitrary, { nil: undefined });
const withAttributes = (
  name: string,
  ns: string,
  own: Record<string, fc.Arbitrary<string | undefined>>,
  inner: fc.Arbitrary<string> = fc.constant(''),
) =>
  one(
    fc.tuple(fc.record(own), inner).map(([values, content]) =>
      element(
        name,
        ns,
        Object.entries(values)
          .map(([key, value]) => attribute(key, value))
          .join(''),
        content,
      ),
    ),
  );

const namespaces = fc.constantFrom(
  'urn:example:a',
  'urn:xmpp:receipts',
  'http://jabber.org/protocol/chatstates',
  'urn:x?y=1&z=2',
  'ü',
);
const prefixed = fc.constantFrom(
  '<p:a xmlns:p="urn:p" p:b="1" c="2"><p:d/><d xmlns="urn:q" p:e="3"/></p:a>',
  '<a xmlns="urn:a" xml:lang="en" xml:space="preserve"> <b xmlns=""/> </a>',
  '<a xmlns="urn:a" xmlns:p="urn:a" p:b="1" b="2"/>',
  '<a xmlns="urn:a"><![CDATA[<b>&amp;]]></a>',
);
/** An element that no mapping knows, or that has a known namespace only. */
const unknown = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc
    .tuple(
      namespaces,
      text,
      fc.array(fc.oneof({ depthSize: 'small' }, text.map(escaped), tie('tree'), prefixed), { maxLength: 3 }),
    )
    .map(([ns, value, inner]) => `<z${attribute('xmlns', ns)}${attribute('c', value)}>${inner.join('')}</z>`),
})).tree;
const deep = fc
  .integer({ min: 2, max: 50 })
  .map((levels) => `${'<a xmlns="urn:deep">'.repeat(levels)}x${'</a>'.repeat(levels)}`);
const others = fc.array(
  fc.oneof({ weight: 4, arbitrary: unknown }, { weight: 2, arbitrary: prefixed }, { weight: 1, arbitrary: deep }),
  { maxLength: 2 },
);

/** Of times only: what is none goes into xml, where an app may not state it. */
const stamp = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.123456Z', '1969-07-21T02:56:15+01:00');
const address = fc.oneof(fc.constantFrom('example.com', 'bob@example.com'), text);
const id = some(text.filter((raw) => raw !== '' && Buffer.byteLength(raw) <= 256));

const [receipts, markers, sid, hints] = [
  'urn:xmpp:receipts',
  'urn:xmpp:chat-markers:0',
  'urn:xmpp:sid:0',
  'urn:xmpp:hints',
];
export const message: fc.Arbitrary<string> = language.chain((lang) =>
  fc
    .record({
      id,
      type: fc.constantFrom(undefined, 'chat', 'groupchat', 'normal', 'headline'),
      children: fc
        .tuple(
          texts('body', lang),
          texts('subject', lang),
          withAttributes('thread', '', { parent: some(text) }, text),
          one(
            fc
              .constantFrom('active', 'composing', 'paused', 'inactive', 'gone')
              .map((name) => element(name, 'http://jabber.org/protocol/chatstates')),
          ),
          withAttributes('received', receipts, { id: text }),
          flag('request', receipts),
          withAttributes('displayed', markers, { id: text }),
          flag('markable', markers),
          withAttributes('origin-id', sid, { id: text }),
          withAttributes('stanza-id', sid, { id: text, by: some(address) }),
          ...['no-store', 'no-permanent-store', 'no-copy', 'store'].map((name) => flag(name, hints)),
          one(fc.constant('<archived xmlns="urn:xmpp:mam:tmp" id="1"/>')),
          withAttributes('delay', 'urn:xmpp:delay', { stamp, from: some(address) }, text),
          others,
        )
        .chain((parts) => fc.shuffledSubarray(parts.flat(), { minLength: 0 })),
    })
    .map(({ id, type, children }) => {
      const attrs = [attribute('id', id), attribute('type', type), attribute('xml:lang', lang)].join('');
      return `<message from="a@example.com/x" to="b@example.com"${attrs}>${children.join('')}</message>`;
    }),
);

export const presence: fc.Arbitrary<string> = fc
  .record({
    id,
    type: fc.constantFrom(undefined, 'unavailable', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed'),
    children: fc
      .tuple(
        one(fc.constantFrom('chat', 'away', 'xa', 'dnd').map((show) => element('show', '', '', show))),
        withAttributes('status', '', {}, text),
        one(fc.integer({ min: -128, max: 127 }).map((priority) => element('priority', '', '', String(priority)))),
        withAttributes('delay', 'urn:xmpp:delay', { stamp }),
        withAttributes('c', 'http://jabber.org/protocol/caps', { ver: text }),
        others,
      )
      .chain((parts) => fc.shuffledSubarray(parts.flat(), { minLength: 0 })),
  })
  .map(({ id, type, children }) => {
    const attrs = [attribute('id', id), attribute('type', type)].join('');
    return `<presence from="a@example.com/x" to="b@example.com"${attrs}>${children.join('')}</presence>`;
  });
