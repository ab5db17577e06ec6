// The embedded broker, and with it the fall-back to MQTT 3.1.1.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/log.ts';
import { type EmbeddedBroker, startEmbeddedBroker } from '../../src/mqtt/embedded-broker.ts';
import { probeAnonymous } from '../../src/mqtt/probe.ts';
import { startMosquitto } from '../harness/mosquitto.ts';
import { account, Heard, nextMessage, startApp, startGateway } from './parties.ts';

let embedded: EmbeddedBroker;
const logged = new Heard<{ event: string; [field: string]: unknown }>();

beforeAll(async () => {
  const log = { ...silentLog, warn: (fields: { event: string }) => logged.push(fields) };
  const accounts = { bob: 'b', alice: 'a' };
  embedded = await startEmbeddedBroker({ root: 'chat', gateway: account, accounts, log });
});
afterAll(() => embedded.stop());

test('the log says that the embedded broker is for trying out', () => {
  expect(logged.all[0]).toMatchObject({ event: 'broker.embedded', url: embedded.url });
});

test('a broker that refuses MQTT 5 is spoken to in 3.1.1, both ways, without reason codes', async () => {
  const gateway = startGateway(embedded.url);
  const up = await gateway.ups.next();
  expect([up.reasonCodes, gateway.broker.reasonCodes, gateway.broker.window]).toEqual([false, false, 500]);
  const app = await startApp(embedded.url, { protocolVersion: 4 });
  await app.subscribeAsync('chat/bob/in/#', { qos: 1 });
  const heard = nextMessage(app);
  const message = { topic: 'chat/bob/in/message', payload: '{"key":"k"}', qos: 1 } as const;
  expect(await gateway.broker.publish(message)).toEqual({ kind: 'acked', code: 0 });
  expect((await heard).payload).toBe('{"key":"k"}');
  await app.publishAsync('chat/bob/out/message', '{"id":"m1"}', { qos: 1 });
  expect(await gateway.messages.next()).toMatchObject({ topic: 'chat/bob/out/message', qos: 1 });
  const boot = await gateway.boots.next();
  expect(Date.now() - boot).toBeLessThan(60_000);
  await app.endAsync(true);
  await gateway.broker.close();
});

test('what an app sends while the gateway is away is delivered afterwards, on 3.1.1 too', async () => {
  const before = startGateway(embedded.url, { clientId: 'away' });
  await before.ups.next();
  await before.broker.close();
  const app = await startApp(embedded.url, { protocolVersion: 4 });
  await app.publishAsync('chat/bob/out/message', '{"id":"away"}', { qos: 1 });
  const after = startGateway(embedded.url, { clientId: 'away' });
  expect((await after.messages.next()).payload.toString()).toBe('{"id":"away"}');
  await app.endAsync(true);
  await after.broker.close();
});

test('the embedded broker keeps apps to their own topics', async () => {
  const spy = await startApp(embedded.url, { username: 'alice', password: 'a', protocolVersion: 4 });
  const read: string[] = [];
  spy.on('message', (topic) => read.push(topic));
  await spy.subscribeAsync('#', { qos: 1 });
  const gateway = startGateway(embedded.url, { clientId: 'rules' });
  await gateway.ups.next();
  await gateway.broker.publish({ topic: 'chat/bob/in/message', payload: '{}', qos: 1 });
  const reaches = nextMessage(spy);
  await gateway.broker.publish({ topic: 'chat/alice/in/message', payload: '{}', qos: 1 });
  await reaches;
  expect(read).toEqual(['chat/alice/in/message']);
  const ended = new Promise<void>((resolve) => spy.once('close', resolve));
  spy.publish('chat/bob/out/message', '{"id":"forged"}', { qos: 1 });
  await ended;
  expect(logged.all.at(-1)).toMatchObject({ event: 'broker.embedded-denied', username: 'alice' });
  expect(gateway.messages.all).toEqual([]);
  await gateway.broker.close();
});

test.each([
  ['nobody', { username: undefined, password: undefined }],
  ['a wrong password', { username: 'bob', password: 'a' }],
  ['an unknown user', { username: 'toString', password: 'b' }],
])('the embedded broker refuses %s', async (_who, options) => {
  await expect(startApp(embedded.url, { ...options, protocolVersion: 4 })).rejects.toMatchObject({ code: 4 });
});

test('a port that is taken is a clear error', async () => {
  const again = startEmbeddedBroker({ root: 'chat', gateway: account, port: embedded.port, log: silentLog });
  await expect(again).rejects.toThrow(/cannot listen.*EADDRINUSE/);
});

test.each([
  ['a Mosquitto that lets anybody in', { allow_anonymous: true, acl_file: '' }, true],
  ['a Mosquitto that lets anybody in but not under the root', { allow_anonymous: true }, false],
  ['a Mosquitto as recommended', {}, false],
])('%s is probed', async (_what, options, open) => {
  const mosquitto = await startMosquitto({ accounts: {}, gateway: account, options });
  const taken = await probeAnonymous(
    { url: mosquitto.url.replace('//', '//crossfade:example-gateway-password@'), ...account },
    'chat',
    systemClock,
  );
  await mosquitto.stop();
  expect(taken).toBe(open);
});

test('the embedded broker takes no anonymous publish', async () => {
  expect(await probeAnonymous({ url: embedded.url }, 'chat', systemClock)).toBe(false);
});

test('a broker that is not there cannot be probed', async () => {
  await expect(probeAnonymous({ url: 'mqtt://127.0.0.1:1' }, 'chat', systemClock)).rejects.toThrow(
    'is the broker running',
  );
});
