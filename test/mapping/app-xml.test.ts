// What an app may say in the field `xml`, and every reason to refuse it.

import { describe, expect, test } from 'vitest';
import { isRefusal } from '../../src/refusal.ts';
import { mappings } from './mappings.ts';

describe('to XMPP, refused is', () => {
  const bad = "bad-request: 'xml' must be well-formed elements, without comments, instructions or DTD";
  const owner = (shown: string) => `forbidden: ${shown} in 'xml': only the server may say this`;
  const fragments: [string, unknown, string][] = [
    ['that is no string', 7, "bad-request: 'xml' must be a string"],
    ['that is not closed', '<a xmlns="urn:example:x">', bad],
    ['that closes the stanza', '</message><message>', bad],
    [
      'that closes the stanza and begins another',
      '</message><message to="c@example.com"><body>x</body></message><message>',
      bad,
    ],
    ['with a second root behind the stanza', '<a xmlns="urn:example:x"/></message><b/>', bad],
    ['with a comment', '<!-- x -->', bad],
    ['with an instruction', '<?x y?>', bad],
    ['with a document type', '<!DOCTYPE a><a xmlns="urn:example:x"/>', bad],
    ['with an undefined entity', '<a xmlns="urn:example:x">&x;</a>', bad],
    ['with an undeclared prefix', '<x:a/>', bad],
    ['with an attribute twice', '<a xmlns="urn:example:x" b="1" b="2"/>', bad],
    ['with NUL', '<a xmlns="urn:example:x">\u0000</a>', bad],
    [
      'with a name of more than ASCII',
      '<ȡ xmlns="urn:example:x"/>',
      "not-acceptable: 'xml' has the name 'ȡ': names must be ASCII",
    ],
    [
      'with one inside',
      '<a xmlns="urn:example:x"><b/><b><ü/></b></a>',
      "not-acceptable: 'xml' has the name 'ü': names must be ASCII",
    ],
    [
      'with such an attribute',
      '<a xmlns="urn:example:x" é="1"/>',
      "not-acceptable: 'xml' has the name 'é': names must be ASCII",
    ],
    [
      'with such a prefix',
      '<a xmlns="urn:example:x" xmlns:é="urn:e" é:b="1"/>',
      "not-acceptable: 'xml' has the name 'xmlns:é': names must be ASCII",
    ],
    ['with a blank in a namespace', '<a xmlns="urn:example x"/>', bad],
    ['with markup in a namespace', '<p:a xmlns:p="urn:example&lt;x"/>', bad],
    [
      'of more than 64 KiB',
      `<a xmlns="urn:example:x">${'é'.repeat(32_760)}</a>`,
      "policy-violation: 'xml' has 65549 bytes, and 65536 are allowed",
    ],
    ['with text between the elements', '<a xmlns="urn:example:x"/>x', bad],
    [
      'that says what a field says',
      '<request xmlns="urn:xmpp:receipts"/>',
      "bad-request: <request xmlns='urn:xmpp:receipts'> in 'xml': this has a field of its own",
    ],
    ['with a second body', '<body>y</body>', "bad-request: <body> in 'xml': this has a field of its own"],
    [
      "with a second body in the first one's language",
      '<body xml:lang="en">y</body>',
      "bad-request: <body> in 'xml': this has a field of its own",
    ],
    [
      'with a subject in a further language, but no first',
      '<subject xml:lang="de">y</subject>',
      "bad-request: <subject> in 'xml': this has a field of its own",
    ],
    [
      'with an unknown element of jabber:client',
      '<error type="cancel"/>',
      "bad-request: <error> in 'xml' is not known",
    ],
    ['with one that says so', '<message xmlns="jabber:client"/>', "bad-request: <message> in 'xml' is not known"],
    [
      'with a stanza-id',
      '<stanza-id xmlns="urn:xmpp:sid:0" id="1" by="x"/>',
      owner("<stanza-id xmlns='urn:xmpp:sid:0'>"),
    ],
    [
      'with what is dropped',
      '<archived xmlns="urn:xmpp:mam:tmp" id="1" by="x"/>',
      owner("<archived xmlns='urn:xmpp:mam:tmp'>"),
    ],
    ...[
      ['sent', 'urn:xmpp:carbons:2'],
      ['delay', 'urn:xmpp:delay'],
      ['x', 'jabber:x:delay'],
      ['result', 'urn:xmpp:mam:2'],
      ['message', 'jabber:server'],
      ['features', 'http://etherx.jabber.org/streams'],
      ['r', 'urn:xmpp:sm:3'],
      ['bind', 'urn:ietf:params:xml:ns:xmpp-bind'],
      ['session', 'urn:ietf:params:xml:ns:xmpp-session'],
      ['query', 'jabber:iq:register'],
      ['d', 'urn:crossfade:attach:1'],
      ['privilege', 'urn:xmpp:privilege:2'],
    ].map(([name, ns]): [string, string, string] => [
      `with ${ns}`,
      `<${name} xmlns='${ns}'/>`,
      owner(`<${name} xmlns='${ns}'>`),
    ]),
  ];
  test.each(fragments)('xml %s', (_, xml, expected) => {
    const refusal = mappings.toStanza('message', { to: 'b@example.com', body: 'x', lang: 'en', xml });
    expect(isRefusal(refusal) && `${refusal.name}: ${refusal.text}`).toBe(expected);
  });
});

test('xml of 64 KiB is taken', () => {
  const xml = `<a xmlns="urn:example:x">${'x'.repeat(65_536 - 29)}</a>`;
  expect([Buffer.byteLength(xml), isRefusal(mappings.toStanza('stanza', { to: 'b', xml }))]).toEqual([65_536, false]);
});
