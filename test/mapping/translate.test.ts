// Both lanes with the mappings that come along: rows of stanzas and payloads, every refusal, and that nothing gets lost.

import type { Element } from 'ltx';
import { describe, expect, it, test } from 'vitest';
import { canonical } from '../../src/mapping/examples.ts';
import { isRefusal } from '../../src/refusal.ts';
import { mappings, stanzaOf } from './mappings.ts';

const { table } = mappings;

/** The fields without sender and addressee, which are the same in all rows. */
function payloadOf(children: string, attributes = '') {
  const stanza = stanzaOf(`<message from='a@example.com/x' to='b@example.com' ${attributes}>${children}</message>`);
  const { channel, fields } = mappings.toPayload(stanza);
  const { from: _, to: __, xml, ...rest } = fields;
  return { channel, ...rest, ...(typeof xml === 'string' ? { xml: xml.replaceAll("'", '"') } : {}) };
}

describe('to MQTT', () => {
  const rows: [string, string, string, Record<string, unknown>][] = [
    ['a subject alone is a message', '<subject>S</subject>', '', { channel: 'message', subject: 'S' }],
    [
      'an empty subject is one, too',
      '<subject/>',
      "type='groupchat'",
      { channel: 'message', type: 'groupchat', subject: '' },
    ],
    [
      'text stays as it is',
      '<body> a\n&lt;b&gt; &#x1F600;<![CDATA[<c>]]> </body>',
      '',
      { channel: 'message', body: ' a\n<b> 😀<c> ' },
    ],
    ['the stanza has a language', '<body>x</body>', "xml:lang='fr'", { channel: 'message', lang: 'fr', body: 'x' }],
    [
      "of two bodies the one in the stanza's language is taken",
      "<body xml:lang='de'>D</body><body xml:lang='fr'>F</body>",
      "xml:lang='fr'",
      {
        channel: 'message',
        lang: 'fr',
        body: 'F',
        bodyLang: 'fr',
        xml: '<body xmlns="jabber:client" xml:lang="de">D</body>',
      },
    ],
    [
      'else the first',
      "<body xml:lang='de'>D</body><body xml:lang='fr'>F</body>",
      '',
      { channel: 'message', body: 'D', bodyLang: 'de', xml: '<body xmlns="jabber:client" xml:lang="fr">F</body>' },
    ],
    [
      'a receipt with a body is a message',
      '<received xmlns="urn:xmpp:receipts" id="1"/><body>x</body>',
      '',
      { channel: 'message', body: 'x', receipt: '1' },
    ],
    [
      'a receipt with a chat state is a receipt',
      '<active xmlns="http://jabber.org/protocol/chatstates"/><received xmlns="urn:xmpp:receipts" id="1"/>',
      '',
      { channel: 'receipt', state: 'active', receipt: '1' },
    ],
    [
      'a receipt for nothing is none',
      '<received xmlns="urn:xmpp:receipts"/>',
      '',
      { channel: 'stanza', xml: '<received xmlns="urn:xmpp:receipts"/>' },
    ],
    [
      'of two chat states one is taken',
      '<gone xmlns="http://jabber.org/protocol/chatstates"/><paused xmlns="http://jabber.org/protocol/chatstates"/>',
      '',
      { channel: 'chatstate', state: 'gone', xml: '<paused xmlns="http://jabber.org/protocol/chatstates"/>' },
    ],
    [
      'what an element holds beyond its fields is not lost',
      '<body x="1">hi<i>!</i></body>',
      '',
      { channel: 'message', body: 'hi', xml: '<body xmlns="jabber:client" x="1">hi<i>!</i></body>' },
    ],
    [
      'an element of another namespace is another element',
      '<body xmlns="urn:example:x">x</body>',
      '',
      { channel: 'stanza', xml: '<body xmlns="urn:example:x">x</body>' },
    ],
    [
      'prefixes stay bound',
      '<p:q xmlns:p="urn:example:p" xmlns:r="urn:example:r" r:s="1"/>',
      '',
      { channel: 'stanza', xml: '<q xmlns="urn:example:p" xmlns:r="urn:example:r" r:s="1"/>' },
    ],
    [
      'a delay that is none stays as it is',
      '<delay xmlns="urn:xmpp:delay" stamp="now"/>',
      '',
      { channel: 'stanza', xml: '<delay xmlns="urn:xmpp:delay" stamp="now"/>' },
    ],
    [
      'a second stanza-id stays as it is',
      '<stanza-id xmlns="urn:xmpp:sid:0" id="1" by="r@x"/><stanza-id xmlns="urn:xmpp:sid:0" id="2" by="b@x"/>',
      '',
      {
        channel: 'stanza',
        stanzaId: '1',
        stanzaIdBy: 'r@x',
        xml: '<stanza-id xmlns="urn:xmpp:sid:0" id="2" by="b@x"/>',
      },
    ],
    [
      "ejabberd's archived is dropped",
      '<archived xmlns="urn:xmpp:mam:tmp" id="1" by="b@x"/>',
      '',
      { channel: 'stanza' },
    ],
    [
      'an error is no reason to throw',
      '<body>x</body><error type="cancel"><gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>',
      "type='error' id='e'",
      {
        channel: 'message',
        id: 'e',
        type: 'error',
        body: 'x',
        xml: '<error xmlns="jabber:client" type="cancel"><gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>',
      },
    ],
    ['an empty message is a stanza', '', '', { channel: 'stanza' }],
    ['text between the children says nothing', ' x ', '', { channel: 'stanza' }],
  ];
  test.each(rows)('%s', (_, children, attributes, expected) => {
    const got = payloadOf(children, attributes);
    expect(got).toEqual('xml' in expected ? { ...expected, xml: expect.any(String) } : expected);
    if ('xml' in expected) expect(formOf(got.xml)).toBe(formOf(expected.xml));
  });

  it("a component's namespace is that of its stanzas", () => {
    const stanza = stanzaOf("<message to='b'><body>x</body></message>");
    stanza.attrs.xmlns = 'jabber:component:accept';
    expect(mappings.toPayload(stanza)).toMatchObject({ channel: 'message', fields: { body: 'x' } });
  });

  it('names the mapping that gave the channel', () => {
    const names = [
      '<body>x</body>',
      '<displayed xmlns="urn:xmpp:chat-markers:0" id="1"/>',
      '<x xmlns="urn:example:x"/>',
    ].map((child) => mappings.toPayload(stanzaOf(`<message to='b'>${child}</message>`)).mapping);
    expect(names).toEqual(['rfc6121-message', 'xep0333-markers', 'stanza']);
  });
});

/** XML can be written in more than one way: this is what it says. */
function formOf(xml: unknown): string {
  return canonical(table, stanzaOf(`<message>${xml}</message>`)).replace(/^<message \[\]>/, '');
}

describe('to XMPP, refused is', () => {
  const to = 'b@example.com';
  const body = 'x';
  const rows: [string, string, Record<string, unknown>, string][] = [
    ['an unknown channel', 'massage', { to, body }, "item-not-found: there is no channel 'massage'"],
    ['nobody to send it to', 'message', { body }, "bad-request: 'to' must be an address"],
    ['an empty address', 'message', { to: '', body }, "bad-request: 'to' must be an address"],
    ['an address that is no string', 'message', { to: [to], body }, "bad-request: 'to' must be an address"],
    [
      'a type there is not',
      'message',
      { to, body, type: 'error' },
      "bad-request: 'type' must be one of chat, groupchat, normal, headline",
    ],
    [
      'a type that is an object',
      'message',
      { to, body, type: {} },
      "bad-request: 'type' must be one of chat, groupchat, normal, headline",
    ],
    ['an id that is a number', 'message', { to, body, id: 7 }, "bad-request: 'id' must be a string of 1 to 256 bytes"],
    [
      'an id of 257 bytes',
      'message',
      { to, body, id: `${'é'.repeat(128)}x` },
      "bad-request: 'id' must be a string of 1 to 256 bytes",
    ],
    ['an unknown field', 'message', { to, body, colour: 'red' }, "bad-request: there is no field 'colour'"],
    [
      "a field of an object's prototype",
      'message',
      { to, body, constructor: 'x' },
      "bad-request: there is no field 'constructor'",
    ],
    [
      '__proto__',
      'message',
      JSON.parse('{"to":"b","body":"x","__proto__":{"body":"y"}}'),
      "bad-request: there is no field '__proto__'",
    ],
    [
      'a sender',
      'message',
      { to, body, from: 'eve@example.com' },
      "bad-request: 'from' is stated by the server, not by an app",
    ],
    [
      "the gateway's key",
      'message',
      { to, body, key: '1' },
      "bad-request: 'key' is stated by the server, not by an app",
    ],
    [
      'a field for the app only',
      'message',
      { to, body, delay: '2026-01-01T00:00:00Z' },
      "bad-request: 'delay' is stated by the server, not by an app",
    ],
    ['a text that is a number', 'message', { to, body: 1 }, "bad-request: 'body' must be a string"],
    ['a text that is null', 'message', { to, body: null }, "bad-request: 'body' must be a string"],
    [
      'a flag that is a word',
      'message',
      { to, body, markable: 'true' },
      "bad-request: 'markable' must be true or false",
    ],
    [
      'a chat state there is not',
      'chatstate',
      { to, state: 'asleep' },
      "bad-request: 'state' must be one of active, composing, paused, inactive, gone",
    ],
    [
      'NUL',
      'message',
      { to, body: 'a\u0000b' },
      "bad-request: 'body' must be free of characters that XML cannot carry",
    ],
    [
      'half a character',
      'message',
      { to, body: 'a\ud83d' },
      "bad-request: 'body' must be free of characters that XML cannot carry",
    ],
    [
      'such a character in an attribute',
      'receipt',
      { to, receipt: '\uffff' },
      "bad-request: 'receipt' must be free of characters that XML cannot carry",
    ],
    ['such a character in the address', 'message', { to: 'b\u0001@x', body }, "bad-request: 'to' must be an address"],
    [
      'a message on another channel',
      'chatstate',
      { to, state: 'active', body },
      'bad-request: this belongs on out/message, not on out/chatstate',
    ],
    [
      'nothing on the channel for messages',
      'message',
      { to },
      'bad-request: this belongs on out/stanza, not on out/message',
    ],
    [
      'a chat state as a stanza',
      'stanza',
      { to, state: 'active' },
      'bad-request: this belongs on out/chatstate, not on out/stanza',
    ],
    [
      'a flag that is not raised',
      'receipt',
      { to, wantsReceipt: false },
      'bad-request: this belongs on out/stanza, not on out/receipt',
    ],
  ];
  test.each(rows)('%s', (_, channel, payload, expected) => {
    const refusal = mappings.toStanza(channel, payload);
    expect(isRefusal(refusal) && `${refusal.name}: ${refusal.text}`).toBe(expected);
  });
});

describe('to XMPP', () => {
  const build = (channel: string, payload: Record<string, unknown>): Element => {
    const stanza = mappings.toStanza(channel, payload);
    if (isRefusal(stanza)) throw new Error(stanza.text);
    return stanza;
  };

  it('markup in a text stays text', () => {
    const stanza = build('message', { to: 'b', body: '</body><x/>&amp;' });
    expect(stanza.getChild('body')?.getText()).toBe('</body><x/>&amp;');
  });

  it('the sender is left for the caller', () =>
    expect(build('message', { to: 'b', body: 'x' }).attrs).toEqual({ to: 'b' }));

  it('xml in a further language comes back', () => {
    const xml = '<body xmlns="jabber:client" xml:lang="de">Guten Tag</body>';
    const stanza = build('message', { to: 'b', body: 'Good day', lang: 'en', xml });
    expect(stanza.children.map((child) => (typeof child === 'string' ? child : child.getText()))).toEqual([
      'Good day',
      'Guten Tag',
    ]);
  });

  it('an empty xml is none', () => expect(build('stanza', { to: 'b', xml: '' }).children).toEqual([]));
});
