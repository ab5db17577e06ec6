// Play: an app that floods is told to slow down and harms nobody; a broker whose queue is too short for a phone that is away raises an alarm, and nothing is lost.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, setStage } from '../harness/stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await setStage({
    accounts: ['alice', 'bob', 'carol'],
    mosquitto: { max_queued_messages: 20, sys_interval: 1 },
    config: { mqtt: { messagesPerSecond: 20, messagesBurst: 100 } },
  });
  await stage.gateway.logged({ event: 'broker.restarted' });
  for (const name of ['bob', 'carol']) await stage.gateway.move(`${name}@example.com`, 'mqtt');
});
afterAll(() => stage?.strike());

test('what is over the limit is refused with when to send it again, and then taken; other users notice nothing', async () => {
  const alice = await stage.contact('alice');
  const [bob, carol] = [await stage.app('bob', 'phone'), await stage.app('carol', 'phone')];
  // So many that they are too many also where it takes the app ten seconds to send them.
  for (let n = 0; n < 400; n++) bob.say('alice@example.com', `flood ${n}`, `flood ${n}`);
  carol.say('alice@example.com', 'in the middle of it', 'c1');
  await alice.hears('in the middle of it');
  const refused = await bob.hears('error', { condition: 'resource-constraint' });
  expect(refused.text).toMatch(/more than 20 messages a second: send this one again in 1 s/);
  expect(String(refused.id)).toMatch(/^flood [1-3]\d\d$/);
  expect(
    await stage.gateway.metric('crossfade_refused_total', { lane: 'toXmpp', reason: 'resource-constraint' }),
  ).toBeGreaterThan(0);
  // The refused id has left no key: the same message is taken as soon as there is room.
  await expect
    .poll(
      async () => {
        bob.say('alice@example.com', String(refused.id), String(refused.id));
        return alice.bodies('bob@example.com').includes(String(refused.id));
      },
      { timeout: 20_000, interval: 1_000 },
    )
    .toBe(true);
  expect(alice.bodies('bob@example.com').filter((body) => body === refused.id)).toHaveLength(1);
  await Promise.all([bob.leave(), carol.leave()]);
});

test('messages that the broker drops from a full queue raise an alarm, and the app has them when it comes', async () => {
  const alice = await stage.contact('alice/second');
  const from = stage.gateway.log.items.length;
  for (let n = 1; n <= 60; n++) alice.say('carol@example.com', `queued ${n}`);
  const alarm = await stage.gateway.logged({ event: 'broker.dropped' }, from);
  expect(Number(alarm.count)).toBeGreaterThan(0);
  const carol = await stage.app('carol', 'phone');
  await carol.hears('message', { body: 'queued 60' });
  await expect
    .poll(() => new Set(carol.bodies().filter((body) => body.startsWith('queued'))).size, { timeout: 20_000 })
    .toBe(60);
});
