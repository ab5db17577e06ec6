// What is kept of a stanza keeps nothing else in memory: above all not the 64 KiB of the stream it came in.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Element } from 'ltx';
import { expect, test } from 'vitest';
import { ContactView } from '../../src/flow/contact-view.ts';
import { alone } from '../../src/xmpp/stanza.ts';
import { XmlReader } from '../../src/xmpp/xml-reader.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const pieces = 300;
const piece = (n: number) => {
  const presence = `<presence from='contact-${n}@example.com/a-resource' to='bob@example.com' id='id-of-presence-${n}'/>`;
  return Buffer.from(presence + `<message><body>${'x'.repeat(1_000)}</body></message>`.repeat(60)).toString();
};

/** Megabytes that stay when of each piece of the stream the first stanza was given to `keep`. */
function staying(keep: (stanza: Element) => void): number {
  const reader = new XmlReader();
  reader.on('element', (stanza: Element) => stanza.name === 'presence' && keep(stanza));
  reader.write("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>");
  gc();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < pieces; n++) reader.write(piece(n));
  gc();
  return (process.memoryUsage().heapUsed - before) / 1e6;
}

test('an attribute kept as it was read keeps its piece; made to stand alone it does not', () => {
  const kept: string[] = [];
  // If this fails the reader copies by itself, and nobody needs `alone` any more.
  expect(staying(({ attrs }) => kept.push(attrs.id!))).toBeGreaterThan(10);
  expect(staying(({ attrs }) => kept.push(alone(attrs.id!)))).toBeLessThan(2);
  expect(kept[pieces]).toBe('id-of-presence-0');
});

test('the presence of contacts takes what its bound counts, and no piece of the stream', () => {
  const view = new ContactView();
  const megabytes = staying(({ attrs }) => view.keep(attrs.from!, '{"show":"away"}'));
  expect(view.size).toBe(pieces);
  expect(megabytes).toBeLessThan(2);
});
