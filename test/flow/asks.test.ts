// What the gateway asks in a user's name, and what counts as the answer; and what it answers to the server's own pushes.

import { expect, test } from 'vitest';
import { Answers } from '../../src/flow/answers.ts';
import { Asks } from '../../src/flow/asks.ts';
import type { SendResult } from '../../src/xmpp/session.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';

const bob = 'bob@example.com';
const read = (xml: string) => parseStanza(xml.replace(/^<(\w+)/, `<$1 xmlns='jabber:client'`))!;
const question = () => read(`<iq type='get'><query xmlns='jabber:iq:roster'/></iq>`);

function setting(result: SendResult = { kind: 'processed' }) {
  const sent: string[] = [];
  const late: (() => void)[] = [];
  const send = async (stanza: string) => {
    sent.push(stanza);
    return result;
  };
  const after = (_: number, task: () => void) => {
    late.push(task);
    return { cancel: () => {} };
  };
  const asks = new Asks({
    sessions: { of: () => ({ send }) } as never,
    clock: { now: () => 0, random: () => 0, after },
  });
  const id = () => /id="([^"]+)"/.exec(sent[0] ?? '')?.[1] ?? '';
  return { asks, id, late, settled: () => new Promise((resolve) => setImmediate(resolve)) };
}

test.each<[string, string, string, boolean]>([
  ['a result without a sender', bob, `<iq type='result' id='ID'/>`, true],
  ['a result from the own account', bob, `<iq type='result' id='ID' from='bob@example.com'/>`, true],
  ['an error', bob, `<iq type='error' id='ID'/>`, true],
  ['a result with the right id from somebody else', bob, `<iq type='result' id='ID' from='eve@example.com'/>`, false],
  ['a result to another user', 'eve@example.com', `<iq type='result' id='ID'/>`, false],
  ['a result to nothing that was asked', bob, `<iq type='result' id='x'/>`, false],
  ['a request with that id', bob, `<iq type='set' id='ID'/>`, false],
])('%s', async (_, user, xml, counts) => {
  const { asks, id, settled } = setting();
  let answer: unknown = 'none';
  void asks.ask(bob, question()).then((iq) => {
    answer = iq?.attrs.type;
  });
  await settled();
  expect(asks.take(user, read(xml.replace('ID', id())))).toBe(counts);
  await settled();
  expect(answer !== 'none').toBe(counts);
  // Once only.
  if (counts) expect(asks.take(user, read(xml.replace('ID', id())))).toBe(false);
});

test('no answer in time, a lost link and a refused stanza are no answer', async () => {
  const mute = setting();
  const answer = mute.asks.ask(bob, question());
  await mute.settled();
  for (const task of mute.late) task();
  expect(await answer).toBeNull();
  expect(await setting({ kind: 'lost' }).asks.ask(bob, question())).toBeNull();
  expect(await setting({ kind: 'refused', condition: 'x', text: '' }).asks.ask(bob, question())).toBeNull();
});

test.each([
  ['without a sender', '', 'result'],
  ['from the own account', `from='bob@example.com'`, 'result'],
  ['from anybody else: forged', `from='eve@example.com'`, 'error'],
  ['from the own account in another session', `from='bob@example.com/desk'`, 'error'],
])('a roster push %s', (_, from, type) => {
  const answers = new Answers({ version: '0', clock: { now: () => 0 } as never, features: [] });
  const push = read(
    `<iq type='set' id='p1' ${from}><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>`,
  );
  const answer = answers.answer(push, bob);
  expect([answer?.attrs.type, answer?.attrs.id]).toEqual([type, 'p1']);
});
