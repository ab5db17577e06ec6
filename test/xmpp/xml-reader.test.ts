// The reader: what it takes, in which form, and what it refuses.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import fc from 'fast-check';
import type { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import type { ReaderLimits, Skipped } from '../../src/xmpp/stanza-limits.ts';
import { parseStanza, XmlFault, XmlReader } from '../../src/xmpp/xml-reader.ts';
import { header, inStream, read } from './reading.ts';

describe('a well-formed stanza is read into the canonical form:', () => {
  test.each([
    [
      'text with entities',
      `<message><body>a &lt; b &amp; &#x1F600;</body></message>`,
      '<message><body>a &lt; b &amp; 😀</body></message>',
    ],
    [
      'jabber:client is the stream’s namespace',
      `<message xmlns='jabber:client'><body/></message>`,
      '<message><body/></message>',
    ],
    [
      'a prefix becomes a namespace',
      `<message><a:b xmlns:a='urn:a'><a:c/></a:b></message>`,
      '<message><b xmlns="urn:a"><c/></b></message>',
    ],
    [
      'a namespace equal to the parent’s is left out',
      `<message><b xmlns='urn:a'><c xmlns='urn:a'/></b></message>`,
      '<message><b xmlns="urn:a"><c/></b></message>',
    ],
    [
      'a namespace taken back is stated',
      `<message><b xmlns='urn:a'><c xmlns=''/></b></message>`,
      '<message><b xmlns="urn:a"><c xmlns=""/></b></message>',
    ],
    [
      'an attribute’s prefix is declared beside it',
      `<message xmlns:p='urn:p'><b xmlns='urn:a' p:c='1'/></message>`,
      '<message><b xmlns="urn:a" xmlns:p="urn:p" p:c="1"/></message>',
    ],
    ['xml: needs no declaration', `<message xml:lang='de'/>`, '<message xml:lang="de"/>'],
    ['an unused declaration goes', `<message xmlns:p='urn:p'/>`, '<message/>'],
    [
      'CDATA is text',
      `<message><body>1<![CDATA[<2>&]]>3</body></message>`,
      '<message><body>1&lt;2&gt;&amp;3</body></message>',
    ],
    ['> may stand in attributes', `<message id='a>b'/>`, '<message id="a&gt;b"/>'],
    [
      'names of JavaScript are names',
      `<message hasOwnProperty='1' __proto__='2' constructor='3'/>`,
      '<message hasOwnProperty="1" __proto__="2" constructor="3"/>',
    ],
    [
      'a stream error',
      `<stream:error><x xmlns='urn:x'/></stream:error>`,
      '<error xmlns="http://etherx.jabber.org/streams"><x xmlns="urn:x"/></error>',
    ],
    ['white space between stanzas is nothing', ` \n<message/> `, '<message/>'],
  ])('%s', (_, text, canonical) => {
    expect(inStream(text)).toEqual([canonical]);
  });

  test('the end of the stream is told, and what follows is not read', () => {
    expect(inStream('<message/></stream:stream><message/>')).toEqual(['<message/>', 'end']);
  });
});

describe('what ends the stream:', () => {
  test.each([
    ['a document type', '<!DOCTYPE x [<!ENTITY a "b">]>', 'restricted-xml'],
    ['a comment', '<message><!-- c --></message>', 'restricted-xml'],
    ['an empty comment', '<message><!----></message>', 'restricted-xml'],
    ['a processing instruction', '<message><?php x?></message>', 'restricted-xml'],
    ['an XML declaration in the middle', `<?xml version='1.0'?>`, 'restricted-xml'],
    ['some other declaration', '<message><!ELEMENT x></message>', 'restricted-xml'],
    ['an attribute twice', `<message id='1' id='2'/>`, 'not-well-formed'],
    ['< in an attribute', `<message id='<'/>`, 'not-well-formed'],
    ['a control character', '<message>\u0001</message>', 'not-well-formed'],
    ['U+FFFF', '<message>\uffff</message>', 'not-well-formed'],
    ['half a surrogate pair', '<message>\ud800</message>', 'not-well-formed'],
    ['a reference to a control character', '<message>&#0;</message>', 'not-well-formed'],
    ['a reference to a surrogate', '<message>&#xD800;</message>', 'not-well-formed'],
    ['an undefined entity', '<message>&nbsp;</message>', 'not-well-formed'],
    ['a wrong end tag', '<message><a></b></message>', 'not-well-formed'],
    ['an attribute without quotes', '<message id=1/>', 'not-well-formed'],
    ['text between stanzas', 'hello<message/>', 'bad-format'],
  ])('%s', (_, text, condition) => {
    expect(inStream(`${text}<message/>`)).toEqual([`error ${condition}`]);
  });

  test('something that is no stream', () => {
    expect(read(['<html>', '<message/>'])).toEqual(['error invalid-namespace']);
  });

  test('each of these also when it comes one character at a time', () => {
    for (const text of ['<message><!----></message>', `<message id='1' id='2'/>`, `<message id='<'/>`]) {
      expect(read([...header, ...text]).slice(1)).toEqual(inStream(text));
    }
  });
});

const envelope = (inner: string) =>
  `<message from='example.com'><d xmlns='urn:crossfade:attach:1' n='7' to='bob@example.com/mqtt'>${inner}</d></message>`;

describe('a stanza over a limit is skipped, and the next one is read:', () => {
  const outlined = (inner: string) =>
    `<message from="example.com"><d xmlns="urn:crossfade:attach:1" n="7" to="bob@example.com/mqtt">${inner}</d></message>`;
  const cases: [string, string, Partial<ReaderLimits>, string][] = [
    [
      'bytes',
      envelope(`<message id='1' xmlns='jabber:client'><body>${'x'.repeat(400)}</body></message>`),
      { maxBytes: 400 },
      '<message xmlns="jabber:client" id="1"><body/></message>',
    ],
    [
      'bytes',
      envelope(`<message id='1' xmlns='jabber:client'><body>${'ß'.repeat(150)}</body></message>`),
      { maxBytes: 400 },
      '<message xmlns="jabber:client" id="1"><body/></message>',
    ],
    [
      'depth',
      envelope(`<message id='1' xmlns='jabber:client'>${'<a>'.repeat(9)}${'</a>'.repeat(9)}</message>`),
      { maxDepth: 8 },
      '<message xmlns="jabber:client" id="1"><a/></message>',
    ],
    [
      'attributes',
      envelope(`<message id='1' xmlns='jabber:client' ${[...'abcdefgh'].map((name) => `${name}='1'`).join(' ')}/>`),
      { maxAttributes: 4 },
      '<message xmlns="jabber:client" id="1" a="1" b="1"/>',
    ],
  ];
  test.each(cases)('%s', (reason, text, limits, inner) => {
    // The outline has three levels.
    const three = inner.replace(/><(body|a)\/><\/message>/, '/>');
    expect(inStream(`${text}<message/>`, limits)).toEqual([`skipped ${reason} ${outlined(three)}`, '<message/>']);
    expect(read([header, ...text, '<message/>'], limits).slice(1)).toEqual([
      `skipped ${reason} ${outlined(three)}`,
      '<message/>',
    ]);
  });

  test('the limit is exact, in bytes', () => {
    const text = `<message><body>${'ß'.repeat(100)}</body></message>`;
    const bytes = Buffer.byteLength(text);
    expect(inStream(text, { maxBytes: bytes })).toEqual([text]);
    expect(inStream(text, { maxBytes: bytes - 1 })[0]).toMatch(/^skipped bytes/);
  });

  test.each([
    ['text', (filler: string) => ['<message><body>', filler, '</body></message>']],
    ['an attribute', (filler: string) => [`<message id='1'><body a='`, filler, `'/></message>`]],
    ['white space in a tag', (filler: string) => ['<message><body', filler.replaceAll('x', ' '), '/></message>']],
    ['CDATA', (filler: string) => ['<message><body><![CDATA[', filler.slice(0, 4096), ']]></body></message>']],
  ])('64 MiB of %s are not kept', (_, around) => {
    const chunk = 'x'.repeat(65_536);
    const [before = '', filler = '', after = ''] = around(chunk);
    const reader = new XmlReader({ maxBytes: 100_000 });
    const skipped: Skipped[] = [];
    reader.on('skipped', (one: Skipped) => skipped.push(one));
    reader.write(header);
    reader.write(before);
    globalThis.gc?.();
    const heap = process.memoryUsage().heapUsed;
    for (let at = 0; at < 1024; at += 1) reader.write(filler);
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(32 * 1024 * 1024);
    reader.write(after);
    expect(skipped).toMatchObject([{ reason: 'bytes', bytes: before.length + filler.length * 1024 + after.length }]);
    expect(reader.idle).toBe(true);
  });

  test('a name', () => {
    const long = 'n'.repeat(30);
    const text = envelope(`<message id='1' xmlns='jabber:client' ${long}='1'><a/></message>`);
    expect(inStream(`${text}<message/>`, { maxName: 20 })).toEqual([
      `skipped names ${outlined('<message xmlns="jabber:client" id="1"/>')}`,
      '<message/>',
    ]);
    expect(inStream(`<message id='1'><${long}/></message>`, { maxName: 20 })).toEqual([
      `skipped names <message id="1"><${'n'.repeat(20)}/></message>`,
    ]);
  });

  test('whom to answer, and whether, is known even of a tag with too many attributes', () => {
    const many = Array.from({ length: 100 }, (_, at) => `a${at}='1'`).join(' ');
    const text = `<message ${many} type='error' from='a@x' to='b@y' id='7'/>`;
    expect(inStream(text, { maxAttributes: 3 })).toEqual([
      'skipped attributes <message a0="1" a1="1" a2="1" type="error" from="a@x" to="b@y" id="7"/>',
    ]);
  });

  test('a start tag that was not read to its end says nothing but its name', () => {
    const text = `<message from='a@x' id='${'x'.repeat(500)}' type='error'/>`;
    const one = (all: string, limit: number) => read([header, ...all], { maxBytes: limit }).slice(1);
    expect(one(`${text}<message/>`, 200)).toEqual(['skipped bytes <message/>', '<message/>']);
    expect(one(envelope(text), 400)).toEqual([`skipped bytes ${outlined('').replace('></d>', '/>')}`]);
  });

  test.each([
    ['a comment', '<!-- c -->'],
    ['a document type', '<!DOCTYPE x>'],
    ['a processing instruction', '<?php x?>'],
  ])('in a skipped stanza, too, %s ends the stream', (_, text) => {
    const begun = `<message>${'x'.repeat(500)}<a>`;
    expect(inStream(`${begun}</a>${text}</message>`, { maxBytes: 200 })).toEqual(['error restricted-xml']);
    expect(read([header, ...begun, ...text], { maxBytes: 200 }).slice(1)).toEqual(['error restricted-xml']);
  });
});

describe('a name that cannot be resolved or written again costs the stanza, not the stream, which would only bring it again:', () => {
  const NS_XML = 'http://www.w3.org/XML/1998/namespace';
  test.each([
    ['an undeclared prefix', '<a:a/>', 'a'],
    ['an undeclared prefix of an attribute', `<a a:b='1' c='2'/>`, 'a c="2"'],
    ['a prefix bound to nothing', `<a xmlns:a=''/>`, 'a'],
    ['xml bound to something else', `<a xmlns:xml='urn:a'/>`, 'a'],
    ['an attribute twice under two prefixes', `<a xmlns:a='urn:a' xmlns:b='urn:a' a:c='1' b:c='2'/>`, 'a'],
    ['two colons', `<a:b:c xmlns:a='urn:a'/>`, 'c'],
    ['<xml:a/> as a contact writes it', '<xml:a/>', 'a'],
    ['<xml:a/> as Prosody hands it on', `<a xmlns='${NS_XML}'/>`, 'a'],
    ['a namespace with white space', `<a xmlns='urn:a b'/>`, 'a'],
    ['a namespace with a line end', `<a xmlns='urn:a&#10;b'/>`, 'a'],
    ['a namespace with markup', `<p:a xmlns:p='urn:}"'/>`, 'a'],
  ])('%s', (_, text, outlined) => {
    const expected = [`skipped names <message id="1"><${outlined}/></message>`, '<message/>'];
    const stanza = `<message id='1'><b/>${text}</message><message/>`;
    expect(inStream(stanza.replace('<b/>', ''))).toEqual(expected);
    expect(read([header, ...stanza]).slice(1)).toEqual(['skipped names <message id="1"><b/></message>', '<message/>']);
  });

  test('the stream itself must be right', () => {
    expect(read([header.replace('<stream:', '<s:')])).toEqual(['error bad-namespace-prefix']);
  });
});

test('a character cut by a chunk border stays whole, at every border', async () => {
  const text = '<message><body>aß€😀&#x1F600;é</body></message>';
  const bytes = Buffer.from(text);
  const heard: string[] = [];
  const server = createServer((socket) => {
    socket.setEncoding('utf8');
    const reader = new XmlReader();
    reader.on('element', (element: Element) => heard.push(element.toString()));
    socket.on('data', (data: unknown) => reader.write(data as string));
    socket.on('end', () => socket.end());
    reader.write(header);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  for (let at = 0; at <= bytes.length; at += 1) {
    for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
      await new Promise((resolve) => socket.write(part, resolve));
      // The other end reads in its own turn of the loop, so that the halves are two chunks.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  socket.end();
  await once(socket, 'close');
  server.close();
  const [first] = heard;
  expect(first).toBe('<message><body>aß€😀😀é</body></message>');
  expect(heard).toEqual(Array(bytes.length + 1).fill(first));
});

test('the reader never throws, whatever it is given', () => {
  const pieces = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '<',
      '>',
      '</',
      '/>',
      '<message',
      '<a:b ',
      `x='`,
      `'`,
      '"',
      '&',
      '&#',
      ';',
      '<!',
      '--',
      '<![CDATA[',
      ']]>',
      '<?',
      '?>',
      ' ',
      '\uffff',
      '\ud800',
    ),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), fc.boolean(), (chunks, open) => {
      const reader = new XmlReader({ maxBytes: 200, maxDepth: 3, maxAttributes: 2 });
      const faults: unknown[] = [];
      reader.on('error', (fault) => faults.push(fault));
      if (open) reader.write(header);
      for (const chunk of chunks) reader.write(chunk);
      reader.end();
      expect(faults.length).toBeLessThanOrEqual(1);
      expect(faults.every((fault) => fault instanceof XmlFault)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

describe('one element by itself:', () => {
  test.each([
    ['<a>1</a>', '<a>1</a>'],
    [` <a xmlns='jabber:client'/> `, '<a/>'],
    [`<a xmlns='urn:a'/>`, '<a xmlns="urn:a"/>'],
    ['<a/><b/>', null],
    ['<a/></x>', null],
    ['<a/></x><x>', null],
    ['<a>', null],
    ['a', null],
    ['', null],
    ['<x:a/>', null],
    ['<a><!-- --></a>', null],
    [`<a>${'<b>'.repeat(70)}${'</b>'.repeat(70)}</a>`, null],
  ])('%s', (text, canonical) => {
    const element = parseStanza(text);
    expect(element === null ? null : element.toString()).toBe(canonical);
  });
});
