// What a profile may hold, and why something else may not: row by row.

import { expect, test } from 'vitest';
import { avatarHash, changeProfile, imageType, maxAvatarBytes } from '../../src/migration/profile.ts';

const image = (head: string, bytes = 64) =>
  Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(bytes - head.length)]);
const png = (bytes = 64) => ({ type: 'image/png', data: image('\x89PNG\r\n\x1a\n', bytes).toString('base64') });

test('changes are laid over what is there; null takes a field away', () => {
  const first = changeProfile({}, { name: 'Bot', about: 'Tides', avatar: png() });
  expect(first).toEqual({ name: 'Bot', about: 'Tides', avatar: png() });
  expect(
    changeProfile({ name: 'Bot', about: 'Tides', avatar: png() }, { about: null, name: 'Ebb', avatar: null }),
  ).toEqual({ name: 'Ebb' });
});

const bad: [changes: unknown, name: string, text: string][] = [
  ['text', 'bad-request', 'a profile is an object with some of name, about'],
  [['name'], 'bad-request', 'a profile is an object'],
  [{ phone: '1' }, 'bad-request', 'a profile has no phone; known are name, about, url, email, organization, avatar'],
  [{ name: '' }, 'bad-request', 'name must be a text'],
  [{ name: 'a\u0000' }, 'bad-request', 'name must be a text without control characters'],
  [{ name: '\ud800' }, 'bad-request', 'name must be a text'],
  [{ name: 'é'.repeat(129) }, 'policy-violation', 'name has 258 bytes; 256 are allowed'],
  [{ avatar: 'x' }, 'bad-request', "the avatar's type must be one of image/png"],
  [{ avatar: { type: 'image/svg+xml', data: 'AAAA' } }, 'bad-request', "the avatar's type must be"],
  [{ avatar: { type: 'toString', data: 'AAAA' } }, 'bad-request', "the avatar's type must be"],
  [
    { avatar: { type: 'image/png', data: 'AA\nAA' } },
    'bad-request',
    "the avatar's data must be base64 without line breaks",
  ],
  [{ avatar: { type: 'image/jpeg', data: png().data } }, 'bad-request', "the avatar's data is no image/jpeg"],
  [
    { avatar: png(maxAvatarBytes + 1) },
    'policy-violation',
    `the avatar has ${maxAvatarBytes + 1} bytes; ${maxAvatarBytes} are allowed`,
  ],
];
test.each(bad)('%j is refused as %s: %s', (changes, name, text) => {
  expect(changeProfile({ name: 'Bot' }, changes)).toMatchObject({
    refused: true,
    name,
    text: expect.stringContaining(text),
  });
});

test('the largest picture is taken, and each kind is known by how it begins', () => {
  expect(changeProfile({}, { avatar: png(maxAvatarBytes) })).toMatchObject({ avatar: { type: 'image/png' } });
  expect(
    ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff', 'GIF89a', 'RIFF\0\0\0\0WEBP', 'RIFF\0\0\0\0AVI ', '<svg', ''].map((head) =>
      imageType(image(head)),
    ),
  ).toEqual(['image/png', 'image/jpeg', 'image/gif', 'image/webp', undefined, undefined, undefined]);
  expect(avatarHash({ type: 'image/png', data: 'YWJj' })).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
});
