// Topics: what is a user's level, what is refused, and that reading is the inverse of writing.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeUser, inChannels, makeTopics, outChannels } from '../../src/mqtt/topic.ts';
import { isRefusal } from '../../src/refusal.ts';

const domain = 'example.com';
/** Stands in for the preparation of RFC 7622: lower case, NFC, and something on both sides of the @. */
const prepare = (jid: string) => (/^[^@/]+@[^@/]+$/.test(jid) ? jid.toLowerCase().normalize('NFC') : null);
const given = { root: 'chat', domain, prepare };

describe('a user level', () => {
  test.each([
    ['bob@example.com', 'bob'],
    ['Bob_b-1@example.com', 'Bob_b-1'],
    ['bob.jones@example.com', 'bob%2Ejones'],
    ['björn@example.com', 'bj%C3%B6rn'],
    ["a!~*'()@example.com", 'a%21%7E%2A%27%28%29'],
    ['a+b#c$d@example.com', 'a%2Bb%23c%24d'],
    ['d\\27artagnan@example.com', 'd%5C27artagnan'],
    ['bot@gw.example.com', 'bot%40gw%2Eexample%2Ecom'],
    ['bob@example.com.org', 'bob%40example%2Ecom%2Eorg'],
    ['😀@example.com', '%F0%9F%98%80'],
  ])('for %s is %s', (jid, level) => {
    expect(encodeUser(jid, domain)).toBe(level);
  });

  test('holds nothing but letters, digits, _ - and %, whatever the user is called', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (local) => {
        expect(encodeUser(`${local}@${domain}`, domain)).toMatch(/^[A-Za-z0-9_%-]+$/);
      }),
    );
  });
});

/** Bytes in use after a collection of garbage. */
function bytesInUse(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('the memory', () => {
  const mebibyte = 1024 * 1024;
  test.each([
    ['refused for its length', (n: number) => `chat/${`u${n}`.padEnd(20_000, 'x')}/out/message`],
    ['refused for its spelling', (n: number) => `chat/${`U${n}`.padEnd(6_000, 'x')}/out/message`],
    ['of 6,000 bytes that is read', (n: number) => `chat/${`u${n}`.padEnd(6_000, 'x')}/out/message`],
    ['that is read and has 20,000 bytes after it', (n: number) => `chat/user-number-${n}/out/${'x'.repeat(20_000)}`],
  ])('stays small with a hostile user level %s', (_what, topicOf) => {
    const topics = makeTopics(given);
    const before = bytesInUse();
    // the topics come as bytes, so that no two share a part
    for (let n = 0; n < 10_000; n++) topics.read(Buffer.from(topicOf(n)).toString());
    expect((bytesInUse() - before) / mebibyte).toBeLessThan(40);
    expect(topics.read('chat/bob/out/message')).toMatchObject({ user: 'bob@example.com' });
  });
});

describe('a topic', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .map((text) => text.toLowerCase().normalize('NFC').replace(/[@/]/g, '.'))
    .filter((text) => text !== '' && text === text.toLowerCase().normalize('NFC'));

  test('that we write for a user is read as that user and channel', () => {
    const topics = makeTopics(given);
    const domains = fc.constantFrom(domain, 'gw.example.com');
    fc.assert(
      fc.property(name, domains, fc.constantFrom(...outChannels), (local, host, channel) => {
        const user = `${local}@${host}`;
        expect(topics.read(`chat/${encodeUser(user, domain)}/out/${channel}`)).toEqual({
          kind: 'out',
          user,
          channel,
        });
      }),
    );
  });

  test('of another spelling is never read as the same user', () => {
    const topics = makeTopics(given);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'B', '%', '4', '1', '2', 'e', 'E', '.', '@') }), (level) => {
        const read = topics.read(`chat/${level}/out/message`);
        if (!isRefusal(read)) expect(encodeUser(read.user, domain)).toBe(level);
      }),
    );
  });

  test.each([
    ['chat/bob/out/message', { kind: 'out', user: 'bob@example.com', channel: 'message' }],
    ['chat/bj%C3%B6rn/out/chatstate', { kind: 'out', user: 'björn@example.com', channel: 'chatstate' }],
    ['chat/bob/presence/phone 1', { kind: 'presence', user: 'bob@example.com', client: 'phone 1' }],
    ['chat/bob/out/roster', { kind: 'unknown', user: 'bob@example.com', channel: 'roster' }],
    ['chat/bot%40gw%2Eexample%2Ecom/out/ack', { kind: 'out', user: 'bot@gw.example.com', channel: 'ack' }],
  ])('%s is read', (topic, expected) => {
    expect(makeTopics(given).read(topic)).toEqual(expected);
  });

  test.each([
    ['in another case', 'chat/Bob/out/message', 'jid-malformed'],
    ['encoded without need', 'chat/%62ob/out/message', 'jid-malformed'],
    ['in lower-case hex', 'chat/bj%c3%b6rn/out/message', 'jid-malformed'],
    ['not encoded', 'chat/björn/out/message', 'jid-malformed'],
    ['not NFC', 'chat/bjo%CC%88rn/out/message', 'jid-malformed'],
    ['the whole JID where the local part is enough', 'chat/bob%40example%2Ecom/out/message', 'jid-malformed'],
    ['bytes that are no UTF-8', 'chat/%FF/out/message', 'jid-malformed'],
    ['an overlong encoding', 'chat/%C0%AF/out/message', 'jid-malformed'],
    ['a broken percent sign', 'chat/bob%2/out/message', 'jid-malformed'],
    ['a resource', 'chat/bob%2Fphone/out/message', 'jid-malformed'],
    ['empty', 'chat//out/message', 'jid-malformed'],
    ['of 6201 bytes', `chat/${'x'.repeat(6201)}/out/message`, 'jid-malformed'],
    ['followed by our own direction', 'chat/bob/in/message', 'bad-request'],
    ['followed by a level too many', 'chat/bob/out/message/x', 'bad-request'],
    ['followed by no channel', 'chat/bob/out', 'bad-request'],
    ['followed by an empty client id', 'chat/bob/presence/', 'bad-request'],
    ['followed by a client id of 257 bytes', `chat/bob/presence/${'x'.repeat(257)}`, 'bad-request'],
    ['under another root', 'chatter/bob/out/message', 'bad-request'],
  ])('with a user level %s is refused', (_why, topic, name) => {
    expect(makeTopics(given).read(topic)).toMatchObject({ refused: true, name });
  });

  test('is the same when its user is remembered', () => {
    const topics = makeTopics({ ...given, root: 'a/b' });
    for (const channel of inChannels) {
      const expected = `a/b/bob%2Ejones/in/${channel}`;
      expect([
        topics.toUser('bob.jones@example.com', channel),
        topics.toUser('bob.jones@example.com', channel),
      ]).toEqual([expected, expected]);
    }
    const twice = [topics.read('a/b/BOB/out/message'), topics.read('a/b/BOB/out/message')];
    expect(twice.map(isRefusal)).toEqual([true, true]);
  });
});
