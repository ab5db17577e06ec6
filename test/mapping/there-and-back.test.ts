// Properties: what is inside the mapped language survives the way to the app and back, as JSON and as XML.

import fc from 'fast-check';
import type { Element } from 'ltx';
import { describe, expect, it } from 'vitest';
import { canonical, forApp } from '../../src/mapping/examples.ts';
import { parseXml } from '../../src/mapping/xml.ts';
import { isRefusal, type Refusal } from '../../src/refusal.ts';
import { writeStanza } from '../../src/xmpp/xml-writer.ts';
import { message as payload } from '../fuzz/generators.ts';
import { mappings, stanzaOf } from './mappings.ts';
import { attribute, message, presence } from './random-stanzas.ts';

const { table } = mappings;

describe('there and back', () => {
  it('nothing is lost of a message but what only servers state, and the channel is the same', () => {
    fc.assert(
      fc.property(message, (xml) => {
        const stanza = stanzaOf(xml);
        const { channel, fields } = mappings.toPayload(stanza);
        const back = written(mappings.toStanza(channel, forApp(table, overMqtt(fields))));
        expect(canonical(table, back)).toBe(canonical(table, stanza));
        expect(mappings.toPayload(back).channel).toBe(channel);
      }),
      { numRuns: 1_500 },
    );
  });

  it('nothing is lost of what an app says: another app gets the same fields', () => {
    let said = 0;
    const property = fc.property(payload, (fields) => {
      const stanza = mappings.toStanza('message', overMqtt({ id: 'm1', to: 'alice@example.com', ...fields }));
      if (isRefusal(stanza) || isRefusal(writeStanza(stanza))) return;
      said++;
      const back = mappings.toPayload(written(stanza));
      expect(back.channel).toBe('message');
      expect(asMeant(overMqtt(back.fields))).toEqual(
        asMeant(overMqtt({ id: 'm1', to: 'alice@example.com', ...fields })),
      );
    });
    fc.assert(property, { numRuns: 1_500 });
    expect(said).toBeGreaterThan(500);
  });

  it('nothing is lost of a presence but what only servers state', () => {
    const { presence: own } = mappings;
    fc.assert(
      fc.property(presence, (xml) => {
        const stanza = stanzaOf(xml);
        const { fields } = own.toPayload(stanza);
        const back = written(own.toStanza(forApp(own.table, overMqtt(fields))));
        expect(canonical(own.table, back)).toBe(canonical(own.table, stanza));
      }),
      { numRuns: 1_000 },
    );
  });

  it('of every mapped field it is tried what it takes', () => {
    const tried = new Set<string>();
    const samples = fc.sample(message, { seed: 1, numRuns: 1_500 });
    for (const xml of samples)
      for (const name of Object.keys(mappings.toPayload(stanzaOf(xml)).fields)) tried.add(name);
    expect([...table.fields.keys()].filter((name) => !tried.has(name))).toEqual([]);
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

/** A flag that is false is as good as none, and XML is its elements, however they are written. */
function asMeant({ xml = '', ...fields }: Record<string, unknown>): object {
  const flags = Object.entries(fields).filter(([, value]) => value !== false);
  return { ...Object.fromEntries(flags), elements: parseXml(String(xml))?.map(String) };
}

/** As the app gets it. */
function overMqtt(fields: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(Buffer.from(JSON.stringify(fields)).toString());
}

/** As the server gets it. */
function written(stanza: Element | Refusal): Element {
  if (isRefusal(stanza)) throw new Error(stanza.text);
  const text = writeStanza(stanza);
  if (isRefusal(text)) throw new Error(text.text);
  return stanzaOf(text);
}
