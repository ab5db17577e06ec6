// Play: an operator looks after single messages and many users at the command line, on real servers.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crossfade, type Ended } from '../cli/command.ts';
import type { Contact } from '../harness/contact.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const team = ['dora', 'emil', 'fritz', 'gerda'];

let stage: Stage;
let alice: Contact;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob', 'carol', ...team] });
  alice = await stage.contact('alice');
  await stage.gateway.logged({ event: 'broker.restarted' });
});
afterAll(() => stage?.strike());

test('what nobody has subscribed to is explained, and handed back by hand: once, with its own time', async () => {
  await stage.gateway.move('bob@example.com', 'mqtt');
  for (const body of ['one', 'two', 'three']) alice.say('bob@example.com', body);
  const states = async () => (await stage.gateway.entries('bob@example.com')).map(({ state }) => state);
  await expect.poll(states).toEqual(['parked', 'accepted', 'accepted']);
  const entries = await stage.gateway.entries('bob@example.com');

  const shown = await cli('user', 'show', 'bob@example.com');
  expect(shown.out).toContain('  3 messages are open: 2 to be sent and 1 parked; 3 of them nobody else has.\n');
  expect(shown.out).toMatch(/^from alice@example\.com: 2 to be sent and 1 parked/m);
  expect(shown.out).toMatch(/^ {4}nobody has subscribed; parked /m);

  const dry = await cli('ledger', 'return', '--user', 'bob@example.com', '--reason', 'lost phone');
  expect(dry.out).toContain('3 entries would be handed back to the legacy server.');
  const desk = await stage.contact('bob');
  expect(await cli('ledger', 'return', '--user', 'bob@example.com', '--reason', 'lost phone', '--yes')).toEqual({
    ...{ code: 0, out: '3 entries handed back to the legacy server\n', err: '' },
  });
  await desk.hears('three');
  expect(desk.bodies()).toEqual(['one', 'two', 'three']);
  const stamps = desk.messages.items.filter(({ body }) => body !== '').map(({ delay }) => delay ?? 0);
  for (const [index, { at }] of entries.entries())
    expect(Math.abs(stamps[index]! - Date.parse(String(at)))).toBeLessThan(1_000);
  const phone = await stage.app('bob', 'phone');
  alice.say('bob@example.com', 'the end');
  await phone.hears('message', { body: 'the end' });
  expect(phone.bodies()).toEqual(['the end']);
});

test('a message of an app that waits is discarded, and the app is told; what was dead is sent again', async () => {
  await stage.gateway.move('carol@example.com', 'mqtt');
  const phone = await stage.app('carol', 'phone');
  await stage.server.kill9();
  phone.say('alice@example.com', 'a mistake', 'c1');
  await phone.isTold('c1');
  const [entry] = (await stage.gateway.entries('carol@example.com')).filter(({ lane }) => lane === 'toXmpp');
  const key = String(entry?.key);
  const shown = await cli('user', 'show', 'carol@example.com');
  expect(shown.out).toMatch(/^to alice@example\.com: 1 to be sent/m);
  expect(shown.out).toMatch(/^ {4}the link to the legacy server is down$/m);
  expect((await cli('ledger', 'discard', key, '--reason', 'asked for by carol')).code).toBe(0);
  await phone.hears('error', { id: 'c1', condition: 'not-acceptable', text: 'an operator has discarded it' });
  await stage.server.restart();
  alice = await stage.contact('alice');
  phone.say('alice@example.com', 'meant so', 'c2');
  await alice.hears('meant so');
  expect(alice.bodies()).toEqual(['meant so']);
  const story = await cli('ledger', 'show', 'c1');
  expect(story.out).toMatch(/admin: discard \(asked for by carol\)$/m);
  expect(story.out).toMatch(/discarded: operator: asked for by carol$/m);
});

test('a team is moved from a file and back, one of them without an account, and the rest are moved all the same', async () => {
  const jids = [...team, 'ghost'].map((name) => `${name}@example.com`);
  writeFileSync(join(stage.dir, 'team.txt'), `# the first team\n${jids.join('\n')}\n`);
  const there = ['user', 'set', 'mqtt', '--file', 'team.txt', '--reason', 'first team'];
  const dry = await cli(...there);
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('5 users would be moved to mqtt.') });
  const done = await cli(...there, '--yes');
  expect(done.code).toBe(1);
  expect(done.out).toContain('5 users to mqtt: 4 moved, 0 there already and 1 failed\n');
  expect(done.out).toMatch(/^ {2}ghost@example\.com {2}could not be moved to mqtt: there is no such account/m);
  for (const name of team)
    expect(await stage.gateway.user(`${name}@example.com`)).toMatchObject({ phase: 'mqtt', moving: null });
  const back = await cli('user', 'set', 'legacy', '--match', '?????*@example.com', '--reason', 'enough', '--yes');
  expect(back.code).toBe(0);
  for (const name of ['carol', 'fritz', 'gerda'])
    expect(await stage.gateway.user(`${name}@example.com`)).toMatchObject({ phase: 'legacy', attached: null });
  expect(await stage.gateway.user('dora@example.com')).toMatchObject({ phase: 'mqtt' });
});

function cli(...args: string[]): Promise<Ended> {
  return crossfade([...args, '--url', stage.gateway.adminUrl], { cwd: stage.dir });
}
