// An app whose messages wait for the legacy server: how many may, and what it is told of the rest.

import { afterEach, expect, test } from 'vitest';
import { type CoreStage, setCoreStage } from './core-stage.ts';

let stage: CoreStage;
afterEach(() => stage.end());

const message = (id: string) => ({ id, to: 'alice@example.com', type: 'chat', body: id });
const told = (channel: string) =>
  stage.published.filter(({ topic }) => topic === `chat/bob/in/${channel}`).map(({ payload }) => JSON.parse(payload));
const count = async (limit: string) =>
  (await stage.metrics.heldBack.get()).values.find(({ labels }) => labels.limit === limit)?.value ?? 0;

test('while the legacy server is away so many messages wait; the next is refused with what to do, and taken once there is room', async () => {
  stage = await setCoreStage({ isAttached: false, messagesWaiting: 2 });
  stage.server.up = false;
  for (const id of ['m1', 'm2', 'm3']) await stage.says(message(id));
  expect(told('error')).toMatchObject([{ id: 'm3', condition: 'resource-constraint' }]);
  expect(told('error')[0].text).toMatch(/2 messages of yours wait .* send this one again later/);
  expect(await count('waiting')).toBe(1);
  await expect.poll(() => told('ack').flatMap(({ ids }) => ids)).toEqual(['m1', 'm2']);

  stage.server.up = true;
  stage.core.linkUp(true);
  await expect.poll(() => stage.sent.filter((text) => text.includes('<body>'))).toHaveLength(2);
  await stage.says(message('m3'));
  await expect.poll(() => stage.sent.at(-1)).toContain('<body>m3</body>');
  expect(told('error')).toHaveLength(1);
});

test('what contacts say is taken however much waits', async () => {
  stage = await setCoreStage({ messagesWaiting: 1 });
  for (let n = 0; n < 3; n++)
    await stage.arrives(
      `<message from='alice@example.com/a' to='bob@example.com' type='chat' id='c${n}'><body>hi</body></message>`,
    );
  expect(await stage.entries()).toHaveLength(3);
});
