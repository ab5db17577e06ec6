// The judge of the fault suite by rows: what it must find, and what it must let pass; and the splitters that its proxies stand on.

import { generate } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { type Heard, isKept, judge } from './judge.ts';
import { isAck, isIqResult, isPuback, isPublishOn, splitMqtt, splitXmpp } from './splitters.ts';

const said = ['one', 'two', 'three'];
const all = said.map((body, at) => ({ body, key: `k${at}` }));
const fine: Heard = { name: 'alice > bob', said, owed: said, seen: all };

test.each<[string, Partial<Heard>]>([
  ['everything came once', {}],
  ['one key came twice', { seen: [...all, all[0]!] }],
  ['what was never owed did not come', { owed: ['one'], seen: all.slice(0, 1) }],
  ['a contact has it in the archive', { seen: all.slice(0, 2), elsewhere: ['three'] }],
  ['a late copy came behind', { seen: [all[1]!, all[2]!, { ...all[0]!, copy: true }] }],
  ['an app had to say one again, and it came behind', { seen: [all[0]!, all[2]!, { ...all[1]!, copy: true }] }],
  ['what was handed back came again under another key', { seen: [...all, { body: 'two', key: 'k9', life: 1 }] }],
  ['a killed server said one thing twice', { seen: [...all, { body: 'two', life: 1 }] }],
])('%s: the promise is kept', (_, change) => {
  expect(isKept(judge([{ ...fine, ...change }]))).toBe(true);
});

test.each<[string, Partial<Heard>, 'lost' | 'repeated' | 'disordered', string]>([
  ['one is missing', { seen: all.slice(0, 2) }, 'lost', 'three'],
  ['one came under two keys', { seen: [...all, { body: 'two', key: 'k9' }] }, 'repeated', 'two'],
  [
    'a contact saw one twice',
    { seen: [{ body: 'one' }, { body: 'one' }, { body: 'two' }, { body: 'three' }] },
    'repeated',
    'one',
  ],
  [
    'a server that had been killed before said one twice',
    { seen: [...all.slice(0, 2), { body: 'three', life: 1 }, { body: 'three', life: 1 }] },
    'repeated',
    'three',
  ],
  ['two changed places', { seen: [all[1]!, all[0]!, all[2]!] }, 'disordered', 'one'],
])('%s: it is found', (_, change, kind, body) => {
  const verdict = judge([{ ...fine, ...change }]);
  expect(verdict[kind]).toEqual([`alice > bob: ${body}`]);
  expect(isKept(verdict)).toBe(false);
});

/** In pieces of one byte. */
const bytewise = (text: Buffer, split: (chunk: Buffer) => Buffer[]) =>
  [...text].flatMap((byte) => split(Buffer.from([byte])));

test('a stream of MQTT is cut into its packets, whatever the chunks, and PUBACK and topics are told', () => {
  const packets = [
    generate({
      cmd: 'publish',
      topic: 'chat/bob/in/ack',
      payload: 'x'.repeat(300),
      qos: 1,
      messageId: 7,
      dup: false,
      retain: false,
    }),
    generate({ cmd: 'puback', messageId: 7 }),
    generate({ cmd: 'pingresp' }),
  ];
  const cut = bytewise(Buffer.concat(packets), splitMqtt());
  expect(cut).toEqual(packets);
  expect(cut.map(isPuback)).toEqual([false, true, false]);
  expect(cut.map((packet) => isPublishOn(packet, '/in/ack'))).toEqual([true, false, false]);
});

test('a stream of XMPP is cut into its stanzas, whatever the chunks, and results and acks are told', () => {
  const pieces = [
    "<?xml version='1.0'?>",
    "<stream:stream xmlns='x' id='a>b'>",
    "<iq type='result' id='1'/>",
    "<message><d><iq type='result'/><body>ü &lt; </body></d></message>",
    "<iq id='2' type='set'><a xmlns='urn:crossfade:attach:1' h='1'/></iq>",
    '</stream:stream>',
  ];
  const cut = bytewise(Buffer.from(pieces.join('')), splitXmpp());
  expect(cut.map(String)).toEqual(pieces);
  expect(cut.map(isIqResult)).toEqual([false, false, true, false, false, false]);
  expect(cut.map(isAck)).toEqual([false, false, false, false, true, false]);
});
