// What hostile input is made of: valid texts with mistakes in them reach deeper than noise does.

import fc from 'fast-check';

/** Characters that have a meaning somewhere, and some that should have none. */
const spice = [
  ...'<>&"\'/=:;@#+$%{}[]|\\ \t\n\r',
  ...[
    '\0',
    '\u0001',
    '\u001f',
    '\u007f',
    '\u0085',
    '\u00ad',
    '\u200b',
    '\u2028',
    '\ufeff',
    '\ufffe',
    '\ud800',
    '\udc00',
    'ß',
    'İ',
    'ﬃ',
    '😀',
  ],
  ...[
    '<![CDATA[',
    ']]>',
    '<!--',
    '<?x?>',
    '<!DOCTYPE x>',
    '&amp;',
    '&#0;',
    '&lol;',
    '__proto__',
    'xmlns',
    '../',
    '%2F',
    '%00',
    '%C0%80',
  ],
];

export const junk = fc
  .array(fc.oneof(fc.constantFrom(...spice), fc.string({ unit: 'binary', maxLength: 6 })), { maxLength: 12 })
  .map((parts) => parts.join(''));

/** One of these texts with some of it taken out, doubled, moved, or replaced by junk. */
export function mistaken(texts: readonly string[]): fc.Arbitrary<string> {
  const cut = fc.record({
    at: fc.nat(),
    length: fc.nat({ max: 40 }),
    what: fc.constantFrom('drop', 'double', 'junk', 'move'),
    junk,
    to: fc.nat(),
  });
  return fc.tuple(fc.constantFrom(...texts), fc.array(cut, { maxLength: 4 })).map(([text, cuts]) => {
    let made = text;
    for (const { at, length, what, junk, to } of cuts) {
      const from = made.length === 0 ? 0 : at % made.length;
      const piece = made.slice(from, from + length);
      const rest = made.slice(0, from) + made.slice(from + length);
      const there = rest.length === 0 ? 0 : to % rest.length;
      if (what === 'drop') made = rest;
      else if (what === 'double') made = made.slice(0, from) + piece + made.slice(from);
      else if (what === 'junk') made = made.slice(0, from) + junk + made.slice(from + length);
      else made = rest.slice(0, there) + piece + rest.slice(there);
    }
    return made;
  });
}

/** Any JSON, with names that mean something to us among its keys. */
const names = fc.constantFrom(
  'id',
  'to',
  'body',
  'type',
  'xml',
  'keys',
  'key',
  'from',
  'at',
  'receipt',
  'state',
  'thread',
  'subject',
  'lang',
  'displayed',
  'wantsReceipt',
  '__proto__',
  'constructor',
  'refused',
);
export const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    junk,
    fc.constantFrom('alice@example.com', 'chat', 'm1', 'composing', '<x xmlns="urn:x"/>'),
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(names, junk), tie('value'), { maxKeys: 6, noNullPrototype: false }),
  ),
})).value;

export const payload = fc.dictionary(fc.oneof({ weight: 5, arbitrary: names }, { weight: 1, arbitrary: junk }), json, {
  maxKeys: 10,
  noNullPrototype: false,
});

const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const children = [
  "<x xmlns='urn:x' a='1'>y<z/></x>",
  "<active xmlns='http://jabber.org/protocol/chatstates'/>",
  "<p:q xmlns:p='urn:p' p:r='s'/>",
  "<a xmlns='urn:a' xml:lang='de'>&lt;&#x10ffff;&amp;<b xmlns=''/>]]&gt;</a>",
];

/** Junk of which what XML may hold is left (XML 1.0 §2.2). */
export const sayable = junk.map((text) =>
  text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, ''),
);

/** Most of it goes through. */
const words = fc.oneof({ weight: 30, arbitrary: sayable }, { weight: 1, arbitrary: junk });

/** Most are as they should be. */
const extensions = fc
  .array(
    fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...children) }, { weight: 1, arbitrary: mistaken(children) }),
    { maxLength: 2 },
  )
  .map((all) => all.join(''));

/** Payloads that nearly all are messages, with hostile words in them. */
export const message = fc
  .record({
    body: some(words),
    subject: some(words),
    thread: some(words),
    lang: some(fc.constantFrom('en', 'de', '')),
    wantsReceipt: some(fc.boolean()),
    markable: some(fc.boolean()),
    type: fc.constantFrom('chat', 'normal', 'headline'),
    xml: some(extensions),
  })
  .map((fields): Record<string, unknown> => ({ ...fields }));
