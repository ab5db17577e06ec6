// Play: an app goes on while the legacy server is away. So much waits, the rest is refused for now; what has expired is not sent.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, setStage } from '../harness/stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await setStage({
    accounts: ['bob', 'carol'],
    config: { mqtt: { messagesPerSecond: 20, messagesBurst: 200, messagesWaiting: 100 } },
  });
  for (const name of ['bob', 'carol']) await stage.gateway.move(`${name}@example.com`, 'mqtt');
});
afterAll(() => stage?.strike());

test('while the legacy server is away so many messages wait, the next is refused and taken later; what has expired is not sent any more', async () => {
  await stage.server.kill9();
  await stage.gateway.logged({ event: 'gateway.not-ready' });
  const carol = await stage.app('carol', 'laptop');
  carol.publish('message', { id: 'short', to: 'bob@example.com', body: 'for a second' }, { expiresIn: 1 });
  await carol.isTold('short');
  await carol.hears('error', { id: 'short', condition: 'remote-server-timeout' });
  const ids = Array.from({ length: 100 }, (_, n) => `waiting ${n}`);
  for (const id of ids) carol.say('bob@example.com', id, id);
  for (const id of ids) await carol.isTold(id);
  const late = 'one too many';
  const isFull = ({ id, text }: { id?: unknown; text?: unknown }) => id === late && /wait for the chat/.test(`${text}`);
  await expect
    .poll(() => {
      carol.say('bob@example.com', late, late);
      return carol.all('error').some(isFull);
    })
    .toBe(true);
  expect(await stage.gateway.metric('crossfade_held_back_total', { limit: 'waiting' })).toBeGreaterThan(0);
  await stage.server.restart();
  const bob = await stage.app('bob', 'laptop');
  await bob.hears('message', { body: ids.at(-1) });
  carol.say('bob@example.com', late, late);
  await bob.hears('message', { body: late });
  expect(bob.bodies().filter((body) => [...ids, late, 'for a second'].includes(body))).toEqual([...ids, late]);
  await Promise.all([bob.leave(), carol.leave()]);
});
