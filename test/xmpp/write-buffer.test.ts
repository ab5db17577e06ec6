// What is to be written to the legacy server comes out as it went in, whatever pieces it is kept in.

import { expect, test } from 'vitest';
import { WriteBuffer } from '../../src/xmpp/write-buffer.ts';

const large = '你好 🎉 '.repeat(20_000);

test.each([
  { name: 'nothing', texts: [] },
  { name: 'an empty text', texts: [''] },
  { name: 'texts beyond ASCII', texts: ['<message>', 'Grüße 🎉', '</message>'] },
  { name: 'a text larger than a chunk', texts: ['before', large, 'after'] },
  { name: 'many texts, over several chunks', texts: Array.from({ length: 9_000 }, (_, at) => `<a n="${at}">é</a>`) },
])('$name: comes out as it was added, and then no more', ({ texts }) => {
  const buffer = new WriteBuffer();
  for (const text of texts) buffer.add(text);
  expect(buffer.isEmpty).toBe(texts.join('') === '');
  expect(Buffer.concat(buffer.take()).toString()).toBe(texts.join(''));
  expect(buffer.isEmpty).toBe(true);
  expect(buffer.take()).toEqual([]);
});

test('what was taken stays as it is while more is added', () => {
  const buffer = new WriteBuffer();
  buffer.add('the first');
  const first = buffer.take();
  buffer.add('the second');
  expect(Buffer.concat(first).toString()).toBe('the first');
  expect(Buffer.concat(buffer.take()).toString()).toBe('the second');
});
