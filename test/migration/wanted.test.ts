// The table of DESIGN §5, row by row.

import { expect, test } from 'vitest';
import type { Phase } from '../../src/migration/phase.ts';
import { isSameShown, nameOfShown, shownOf } from '../../src/migration/shown.ts';
import { type AppStatus, type Wanted, wanted } from '../../src/migration/wanted.ts';

type Row = [phase: Phase, app: AppStatus, session: Wanted['session'], observe: Wanted['observe']];

const rows: Row[] = [
  ['legacy', 'none', 'none', false],
  ['legacy', 'away', 'none', false],
  ['legacy', 'here', 'none', false],
  ['legacy', 'unknown', 'none', false],
  ['shadow', 'none', 'none', true],
  ['shadow', 'away', 'none', true],
  ['shadow', 'here', 'none', true],
  ['shadow', 'unknown', 'none', true],
  ['dual', 'none', 'none', true],
  ['dual', 'away', 'none', true],
  ['dual', 'here', 'here', false],
  ['dual', 'unknown', 'unchanged', 'unchanged'],
  ['mqtt', 'none', 'away', false],
  ['mqtt', 'away', 'away', false],
  ['mqtt', 'here', 'here', false],
  ['mqtt', 'unknown', 'unchanged', false],
];

test.each(rows)('%s, app %s: session %s, observe %s', (phase, app, session, observe) => {
  const situation = { phase, app, hasToSend: false, legacyLogin: 'allow' } as const;
  expect(wanted(situation)).toEqual({ session, observe, lock: false });
});

test.each(rows)('with legacyLogin deny only the phase mqtt locks: %s, app %s', (phase, app, session, observe) => {
  const situation = { phase, app, hasToSend: false, legacyLogin: 'deny' } as const;
  expect(wanted(situation)).toEqual({ session, observe, lock: phase === 'mqtt' });
});

test.each(rows)(
  'what waits for the server brings a silent session only in dual without an app: %s, app %s',
  (...row) => {
    const [phase, app, session, observe] = row;
    const isReason = phase === 'dual' && (app === 'none' || app === 'away');
    const situation = { phase, app, hasToSend: true, legacyLogin: 'allow' } as const;
    expect(wanted(situation)).toEqual({ session: isReason ? 'silent' : session, observe, lock: false });
  },
);

test.each([
  ['no device', [], {}],
  ['a device that states nothing', [{ online: true, statedAt: 1 }], {}],
  ['one that has gone', [{ online: false, statedAt: 1, show: 'dnd' as const }], {}],
  [
    'the one that spoke last',
    [
      { online: true, statedAt: 2, show: 'dnd' as const, text: 'busy' },
      { online: true, statedAt: 1, show: 'away' as const },
    ],
    { show: 'dnd', text: 'busy' },
  ],
  [
    'one that states something before a later one that does not',
    [
      { online: true, statedAt: 1, text: 'here' },
      { online: true, statedAt: 2 },
    ],
    { text: 'here' },
  ],
])('contacts see the user as its devices say: %s', (_, devices, shown) => {
  expect(shownOf(devices)).toEqual(shown);
});

test('two ways of being shown are the same, and unknown is never the same as anything', () => {
  expect(isSameShown({ show: 'dnd', text: '' }, { show: 'dnd' })).toBe(true);
  expect(isSameShown({}, { text: 'x' })).toBe(false);
  expect(isSameShown(null, null)).toBe(true);
  expect(isSameShown(null, {})).toBe(false);
  expect(isSameShown(undefined, undefined)).toBe(false);
  expect([null, {}, { show: 'xa' as const, text: 'gone' }].map(nameOfShown)).toEqual(['silent', 'available', 'xa']);
});
