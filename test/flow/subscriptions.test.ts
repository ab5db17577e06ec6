// What makes a contact's request a new one, or one that the server tells again (RFC 6121 §3.1.3); rows of what comes, on a real store.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { answeredBy, isBeingMade, repeatOf } from '../../src/flow/subscriptions.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { accept, type Bench, engines } from '../ledger/bench.ts';

const user = 'bob@example.com';
let bench: Bench;
beforeEach(async () => {
  bench = await engines[Object.keys(engines)[0]!]!();
});
afterEach(() => bench.end());

/** `live`: to a session that stands; `told`: by the server, to one that is being made; `answers`: what the user sends. */
type Step = [how: 'live' | 'told' | 'answers', type: string, attributes?: string];
const alice = `from='alice@example.com'`;
const rows: [string, Step[], string][] = [
  ['a live request is new', [['live', 'subscribe']], 'new'],
  [
    'told again to the next session it is a repeat',
    [
      ['live', 'subscribe'],
      ['told', 'subscribe'],
      ['told', 'subscribe'],
    ],
    'new repeat repeat',
  ],
  [
    'told first, and then again',
    [
      ['told', 'subscribe'],
      ['told', 'subscribe'],
    ],
    'new repeat',
  ],
  [
    'two live ones are two: the server had forgotten the first',
    [
      ['live', 'subscribe'],
      ['live', 'subscribe'],
      ['told', 'subscribe'],
    ],
    'new new repeat',
  ],
  [
    'after a no it is a new one',
    [
      ['live', 'subscribe'],
      ['answers', 'unsubscribed'],
      ['told', 'subscribe'],
    ],
    'new new',
  ],
  [
    'after a yes it is a new one',
    [
      ['live', 'subscribe'],
      ['answers', 'subscribed'],
      ['told', 'subscribe'],
    ],
    'new new',
  ],
  [
    'after the contact took it back it is a new one',
    [
      ['live', 'subscribe'],
      ['live', 'unsubscribe'],
      ['told', 'subscribe'],
    ],
    'new new new',
  ],
  [
    'another id is another request',
    [
      ['told', 'subscribe', `id='1'`],
      ['told', 'subscribe', `id='2'`],
      ['told', 'subscribe', `id='1'`],
    ],
    'new new repeat',
  ],
  [
    'another contact is another request',
    [
      ['told', 'subscribe'],
      ['told', 'subscribe', `from='carol@example.com'`],
      ['told', 'subscribe', `from='carol@example.com/x'`],
    ],
    'new new repeat',
  ],
  [
    'what is said about an answer is no request',
    [
      ['live', 'subscribed'],
      ['told', 'subscribed'],
      ['live', 'unsubscribed'],
      ['live', 'unsubscribed'],
    ],
    'new new new new',
  ],
];
test.each(rows)('%s', async (_, steps, outcomes) => {
  const got: string[] = [];
  let n = 0;
  for (const [how, type, attributes = ''] of steps) {
    const from = attributes.includes('from=') ? '' : alice;
    const stanza = parseStanza(`<presence xmlns='jabber:client' ${from} type='${type}' ${attributes}/>`)!;
    if (how === 'answers') {
      const archiveKey = answeredBy(user, stanza, 'alice@example.com');
      if (archiveKey) await bench.ledger.do('renewed', { archiveKey });
      continue;
    }
    const epoch = how === 'live' ? 'E' : 'before';
    const standing = {
      jid: user,
      phase: 'mqtt',
      version: 1,
      acks: true,
      changedAt: 0,
      attached: { jid: `${user}/mqtt`, epoch },
    };
    const position = { link: 'L', epoch: 'E', n: ++n };
    const { archiveKey, renews } = repeatOf(standing as never, stanza, { user, seen: false, position });
    if (renews) await bench.ledger.do('renewed', { archiveKey: renews });
    got.push((await accept(bench.ledger, { channel: 'presence', archiveKey, position })).kind);
  }
  expect(got.join(' ')).toBe(outcomes);
});

test('what was renewed stays so across a restart, and the entry itself stays', async () => {
  const stanza = parseStanza(`<presence xmlns='jabber:client' ${alice} type='subscribe'/>`)!;
  const told = () =>
    repeatOf({ jid: user } as never, stanza, { user, seen: false, position: { link: 'L', epoch: 'E', n: 1 } });
  const { archiveKey } = told();
  const { key } = await accept(bench.ledger, { archiveKey });
  await bench.ledger.do('renewed', { archiveKey: archiveKey! });
  await bench.reopen();
  expect((await accept(bench.ledger, { archiveKey })).kind).toBe('new');
  expect((await accept(bench.ledger, { archiveKey })).kind).toBe('repeat');
  expect((await bench.ledger.do('entry', { key }))[0]?.state).toBe('accepted');
});

test.each([
  ['no session', undefined, true],
  ['one of an epoch that is over', { jid: 'x', epoch: 'D' }, true],
  ['one that is asked for', { jid: 'x', epoch: 'E', pending: 'attach' as const }, true],
  ['one that stands', { jid: 'x', epoch: 'E' }, false],
  ['one that is being ended', { jid: 'x', epoch: 'E', pending: 'detach' as const }, false],
])(
  'what comes in an epoch in which the user has %s: is it for a session that is only being made?',
  (_, attached, is) => {
    expect(isBeingMade({ attached }, { link: 'L', epoch: 'E', n: 1 })).toBe(is);
    expect(isBeingMade({ attached }, undefined)).toBe(false);
  },
);
