// The targets: what is fed with hostile input, and what must hold whatever comes. Each is a property of fast-check; a failing input is
// made as small as it gets. Each takes the parts it tries, so that tests can give it broken ones.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Element } from 'ltx';
import { compile } from '../../src/mapping/compile.ts';
import { MappingFault, parsePath } from '../../src/mapping/language.ts';
import { load } from '../../src/mapping/load.ts';
import { idOfRefused, readAck, readId, readPayload, readPresence } from '../../src/mqtt/message.ts';
import { inChannels, makeTopics, outChannels } from '../../src/mqtt/topic.ts';
import { isRefusal } from '../../src/refusal.ts';
import { readEnvelope } from '../../src/xmpp/attach-envelope.ts';
import { escapeLocal, fullOf, parseJid, prepareBare, unescapeLocal } from '../../src/xmpp/jid.ts';
import { parseStanza, type XmlFault, XmlReader } from '../../src/xmpp/xml-reader.ts';
import { writeStanza } from '../../src/xmpp/xml-writer.ts';
import { builtin, mappings } from '../mapping/mappings.ts';
import { json, junk, message, mistaken, payload } from './generators.ts';
import { header, stanzas } from './streams.ts';

/** What is tried. */
const real = {
  readStream,
  parseStanza,
  writeStanza,
  readPayload,
  readTopic: (topic: string) => topics.read(topic),
  parseJid,
  escapeLocal,
  parsePath,
  loadMappings: (dir: string) => compile(load([builtin, dir])),
  toStanza: (channel: string, fields: Record<string, unknown>) => mappings.toStanza(channel, fields),
  toPayload: (stanza: Element) => mappings.toPayload(stanza),
  readEnvelope,
};
export type Parts = typeof real;

/** What must hold; throws, or answers with false, where it does not. */
export type Target = (broken?: Partial<Parts>) => fc.IPropertyWithHooks<unknown>;

/** All that the reader says of a stream in these chunks; it must not throw, and an error is its last word. */
export function readStream(chunks: string[]): { elements: Element[]; fault: XmlFault | null } {
  const elements: Element[] = [];
  let fault: XmlFault | null = null;
  const reader = new XmlReader({ maxBytes: 20_000 });
  reader.on('element', (element: Element) => {
    if (fault) throw new Error('an element after the stream was refused');
    elements.push(element);
  });
  reader.on('error', (error: XmlFault) => {
    fault ??= error;
  });
  for (const chunk of [header, ...chunks]) reader.write(chunk);
  return { elements, fault };
}

export const topics = makeTopics({ root: 'chat', domain: 'example.com', prepare: prepareBare });
const user = fc.constantFrom(
  'bob',
  'Bob',
  'b%C3%B6b',
  'b%F6b',
  'bob%40example%2Ecom',
  'bob%40other%2Eorg',
  '%2B',
  '..',
  'bob%2F',
);
const level = fc.oneof(user, junk);
const mappingTexts = [
  `xep: "0184"\ntitle: Receipts\nnamespaces: { r: urn:xmpp:receipts }\nchannels:\n  receipt: { when: "r:received", qos: 1, after: message }\nfields:\n  receipt: { path: "r:received@id" }\n  wantsReceipt: { path: "r:request", as: flag }\n`,
  `rfc: "6121"\ntitle: x\nfields:\n  subject: { path: "subject", as: text }\nexamples:\n  - stanza: <message/>\n    publish: { topic: chat/bob/in/message, qos: 1, payload: { id: m } }\n`,
];

/** Most of it goes through to the writer. */
const forChannel = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(fc.constant('message'), message) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('message', 'receipt', 'chatstate', 'stanza', 'nothing'), payload) },
);

/** No half of a surrogate pair anywhere: JSON.stringify writes one as an escape. */
function hasWholeCharacters(value: unknown): boolean {
  return !/\\ud[89a-f]/.test(JSON.stringify(value).replaceAll('\\\\', ''));
}

const tries: Record<string, (parts: Parts) => fc.IPropertyWithHooks<unknown>> = {
  'xml reader': ({ readStream }) =>
    fc.property(
      fc.array(mistaken(stanzas), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat({ max: 400 }), { maxLength: 6 }),
      (texts, cuts) => {
        // As it comes out of the socket's decoder: whole characters only.
        const whole = [...Buffer.from(`${texts.join('')}<message/>`).toString()];
        const chunks: string[] = [];
        let from = 0;
        for (const cut of cuts) {
          chunks.push(whole.slice(from, from + cut).join(''));
          from += cut;
        }
        chunks.push(whole.slice(from).join(''));
        const once = readStream([whole.join('')]);
        const cutUp = readStream(chunks);
        // The same whatever the chunks; of a stream that is refused, as far as it was read before.
        if ((once.fault === null) !== (cutUp.fault === null)) return false;
        const [some, all] = [once, cutUp]
          .map(({ elements }) => elements.map(String))
          .sort((a, b) => a.length - b.length);
        return (
          some!.every((element, at) => element === all![at]) && (once.fault !== null || some!.length === all!.length)
        );
      },
    ),
  'xml there and back': ({ parseStanza, writeStanza }) =>
    fc.property(mistaken(stanzas), (text) => {
      const stanza = parseStanza(text);
      if (!stanza) return true;
      const written = writeStanza(stanza);
      return isRefusal(written) || parseStanza(written)?.toString() === stanza.toString();
    }),
  payload: ({ readPayload }) =>
    fc.property(
      fc.oneof(
        json.map((value) => JSON.stringify(value) ?? ''),
        mistaken(['{"id":"m1","to":"a@b","body":"x"}', '{"keys":["k"],"device":"d"}', '{"online":true}']),
      ),
      fc.boolean(),
      (text, cut) => {
        const bytes = Buffer.from(text).subarray(0, cut ? -1 : undefined);
        idOfRefused(bytes);
        const read = readPayload(bytes, { maxBytes: 10_000 });
        if (({} as Record<string, unknown>).polluted !== undefined) return false;
        if (isRefusal(read)) return true;
        const [id, ack, presence] = [readId(read), readAck(read), readPresence(read)];
        const isFair = Object.getPrototypeOf(read) === Object.prototype && hasWholeCharacters(read);
        return (
          isFair &&
          (typeof id === 'string' || isRefusal(id)) &&
          (isRefusal(ack) || Array.isArray(ack.keys)) &&
          (isRefusal(presence) || typeof presence.online === 'boolean')
        );
      },
    ),
  topic: ({ readTopic }) =>
    fc.property(
      fc.oneof(
        fc
          .tuple(
            level,
            fc.constantFrom('out', 'in', 'presence', 'Out'),
            fc.oneof(fc.constantFrom(...outChannels), junk),
          )
          .map((levels) => `chat/${levels.join('/')}`),
        junk,
      ),
      (topic) => {
        const place = readTopic(topic);
        if (isRefusal(place)) return true;
        // A user has one topic and no other: what was read is exactly what would be written.
        const back = topics.toUser(place.user, inChannels[0]!).split('/')[1];
        return topic.split('/')[1] === back && prepareBare(place.user) === place.user;
      },
    ),
  jid: ({ parseJid, escapeLocal }) =>
    fc.property(
      fc.oneof(
        mistaken(['alice@example.com/phone', 'ALICE@EXAMPLE.com', 'ß@straße.de/ﬃ', 'a\\20b@gw.example.com']),
        junk,
      ),
      (text) => {
        const jid = parseJid(text);
        unescapeLocal(text);
        const escaped = escapeLocal(text);
        if (
          escaped !== null &&
          prepareBare(`${escaped}@example.com`) === null &&
          escaped.length < 200 &&
          /^[\x20-\x7e]+$/.test(text) &&
          !/^ | $/.test(text)
        )
          return false;
        if (!jid) return true;
        const full = fullOf(jid);
        const again = parseJid(full);
        return again !== null && fullOf(again) === full && Buffer.byteLength(full) <= 3071;
      },
    ),
  path: ({ parsePath }) =>
    fc.property(mistaken(['r:received@id', 'a:b/c:d', 'body', 'x:y/x:z@w']), (text) => {
      const path = parsePath(
        text,
        new Map([
          ['r', 'urn:xmpp:receipts'],
          ['a', 'urn:a'],
        ]),
      );
      return typeof path === 'string' ? path.length > 0 : true;
    }),
  'mapping file': ({ loadMappings }) =>
    fc.property(mistaken(mappingTexts), (text) => {
      const dir = mkdtempSync(join(tmpdir(), 'crossfade-fuzz-'));
      try {
        writeFileSync(join(dir, 'x.yaml'), text);
        loadMappings(dir);
        return true;
      } catch (error) {
        // Every fault with its file and line, and nothing else is thrown.
        return error instanceof MappingFault && /x\.yaml:\d+: |\.yaml:\d+: /.test(error.message);
      } finally {
        rmSync(dir, { recursive: true });
      }
    }),
  translation: ({ toStanza, writeStanza, parseStanza }) =>
    fc.property(forChannel, ([channel, fields]) => {
      const read = readPayload(Buffer.from(JSON.stringify({ id: 'm1', to: 'alice@example.com', ...fields })), {
        maxBytes: 100_000,
      });
      if (isRefusal(read)) return true;
      const stanza = toStanza(channel, read);
      if (isRefusal(stanza)) return true;
      const written = writeStanza(stanza);
      // What the writer writes is one stanza with the same content, and never more.
      return isRefusal(written) || parseStanza(written)?.toString() === stanza.toString();
    }),
  'to the app': ({ toPayload }) =>
    fc.property(mistaken(stanzas), (text) => {
      const stanza = parseStanza(text);
      if (!stanza) return true;
      const { fields } = toPayload(stanza);
      return hasWholeCharacters(fields);
    }),
  'attach envelope': ({ readEnvelope }) =>
    fc.property(mistaken(stanzas.slice(1, 2)), (text) => {
      const message = parseStanza(text);
      const d = message?.children.find((child): child is Element => child instanceof Element);
      if (!d) return true;
      const { n, user, content } = readEnvelope(d, 'example.com');
      const isCounted = Number.isSafeInteger(n) && n >= 0;
      return isCounted && prepareBare(user) === user && (content.kind !== 'stanza' || content.stanza.parent === null);
    }),
};

export const targets: Record<string, Target> = Object.fromEntries(
  Object.entries(tries).map(([name, make]): [string, Target] => [name, (broken) => make({ ...real, ...broken })]),
);
