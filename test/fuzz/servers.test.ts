// In bulk to a real server: whatever apps publish, its parser takes what the gateway writes, and the one stream of all users stands.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, setStage } from '../harness/stage.ts';
import { message, payload } from './generators.ts';

const count = 3_000;
const canaryEvery = 500;
let stage: Stage;

beforeAll(async () => {
  const limits = { messagesPerSecond: 100_000, messagesBurst: 1_000_000 };
  stage = await setStage({ accounts: ['alice', 'bob'], legacy: { archive: true }, config: { mqtt: limits } });
  await stage.gateway.move('bob@example.com', 'mqtt');
});
afterAll(() => stage?.strike());

test(`${count} generated payloads on every channel: the server never ends the stream, and goes on delivering`, {
  timeout: 90_000,
}, async () => {
  const alice = await stage.contact('alice');
  const phone = await stage.app('bob', 'phone', { library: 'mqtt.js' });
  const channels = ['message', 'receipt', 'chatstate', 'presence', 'stanza', 'request'];
  const made = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.constant('message'), message) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...channels), payload) },
  );
  const generated = fc.sample(made, { seed: 1, numRuns: count });
  const from = stage.gateway.log.items.length;
  for (const [at, [channel, fields]] of generated.entries()) {
    const { id: _id, ...rest } = fields;
    const to = typeof rest.to === 'string' && rest.to.includes('@') ? rest.to : 'alice@example.com';
    phone.publish(channel, JSON.stringify({ type: 'chat', ...rest, id: `f${at}`, to }));
    if (at % canaryEvery === canaryEvery - 1) {
      phone.say('alice@example.com', `canary ${at}`, `c${at}`);
      await alice.hears(`canary ${at}`);
    }
  }
  const taken = (await stage.gateway.entries('bob@example.com')).filter(({ lane }) => lane === 'toXmpp');
  expect(taken.length).toBeGreaterThan(1_000);
  const events = stage.gateway.log.items.slice(from).map(({ event }) => event);
  expect(
    events.filter((event) =>
      ['component.offline', 'component.fault', 'publish.failed', 'mqtt.handler-failed'].includes(String(event)),
    ),
  ).toEqual([]);
  expect(await stage.server.log()).not.toMatch(/traceback|not-well-formed|invalid-xml/i);
});
