// What is refused of the legacy server's stanzas: under which channel it is recorded, and who is told.

import { afterEach, expect, test } from 'vitest';
import { bob, type CoreStage, link, session, setCoreStage } from './core-stage.ts';

let stage: CoreStage;
afterEach(() => stage.end());

type Row = [
  what: string,
  name: string,
  type: string | undefined,
  dir: 'in' | undefined,
  channel: string,
  told: boolean,
];

const rows: Row[] = [
  ['a live message', 'message', 'chat', undefined, 'message', true],
  ['a request', 'iq', 'get', undefined, 'message', true],
  ['a presence', 'presence', undefined, undefined, 'presence', false],
  ['a subscription request', 'presence', 'subscribe', undefined, 'presence', false],
  ['an error', 'message', 'error', undefined, 'message', false],
  ['a room’s message', 'message', 'groupchat', undefined, 'message', false],
  ['an observed copy', 'message', 'chat', 'in', 'message', false],
];

test.each(rows)('%s that is too large is recorded', async (_, name, type, dir, channel, told) => {
  stage = await setCoreStage();
  const skipped = { name, type, from: 'alice@example.com/a', to: session, id: '7', bytes: 9_999_999, reason: 'bytes' };
  const position = { link, epoch: 'E', n: 1 };
  await new Promise<void>((accepted) => {
    stage.core.toMqtt.skipped(skipped, { user: bob, seen: false, position, dir }, accepted);
  });
  expect(await stage.entries()).toMatchObject([{ state: 'dead', channel, condition: 'policy-violation' }]);
  expect(stage.sent.filter((text) => text.includes("type='error'") || text.includes('type="error"')).length).toBe(
    told ? 1 : 0,
  );
});
