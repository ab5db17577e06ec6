// What is kept of a user's contacts: rows of what is heard, and what is left of it; and its bounds.

import { expect, test } from 'vitest';
import { ContactView } from '../../src/flow/contact-view.ts';

type Step = ['keep', from: string, presence: string] | ['drop', from: string];
const rows: [string, Step[], string[]][] = [
  ['nothing heard, nothing kept', [], []],
  [
    'the last word of a resource counts',
    [
      ['keep', 'a@x/1', 'old'],
      ['keep', 'a@x/1', 'new'],
    ],
    ['new'],
  ],
  [
    'each resource is kept',
    [
      ['keep', 'a@x/1', 'one'],
      ['keep', 'a@x/2', 'two'],
      ['keep', 'b@x/1', 'three'],
    ],
    ['one', 'two', 'three'],
  ],
  [
    'a resource that goes leaves the others',
    [
      ['keep', 'a@x/1', 'one'],
      ['keep', 'a@x/2', 'two'],
      ['drop', 'a@x/1'],
    ],
    ['two'],
  ],
  [
    'a contact that goes as a whole takes all its resources along',
    [
      ['keep', 'a@x/1', 'one'],
      ['keep', 'a@x/2', 'two'],
      ['keep', 'aa@x/1', 'other'],
      ['drop', 'a@x'],
    ],
    ['other'],
  ],
  [
    'who was not there may go',
    [
      ['keep', 'a@x/1', 'one'],
      ['drop', 'b@x/1'],
      ['drop', 'c@x'],
    ],
    ['one'],
  ],
  [
    'a service without a resource',
    [
      ['keep', 'irc.x', 'up'],
      ['drop', 'irc.x'],
    ],
    [],
  ],
];
test.each(rows)('%s', (_, steps, left) => {
  const view = new ContactView();
  for (const [what, from, presence = ''] of steps) what === 'keep' ? view.keep(from, presence) : view.drop(from);
  expect([...view.all()]).toEqual(left);
  expect(view.hasHeard).toBe(steps.length > 0);
  expect(view.isCut).toBe(false);
  for (const [, from] of steps) view.drop(from);
  expect(view.bytes).toBe(0);
});

test('beyond 1000 resources nothing more is kept, and the view says that it is not whole', () => {
  const view = new ContactView();
  for (let n = 0; n < 1000; n++) expect(view.keep(`a@x/${n}`, '{}')).toBe(true);
  expect(view.isCut).toBe(false);
  expect(view.keep('a@x/1000', '{}')).toBe(false);
  expect([view.size, view.isCut]).toEqual([1000, true]);
  expect(view.keep('a@x/999', '{"show":"away"}')).toBe(true);
});

test('beyond 256 KiB nothing more is kept; an old word is not kept in the place of a new one that is too long', () => {
  const view = new ContactView();
  expect(view.keep('a@x/1', 'x'.repeat(200_000))).toBe(true);
  expect(view.keep('a@x/2', 'x'.repeat(80_000))).toBe(false);
  expect(view.keep('a@x/1', 'x'.repeat(270_000))).toBe(false);
  expect([view.size, view.bytes, view.isCut]).toEqual([0, 0, true]);
  expect(view.keep('a@x/2', 'x'.repeat(80_000))).toBe(true);
});
