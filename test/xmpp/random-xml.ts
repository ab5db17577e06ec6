// Random stanzas as text: nearly all well-formed, with every oddity that XML allows.

import fc from 'fast-check';

const name = fc.constantFrom(
  'a',
  'b',
  'message',
  'p:a',
  'q:b',
  'xml:c',
  'Ü',
  'a.-1',
  'nnnnnnnnnnnnnnnnnnnnnnnn',
  '__proto__',
  'hasOwnProperty',
);
const blank = fc.constantFrom('', '', ' ', '\n\t', '\r\n');
const piece = fc.constantFrom(
  ...[
    'x',
    '&lt;',
    '&amp;',
    '&#65;',
    '&#x00041;',
    '&#x1F600;',
    '😀',
    ' ',
    '>',
    '/',
    '/>',
    ']',
    ']]',
    "'",
    '"',
    '=',
    '\u2028',
  ],
  'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
);
const value = fc.array(piece, { maxLength: 4 }).map((parts) => parts.join(''));
const attribute = fc.oneof(
  fc.tuple(name, value, blank).map(([key, text, gap]) => `${key}${gap}=${gap}'${text.replaceAll("'", '&apos;')}'`),
  fc.tuple(name, value).map(([key, text]) => `${key}="${text.replaceAll('"', '&quot;')}"`),
  fc.constantFrom(`xmlns:p='urn:p'`, `xmlns:q='urn:p'`, `xmlns='urn:x'`, `xmlns=''`, `xmlns='a b'`, `xmlns:q="{}"`),
);
const cdata = fc
  .array(fc.constantFrom(']', ']]', '<', '</message>', '<!--', '&', 'x', '>'))
  .map((parts) => `<![CDATA[${parts.join('').replaceAll(']]>', '')}]]>`);
const { element } = fc.letrec<{ element: string }>((tie) => ({
  element: fc
    .tuple(
      name,
      fc.uniqueArray(attribute, { maxLength: 6, selector: (text) => /^[^ \r\n=]*/.exec(text)?.[0] }),
      blank,
      fc.array(fc.oneof({ depthSize: 'medium' }, value, cdata, tie('element')), { maxLength: 4 }),
    )
    .map(([tag, attributes, gap, children]) => {
      const start = ['<', tag, ...attributes.map((text) => ` ${text}`), gap].join('');
      return children.length === 0 ? `${start}/>` : `${start}>${children.join('')}</${tag}${gap}>`;
    }),
}));
/** One stanza whose text has what is odd and allowed; now and then something stands where it should not. */
export const stanza = fc
  .tuple(
    fc.constantFrom(`xmlns:p='urn:p' xmlns:q='urn:q'`, `xmlns:p='urn:p'`),
    fc.array(element, { maxLength: 4 }),
    fc.option(fc.tuple(fc.nat(), piece), { freq: 3 }),
  )
  .map(([declared, children, slip]) => {
    const text = `<message ${declared}>${children.join('')}</message>`;
    // Now and then something stands where it should not: expat says whether it may.
    const at = slip === null ? 0 : 1 + (slip[0] % (text.length - 1));
    return slip === null ? text : text.slice(0, at) + slip[1] + text.slice(at);
  });
