// Play: messages wait for Bob, whose phone is away, and a webhook is told so that somebody may wake it (DESIGN §5). Real servers all over.

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Contact } from '../harness/contact.ts';
import { Happenings } from '../harness/happenings.ts';
import { type Stage, setStage } from '../harness/stage.ts';

interface Call {
  user: string;
  from: string;
  count: number;
  at: string;
}

const secret = 'not-a-real-secret';
const everyMs = 2_000;
const calls = new Happenings<Call>();
const seen: { authorization?: string; body: string; at: number }[] = [];
/** How the push service behaves just now. */
let answer: (response: ServerResponse) => void = (response) => response.end();

/** Calls that have no answer yet. */
let unanswered = 0;

const push = createServer(async (request, response) => {
  unanswered++;
  response.once('close', () => unanswered--);
  const body = await text(request);
  seen.push({ authorization: request.headers.authorization, body, at: Date.now() });
  calls.add(JSON.parse(body));
  answer(response);
});

let stage: Stage;
let alice: Contact;

beforeAll(async () => {
  push.listen(0, '127.0.0.1');
  await once(push, 'listening');
  const url = `http://127.0.0.1:${(push.address() as AddressInfo).port}/push/hidden-in-the-path`;
  stage = await setStage({
    accounts: ['alice', 'bob', 'carol', 'dave', 'erin'],
    config: { webhook: { url, secret, every: `${everyMs}ms`, timeout: '4s' } },
  });
  alice = await stage.contact('alice');
  for (const name of ['bob', 'carol', 'dave', 'erin']) await stage.gateway.move(`${name}@example.com`, 'mqtt');
  // To a new ledger any broker is one that was restarted, and 90 s long nobody knows who is online; from the next start on it is 5 s.
  await stage.gateway.logged({ event: 'broker.restarted' });
  await stage.gateway.stop();
  await stage.gateway.start();
});
afterAll(async () => {
  await stage?.strike();
  push.closeAllConnections();
  push.close();
});

const of = (name: string) => calls.items.filter(({ user }) => user === `${name}@example.com`);
const total = (name: string) => of(name).reduce((sum, { count }) => sum + count, 0);
const told = async (name: string, count: number) =>
  await calls.until(() => (total(name) >= count ? true : undefined), `${count} messages told for ${name}`);

test('a burst is one call, what follows is one more; user, sender, count and time are all it says', async () => {
  for (let n = 0; n < 10; n++) alice.say('bob@example.com', `private words ${n}`);
  await told('bob', 10);
  for (let n = 0; n < 5; n++) alice.say('bob@example.com', `more words ${n}`);
  await told('bob', 15);
  const mine = of('bob');
  expect(mine.map(({ count }) => count)).toEqual([10, 5]);
  for (const call of mine) {
    expect(Object.keys(call).sort()).toEqual(['at', 'count', 'from', 'user']);
    expect(call).toMatchObject({ user: 'bob@example.com', from: 'alice@example.com' });
    expect(Math.abs(Date.parse(call.at) - Date.now())).toBeLessThan(30_000);
  }
  expect(seen.every(({ authorization }) => authorization === `Bearer ${secret}`)).toBe(true);
  const times = seen.filter(({ body }) => body.includes('bob@')).map(({ at }) => at);
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(everyMs - 100);
});

test('no call while a device is online; when it has gone without acknowledging, there is one', async () => {
  const phone = await stage.app('carol', 'phone', { acks: false });
  phone.publish('ack', { keys: [], device: 'carol-phone' });
  alice.say('carol@example.com', 'are you there?');
  await phone.hears('message', { body: 'are you there?' });
  alice.say('dave@example.com', 'a witness');
  await told('dave', 1);
  expect(of('carol')).toEqual([]);
  // Killed: the will speaks for it.
  await phone.drop();
  await told('carol', 1);
  expect(of('carol').map(({ count }) => count)).toEqual([1]);
});

test('a push service that fails, hangs, or is slow holds up no delivery, and is told in the end', async () => {
  const faults: ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(500).end('secret stack trace'),
    () => {}, // hangs: the timeout ends it
  ];
  answer = (response) => (faults.shift() ?? ((one: ServerResponse) => one.end()))(response);
  const before = stage.gateway.log.items.length;
  const phone = await stage.app('bob', 'phone');
  alice.say('erin@example.com', 'first');
  await calls.until(() => of('erin')[1], 'the second try');
  alice.say('bob@example.com', 'not held up');
  await phone.hears('message', { body: 'not held up' });
  expect(unanswered).toBe(1);
  await calls.until(() => (of('erin').length >= 3 ? true : undefined), 'the third try');
  expect(of('erin').map(({ count }) => count)).toEqual([1, 1, 1]);
  const lines = JSON.stringify(stage.gateway.log.items.slice(before));
  for (const hidden of [secret, 'hidden-in-the-path', 'first', 'stack trace']) expect(lines).not.toContain(hidden);
});

test('after a restart what waits is told, once', async () => {
  const before = of('erin').length;
  const ofDave = total('dave');
  await stage.gateway.kill9();
  await stage.gateway.start();
  await calls.until(() => of('erin')[before], 'the call after the restart');
  expect(of('erin')[before]).toMatchObject({ count: 1 });
  alice.say('dave@example.com', 'later');
  // The one from before again, and this.
  await told('dave', ofDave + 2);
  expect(of('erin')).toHaveLength(before + 1);
});
