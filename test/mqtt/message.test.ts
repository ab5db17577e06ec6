// Payloads: what is read from apps and what is refused, as rows.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAt, readAck, readId, readPayload, readPresence, writeAck, writeError } from '../../src/mqtt/message.ts';

const bytes = (text: string) => Buffer.from(text);
const limits = { maxBytes: 1000 };

describe('a payload', () => {
  test('is read as the object that was written', () => {
    const value = fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__' && key !== 'refused'),
      fc.jsonValue({ maxDepth: 5, stringUnit: 'grapheme' }),
    );
    fc.assert(
      fc.property(value, (object) => {
        const text = JSON.stringify(object);
        fc.pre(!text.includes('__proto__'));
        expect(readPayload(bytes(text), { maxBytes: 1e6 })).toEqual(JSON.parse(text));
      }),
    );
  });

  test('of any bytes whatever never throws', () => {
    fc.assert(fc.property(fc.uint8Array(), (any) => void readPayload(any, limits)));
  });

  test.each([
    ['nothing', bytes('')],
    ['no JSON', bytes('{"id":')],
    ['a list', bytes('[]')],
    ['a string', bytes('"x"')],
    ['null', bytes('null')],
    ['two objects', bytes('{}{}')],
    ['a byte order mark', bytes('\ufeff{}')],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a field __proto__', bytes('{"a":{"__proto__":{"id":"x"}}}')],
    ['a field __proto__ in disguise', bytes('{"\\u005f_proto__":{}}')],
    ['a lone surrogate', bytes('{"body":"\\ud800"}')],
    ['a lone surrogate in a name', bytes('{"\\udc00":1}')],
    ['17 levels', bytes(`{"a":${'['.repeat(16)}${']'.repeat(16)}}`)],
    ['the looks of a refusal', bytes('{"refused":true}')],
  ])('with %s is refused', (_what, payload) => {
    expect(readPayload(payload, limits)).toMatchObject({ refused: true, name: 'bad-request' });
  });

  test('of 16 levels is taken', () => {
    expect(readPayload(bytes(`{"a":${'['.repeat(15)}${']'.repeat(15)}}`), limits)).toHaveProperty('a');
  });

  test('of one byte too many is refused as too large', () => {
    const payload = bytes(`{"body":"${'x'.repeat(989)}"}`);
    expect(readPayload(payload, { maxBytes: payload.length })).toHaveProperty('body');
    expect(readPayload(payload, { maxBytes: payload.length - 1 })).toMatchObject({ name: 'policy-violation' });
  });
});

describe('an id', () => {
  test.each([['m1'], ['x'.repeat(256)], ['é'.repeat(128)]])('%s is taken', (id) => {
    expect(readId({ id })).toBe(id);
  });
  test.each([[undefined], [''], [7], [null], [['m1']], ['x'.repeat(257)], ['é'.repeat(129)]])('%j is refused', (id) => {
    expect(readId({ id })).toMatchObject({ refused: true });
  });
});

describe('an ack', () => {
  test.each([
    [{ keys: ['k1', 'k2'] }, { keys: ['k1', 'k2'] }],
    [
      { keys: [], device: 'phone', id: 'more' },
      { keys: [], device: 'phone' },
    ],
  ])('%j is read', (payload, expected) => {
    expect(readAck(payload)).toEqual(expected);
  });
  test.each([
    [{}],
    [{ keys: 'k1' }],
    [{ keys: [1] }],
    [{ keys: [''] }],
    [{ keys: ['k'.repeat(65)] }],
    [{ keys: Array(1001).fill('k') }],
    [{ keys: ['k'], device: 5 }],
    [{ keys: ['k'], device: '' }],
  ])('%j is refused', (payload) => {
    expect(readAck(payload)).toMatchObject({ refused: true, name: 'bad-request' });
  });
});

describe('a presence', () => {
  test.each([
    [{ online: false }, { online: false }],
    [
      { online: true, show: 'away', text: 'on the train' },
      { online: true, show: 'away', text: 'on the train' },
    ],
    [
      { online: true, text: '' },
      { online: true, text: '' },
    ],
  ])('%j is read', (payload, expected) => {
    expect(readPresence(payload)).toEqual(expected);
  });
  test.each([[{}], [{ online: 'yes' }], [{ online: true, show: 'busy' }], [{ online: true, text: 'x'.repeat(1025) }]])(
    '%j is refused',
    (payload) => {
      expect(readPresence(payload)).toMatchObject({ refused: true });
    },
  );
});

describe('what the gateway answers', () => {
  test('names the ids it has on disk', () => {
    expect(writeAck(['a', 'b'])).toBe('{"ids":["a","b"]}');
  });
  test('says why something was refused', () => {
    const error = { id: 'm1', condition: 'not-migrated', text: 'this user has not been moved to MQTT' };
    expect(JSON.parse(writeError(error))).toEqual(error);
  });
  test("hands on a contact's error with key and sender, and leaves out what there is not", () => {
    expect(writeError({ condition: 'item-not-found', key: 'k', from: 'a@example.com' })).toBe(
      '{"condition":"item-not-found","key":"k","from":"a@example.com"}',
    );
  });
  test('has times in UTC with milliseconds', () => {
    expect(formatAt(0)).toBe('1970-01-01T00:00:00.000Z');
  });
});
