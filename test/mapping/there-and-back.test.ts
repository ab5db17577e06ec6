// A property: what is inside the mapped language survives the way to the app and back.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical, forApp } from '../../src/mapping/examples.ts';
import { isRefusal } from '../../src/refusal.ts';
import { mappings, stanzaOf } from './mappings.ts';

const { table } = mappings;

/** The fields without sender and addressee, which are the same in all rows. */

// Text without line ends other than \n: a parser that normalises them would not be at fault (XML 1.0 §2.11).
const text = fc
  .string({ unit: 'grapheme' })
  .map((raw) => raw.replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, ''));
const language = fc.constantFrom(undefined, 'en', 'de', 'fr');
const escaped = (raw: string) => raw.replace(/[&<>"'\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
const attribute = (name: string, value: string | undefined) =>
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
const withId = (name: string, ns: string) => one(text.map((id) => element(name, ns, attribute('id', id))));

const message = language.chain((lang) =>
  fc
    .record({
      id: fc.option(
        text.filter((id) => id !== '' && Buffer.byteLength(id) <= 256),
        { nil: undefined },
      ),
      type: fc.constantFrom(undefined, 'chat', 'groupchat', 'normal', 'headline'),
      children: fc
        .tuple(
          texts('body', lang),
          texts('subject', lang),
          one(
            fc
              .tuple(text, fc.option(text, { nil: undefined }))
              .map(([inner, parent]) => element('thread', '', attribute('parent', parent), inner)),
          ),
          one(
            fc
              .constantFrom('active', 'composing', 'paused', 'inactive', 'gone')
              .map((name) => element(name, 'http://jabber.org/protocol/chatstates')),
          ),
          withId('received', 'urn:xmpp:receipts'),
          flag('request', 'urn:xmpp:receipts'),
          withId('displayed', 'urn:xmpp:chat-markers:0'),
          flag('markable', 'urn:xmpp:chat-markers:0'),
          withId('origin-id', 'urn:xmpp:sid:0'),
          withId('stanza-id', 'urn:xmpp:sid:0'),
          flag('no-store', 'urn:xmpp:hints'),
          flag('store', 'urn:xmpp:hints'),
          one(fc.constant('<archived xmlns="urn:xmpp:mam:tmp" id="1"/>')),
          one(text.map((reason) => element('delay', 'urn:xmpp:delay', ' stamp="2026-01-01T00:00:00Z"', reason))),
          fc.array(
            text.map((inner) => `<a xmlns="urn:example:a"><b c="${escaped(inner)}"/>${escaped(inner)}</a>`),
            { maxLength: 2 },
          ),
        )
        .chain((parts) => fc.shuffledSubarray(parts.flat(), { minLength: 0 })),
    })
    .map(({ id, type, children }) => {
      const attrs = [attribute('id', id), attribute('type', type), attribute('xml:lang', lang)].join('');
      return `<message from="a@example.com/x" to="b@example.com"${attrs}>${children.join('')}</message>`;
    }),
);

describe('there and back', () => {
  it('nothing is lost of a stanza but what only servers state, and the channel is the same', () => {
    fc.assert(
      fc.property(message, (xml) => {
        const stanza = stanzaOf(xml);
        const { channel, fields } = mappings.toPayload(stanza);
        const back = mappings.toStanza(channel, forApp(table, fields));
        if (isRefusal(back)) throw new Error(`${back.text}: ${JSON.stringify(fields)}`);
        expect(canonical(table, back)).toBe(canonical(table, stanza));
        expect(mappings.toPayload(back).channel).toBe(channel);
      }),
      { numRuns: 500 },
    );
  });

  it('whatever elements a stanza has, each text in it reaches the app', () => {
    const names = ['body', 'thread', 'received', 'delay', 'composing', 'no-store', 'stanza-id', 'x'];
    const spaces = [
      '',
      'jabber:client',
      'urn:xmpp:receipts',
      'urn:xmpp:delay',
      'http://jabber.org/protocol/chatstates',
      'urn:xmpp:sid:0',
    ];
    const attrs = fc.dictionary(
      fc.constantFrom('id', 'by', 'stamp', 'parent', 'xml:lang', 'y'),
      fc.constantFrom('1', 'de', ''),
    );
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc
        .tuple(
          fc.constantFrom(...names),
          fc.constantFrom(...spaces),
          attrs,
          fc.array(fc.oneof(fc.constant('WORD'), tie('tree')), { maxLength: 3 }),
        )
        .map(([name, ns, all, inner]) => {
          const list = Object.entries(all).map(([key, value]) => attribute(key, value));
          return `<${name}${ns && attribute('xmlns', ns)}${list.join('')}>${inner.join('')}</${name}>`;
        }),
    }));
    const words = (value: string) => value.split('WORD').length - 1;
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 4 }), (children) => {
        const { fields } = mappings.toPayload(stanzaOf(`<message to='b'>${children.join('')}</message>`));
        expect(words(JSON.stringify(fields))).toBeGreaterThanOrEqual(words(children.join('')));
      }),
      { numRuns: 500 },
    );
  });

  it('nothing an app can send makes it throw', () => {
    const names = [...table.fields.keys(), 'id', 'to', 'type', 'xml'];
    const payload = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue());
    fc.assert(
      fc.property(fc.constantFrom(...mappings.channels.keys()), payload, (channel, fields) => {
        const stanza = mappings.toStanza(channel, { to: 'b@example.com', ...fields });
        return isRefusal(stanza) || stanza.name === 'message';
      }),
      { numRuns: 500 },
    );
  });
});
