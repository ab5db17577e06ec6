// Our readers beside those of servers, bounded and with one seed: npm run fuzz takes others.

import { Element } from 'ltx';
import { expect, test } from 'vitest';
import { parseJid } from '../../src/xmpp/jid.ts';
import { writeStanza } from '../../src/xmpp/xml-writer.ts';
import { besideExpat, payloadsBesideExpat, read } from './beside-expat.ts';
import { besideProsody } from './beside-prosody.ts';

test('what expat takes our reader takes, and finds the same; and what we write of it expat finds the same', () => {
  const { fault, same } = besideExpat(1, 4_000);
  expect(fault).toBeNull();
  expect(same).toBeGreaterThan(1_500);
});

test('what is written of a payload expat takes, and finds what was meant', () => {
  const { fault, same } = payloadsBesideExpat(1, 6_000);
  expect(fault).toBeNull();
  expect(same).toBeGreaterThan(1_500);
});

test('what we make of an address is to Prosody the same address, and what comes from Prosody stays as it is', () => {
  const { fault, same } = besideProsody(1, 10_000);
  expect(fault).toBeNull();
  expect(same).toBeGreaterThan(2_000);
});

const broken: [what: string, found: () => { fault: string | null }][] = [
  ['refuses what expat takes', () => besideExpat(1, 500, (text) => (text.includes('CDATA') ? null : read(text)))],
  ['loses an attribute', () => besideExpat(1, 500, (text) => changed(text, (element) => delete element.attrs.id))],
  [
    'loses a text',
    () =>
      besideExpat(1, 500, (text) =>
        changed(text, ({ children }) => typeof children[0] === 'string' && children.shift()),
      ),
  ],
  ['forgets a namespace', () => besideExpat(1, 500, (text) => changed(text, (element) => delete element.attrs.xmlns))],
  ['writes what it should escape', () => payloadsBesideExpat(1, 1_000, unescaped)],
  ['keeps capitals', () => besideProsody(1, 500, (text) => withLocal(text, (local) => local.replace('ω', 'Ω')))],
  [
    'takes two users for one',
    () => besideProsody(1, 500, (text) => withLocal(text, (local) => local.replaceAll('ä', 'a'))),
  ],
  ['refuses a good name', () => besideProsody(1, 500, (text) => (text.includes('к') ? null : parseJid(text)))],
];

test.each(broken)('a reader that %s is found out', (_, found) => {
  expect(found().fault).not.toBeNull();
});

/** What the reader says, with each element changed. */
function changed(text: string, change: (element: Element) => unknown): ReturnType<typeof read> {
  const found = read(text);
  const walk = (element: Element): void => {
    change(element);
    for (const child of element.children) if (child instanceof Element) walk(child);
  };
  if (Array.isArray(found)) found.forEach(walk);
  return found;
}

function unescaped(stanza: Element): ReturnType<typeof writeStanza> {
  const written = writeStanza(stanza);
  return typeof written === 'string' ? written.replaceAll('&amp;', '&') : written;
}

function withLocal(text: string, change: (local: string) => string): ReturnType<typeof parseJid> {
  const jid = parseJid(text);
  return jid && { ...jid, local: change(jid.local) };
}
