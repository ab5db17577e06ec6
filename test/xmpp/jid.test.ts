// Addresses: the same user is the same key, and what is no address is refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeLocal, fullOf, parseJid, prepareBare, unescapeLocal } from '../../src/xmpp/jid.ts';

describe('an address is prepared:', () => {
  test.each([
    ['bob@example.com', 'bob@example.com'],
    ['example.com', 'example.com'],
    ['Bob@Example.COM/Phone', 'bob@example.com/Phone'],
    ['bob@example.com.', 'bob@example.com'],
    ['bob@example.com/a@b/c', 'bob@example.com/a@b/c'],
    ['example.com/a@b', 'example.com/a@b'],
    ['BÜCHER@BÜCHER.example', 'bücher@bücher.example'],
    ['bu\u0308cher@bu\u0308cher.example', 'bücher@bücher.example'],
    ['bob@xn--bcher-kva.example', 'bob@bücher.example'],
    ['ｂｏｂ@example。com', 'bob@example.com'],
    ['bob@example.com/a\u00a0b', 'bob@example.com/a b'],
    ['bob@example.com/📱 1', 'bob@example.com/📱 1'],
    ['bob@[2001:DB8::1]', 'bob@[2001:db8::1]'],
    ['bob@chat_host', 'bob@chat_host'],
    ['straße@example.com', 'straße@example.com'],
    ['д@пример.example', 'д@пример.example'],
    [`${'a'.repeat(1023)}@b`, `${'a'.repeat(1023)}@b`],
    [`a@${'b.'.repeat(126)}c`, `a@${'b.'.repeat(126)}c`],
  ])('%s', (text, prepared) => {
    const jid = parseJid(text);
    expect(jid && fullOf(jid)).toBe(prepared);
  });
});

describe('no address:', () => {
  test.each([
    [''],
    ['@'],
    ['@example.com'],
    ['bob@'],
    ['bob@/x'],
    ['/x'],
    ['bob@example.com/'],
    ['a@b@c'],
    ['a b@example.com'],
    ['a"@b'],
    ["a'@b"],
    ['a&@b'],
    ['a<@b'],
    ['a:b@c'],
    ['\u0000@b'],
    ['a@b\u0000'],
    ['a@b/\u0007'],
    ['a@b/\u202e'],
    ['a\u200b@b'],
    ['a@b..c'],
    ['a@.b'],
    ['a@.'],
    ['a@b c'],
    ['a@b:1'],
    ['a@xn--a'],
    ['ﬁ@b'],
    ['☃@b'],
    ['＠@b'],
    ['\ud800@b'],
    ['a@b/\ud800'],
    ['a@\ud800'],
    ['a@b/\ufdd0'],
    [`${'a'.repeat(1024)}@b`],
    [`${'ß'.repeat(512)}@b`],
    [`a@b/${'ß'.repeat(512)}`],
    [`a@${'b'.repeat(254)}`],
    [`a@${'ü'.repeat(127)}`],
    [`a@${Array(40).fill('xn--55qx5d').join('.')}`],
  ])('%j', (text) => {
    expect(parseJid(text)).toBeNull();
  });
});

test('a prepared address prepares to itself', () => {
  const part = fc.string({
    unit: fc.oneof(
      fc.constantFrom('A', 'b', '.', '@', '/', 'ß', 'ü', 'u\u0308', 'Σ', 'ﾊ', 'ﾞ', '\u212b', 'İ'),
      fc.string({ unit: 'grapheme', maxLength: 1 }),
    ),
    maxLength: 6,
  });
  let valid = 0;
  fc.assert(
    fc.property(part, part, part, (local, domain, resource) => {
      const jid = parseJid(`${local}@${domain}/${resource}`);
      if (jid === null) return;
      valid += 1;
      expect(parseJid(fullOf(jid))).toEqual(jid);
    }),
    { numRuns: 5000 },
  );
  expect(valid).toBeGreaterThan(50);
});

test('a user’s key has no resource', () => {
  expect([prepareBare('Bob@example.com/phone'), prepareBare('bob@example.com'), prepareBare('bob@')]).toEqual([
    'bob@example.com',
    'bob@example.com',
    null,
  ]);
});

test('a domain of a megabyte is refused without a look at its characters', () => {
  const long = `a@${'ü.'.repeat(500_000)}`;
  const before = performance.now();
  for (let round = 0; round < 1000; round += 1) expect(parseJid(long)).toBeNull();
  expect(performance.now() - before).toBeLessThan(1000);
});

describe('XEP-0106:', () => {
  test.each([
    ['space cadet', 'space\\20cadet'],
    ['call me "ishmael"', 'call\\20me\\20\\22ishmael\\22'],
    ['at&t guy', 'at\\26t\\20guy'],
    ["d'artagnan", 'd\\27artagnan'],
    ['/.fanboy', '\\2f.fanboy'],
    ['::foo::', '\\3a\\3afoo\\3a\\3a'],
    ['<foo>', '\\3cfoo\\3e'],
    ['user@host', 'user\\40host'],
    ['c:\\net', 'c\\3a\\net'],
    ['c:\\cool stuff', 'c\\3a\\cool\\20stuff'],
    ['c:\\5commas', 'c\\3a\\5c5commas'],
  ])('%s', (name, local) => {
    expect([escapeLocal(name), unescapeLocal(local)]).toEqual([local, name]);
  });

  test('what begins or ends with a space has no escaped form', () => {
    expect([escapeLocal(' a'), escapeLocal('a '), escapeLocal('')]).toEqual([null, null, null]);
  });

  test('every other name comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'\\2026ca@ /') }), (name) => {
        const local = escapeLocal(name);
        if (local !== null) expect(unescapeLocal(local)).toBe(name);
      }),
    );
  });
});
