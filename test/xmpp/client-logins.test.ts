// Who may log in as a client, and when: the pace over all, the pauses of a user whom the server refuses, and what the end of a stream means.

import { beforeEach, expect, test } from 'vitest';
import { type CredentialAnswer, Logins } from '../../src/xmpp/client-logins.ts';
import type { Closed } from '../../src/xmpp/client-stream.ts';
import { TurnedClock } from '../migration/stage.ts';

const found: CredentialAnswer = { kind: 'found', credential: { password: 'pw' } };
const [bob, carol] = ['bob@example.com', 'carol@example.com'];
const wrong: Closed = { by: 'auth', condition: 'not-authorized', text: '' };
const seconds = (n: number) => n * 1000;

let clock: TurnedClock;
let asked: string[];
let answer: CredentialAnswer;
let logins: Logins;

beforeEach(() => {
  clock = new TurnedClock();
  asked = [];
  answer = found;
  logins = new Logins({
    perSecond: 20,
    clock,
    credentialOf: async (user) => {
      asked.push(user);
      return answer;
    },
  });
});

/** Asks, and lets so much time go by that it has its turn. */
async function admitted(user: string) {
  const admission = logins.admit(user);
  await clock.turn(seconds(1));
  return admission;
}

test('of a thousand that want in at once twenty have their turn in each second', async () => {
  let admittedSoFar = 0;
  for (let at = 0; at < 1_000; at += 1) void logins.admit(`u${at}@example.com`).then(() => (admittedSoFar += 1));
  await clock.turn(seconds(1) - 1);
  expect(admittedSoFar).toBe(20);
  await clock.turn(seconds(10));
  expect(admittedSoFar).toBe(220);
  await clock.turn(seconds(39));
  expect(admittedSoFar).toBe(1_000);
});

test('who was refused is not tried again for 30 s, then for twice as long each time, up to 15 minutes; nobody else waits', async () => {
  // The clock's chance is one half, so each pause has three quarters of its length.
  for (const pause of [30, 60, 120, 240, 480, 900, 900].map((length) => seconds(length * 0.75))) {
    expect((await admitted(bob)).kind).toBe('admitted');
    logins.failed(bob, wrong);
    const tried = asked.length;
    await clock.turn(pause - seconds(2));
    expect(await admitted(bob)).toMatchObject({ kind: 'refused', condition: 'not-authorized' });
    expect(asked).toHaveLength(tried);
    expect((await admitted(carol)).kind).toBe('admitted');
  }
});

test('after a login that went through the pauses begin with the shortest', async () => {
  for (const _ of [1, 2, 3]) {
    logins.failed(bob, wrong);
    await clock.turn(seconds(900));
  }
  logins.passed(bob);
  logins.failed(bob, wrong);
  expect((await admitted(bob)).kind).toBe('refused');
  await clock.turn(seconds(30));
  expect((await admitted(bob)).kind).toBe('admitted');
});

test('what was refused a week ago is not remembered any more', async () => {
  for (const _ of [1, 2, 3]) logins.failed(bob, wrong);
  await clock.turn(seconds(7 * 86_400));
  logins.failed(bob, wrong);
  await clock.turn(seconds(30));
  expect((await admitted(bob)).kind).toBe('admitted');
});

test('a source of credentials that does not answer is no strike against the user; a user without one is', async () => {
  answer = { kind: 'later', text: 'no answer' };
  for (const _ of [1, 2]) expect(await admitted(bob)).toMatchObject({ kind: 'wait', text: 'no answer' });
  answer = { kind: 'absent', text: 'no line for bob' };
  expect(await admitted(bob)).toMatchObject({ kind: 'refused', text: 'no line for bob' });
  expect(await admitted(bob)).toMatchObject({ kind: 'refused', text: 'no line for bob' });
  expect(asked).toHaveLength(3);
});

test.each<[Closed['by'], string, boolean]>([
  ['auth', 'refused', true],
  ['insecure', 'refused', false],
  ['stream-error', 'wait', false],
  ['unreachable', 'lost', false],
])('a stream that ended by %s means %s, and pauses the user: %s', async (by, kind, pauses) => {
  expect(logins.failed(bob, { by, condition: 'some-condition', text: 'why' }).kind).toBe(kind);
  expect((await admitted(bob)).kind).toBe(pauses ? 'refused' : 'admitted');
});
