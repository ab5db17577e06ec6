// Who may see whom: the table of RFC 6121 appendix A as far as a server of one side needs it, row by row.

import { expect, test } from 'vitest';
import {
  heard,
  nameOfStanding,
  type Standing,
  type SubscriptionPolicy,
  type SubscriptionType,
  said,
} from '../../src/migration/subscription.ts';

const none: Standing = {};
const yes: Standing = { sees: 'yes' };
const both: Standing = { sees: 'yes', seen: 'yes' };

const hearing: [
  now: Standing,
  type: SubscriptionType,
  policy: SubscriptionPolicy,
  next: Standing,
  news: boolean,
  answer?: string,
][] = [
  [none, 'subscribe', 'ask', { sees: 'asks' }, true],
  [none, 'subscribe', 'accept', { sees: 'asks' }, true, 'grant'],
  [{ sees: 'asks' }, 'subscribe', 'ask', { sees: 'asks' }, true],
  [{ sees: 'approved' }, 'subscribe', 'ask', { sees: 'asks' }, true, 'grant'],
  [yes, 'subscribe', 'ask', yes, false, 'granted'],
  [{ seen: 'yes' }, 'subscribe', 'ask', { sees: 'asks', seen: 'yes' }, true],
  [both, 'unsubscribe', 'ask', { seen: 'yes' }, true, 'gone'],
  [{ sees: 'asks' }, 'unsubscribe', 'ask', none, true],
  [none, 'unsubscribe', 'ask', none, false],
  [{ sees: 'approved' }, 'unsubscribe', 'ask', { sees: 'approved' }, false],
  [{ seen: 'asked' }, 'subscribed', 'ask', { seen: 'yes' }, true],
  [none, 'subscribed', 'accept', none, false],
  [{ seen: 'yes' }, 'subscribed', 'ask', { seen: 'yes' }, false],
  [both, 'unsubscribed', 'ask', yes, true],
  [{ seen: 'asked' }, 'unsubscribed', 'ask', none, true],
  [yes, 'unsubscribed', 'ask', yes, false],
];
test.each(hearing)('%j hears %s (%s): becomes %j, news %s, answer %s', (now, type, policy, next, isNews, answer) => {
  const outcome = heard(now, type, policy);
  expect(outcome).toMatchObject({ isNews });
  expect([outcome.next, outcome.answer]).toEqual([next, answer]);
});

const saying: [now: Standing, type: SubscriptionType, next: Standing, isSent: boolean, also?: string][] = [
  [none, 'subscribe', { seen: 'asked' }, true],
  [both, 'subscribe', both, true],
  [{ seen: 'yes' }, 'unsubscribe', none, true],
  [none, 'unsubscribe', none, true],
  [{ sees: 'asks' }, 'subscribed', yes, true, 'show'],
  [yes, 'subscribed', yes, true, 'show'],
  [none, 'subscribed', { sees: 'approved' }, false],
  [both, 'unsubscribed', { seen: 'yes' }, true, 'hide'],
  [{ sees: 'asks' }, 'unsubscribed', none, true],
  [{ sees: 'approved' }, 'unsubscribed', none, false],
  [none, 'unsubscribed', none, true],
];
test.each(saying)('%j says %s: becomes %j, sent %s, also %s', (now, type, next, isSent, also) => {
  const outcome = said(now, type);
  expect([outcome.next, outcome.isSent, outcome.also]).toEqual([next, isSent, also]);
});

test('what was said once more after a crash changes nothing more', () => {
  for (const [now, type] of saying) {
    const first = said(now, type).next;
    expect(said(first, type).next).toEqual(first);
  }
});

test('rosters name it by who sees whom', () => {
  expect(
    [none, { seen: 'yes' }, yes, both, { sees: 'asks', seen: 'asked' }].map((standing) =>
      nameOfStanding(standing as Standing),
    ),
  ).toEqual(['none', 'to', 'from', 'both', 'none']);
});
