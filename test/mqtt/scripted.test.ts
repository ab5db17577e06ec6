// What stands on the wire, against a broker whose every packet the test writes.

import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { probeAnonymous } from '../../src/mqtt/probe.ts';
import { type Gateway, type ScriptedConnection, startGateway, startScriptedBroker } from './parties.ts';

type Scripted = Awaited<ReturnType<typeof startScriptedBroker>>;
let scripted: Scripted;
let gateway: Gateway | undefined;

beforeEach(async () => {
  scripted = await startScriptedBroker({ connack: { properties: { receiveMaximum: 5, maximumPacketSize: 200 } } });
});
afterEach(async () => {
  await gateway?.broker.close();
  await scripted.stop();
});

function deliver(connection: ScriptedConnection, messageId: number, qos: 0 | 1 = 1): void {
  connection.send({
    cmd: 'publish',
    topic: 'chat/bob/out/message',
    payload: `{"id":"m${messageId}"}`,
    qos,
    messageId,
    dup: false,
    retain: false,
  });
}

async function pubacks(connection: ScriptedConnection, count: number): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < count) {
    const packet = await connection.packets.next();
    if (packet.cmd === 'puback') ids.push(packet.messageId!);
  }
  return ids;
}

test('PUBACKs go out in the order the publishes came, each only when it and all before it are accepted', async () => {
  gateway = startGateway(scripted.url, {
    clientId: 'crossfade',
    hold: true,
  });
  const connection = await scripted.connectionOf('crossfade-sub');
  for (const id of [11, 12, 13, 14]) deliver(connection, id);
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await gateway.messages.next());
  held[3]!.accepted();
  held[1]!.accepted();
  held[0]!.accepted();
  expect(await pubacks(connection, 2)).toEqual([11, 12]);
  expect(connection.packets.all).toHaveLength(2);
  held[2]!.accepted();
  expect(await pubacks(connection, 2)).toEqual([13, 14]);
});

test('an acceptance that comes after its connection has ended is written on no other', async () => {
  gateway = startGateway(scripted.url, {
    clientId: 'crossfade',
    hold: true,
  });
  const first = await scripted.connectionOf('crossfade-sub');
  deliver(first, 1);
  const old = await gateway.messages.next();
  first.socket.destroy();
  const second = await scripted.connectionOf('crossfade-sub');
  deliver(second, 1);
  deliver(second, 2);
  const [again, next] = [await gateway.messages.next(), await gateway.messages.next()];
  old.accepted();
  next.accepted();
  again.accepted();
  expect(await pubacks(second, 2)).toEqual([1, 2]);
  expect(second.packets.all).toHaveLength(2);
});

test('a PUBLISH that mqtt.js hands over behind the end of its connection takes no PUBACK from those of the next', async () => {
  const connect = vi.spyOn(mqtt, 'connect');
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const first = await scripted.connectionOf('crossfade-sub');
  const old = connect.mock.results
    .map(({ value }) => value as MqttClient)
    .find(({ options }) => options.clientId === 'crossfade-sub')!;
  connect.mockRestore();
  first.socket.destroy();
  await new Promise<void>((closed) => old.once('close', () => closed()));
  const late = { topic: 'chat/bob/out/message', payload: '{"id":"late"}', qos: 1, messageId: 1 } as const;
  old.handleMessage({ cmd: 'publish', dup: false, retain: false, ...late }, () => {});
  const second = await scripted.connectionOf('crossfade-sub');
  for (const id of [1, 2]) deliver(second, id);
  expect(await pubacks(second, 2)).toEqual([1, 2]);
  expect(gateway.messages.all.map(({ payload }) => payload.toString())).toEqual(['{"id":"m1"}', '{"id":"m2"}']);
});

test('a message whose handler throws is not acknowledged and does not hold up the others', async () => {
  let calls = 0;
  gateway = startGateway(scripted.url, {
    clientId: 'crossfade',
    onMessage(_message, accepted) {
      if (++calls === 1) throw new Error('a fault of ours');
      accepted();
    },
  });
  const connection = await scripted.connectionOf('crossfade-sub');
  for (const id of [21, 22]) deliver(connection, id);
  expect(await pubacks(connection, 1)).toEqual([22]);
  expect(gateway.logged.all).toContainEqual(expect.objectContaining({ event: 'mqtt.handler-failed' }));
});

test('while reading is paused at most one more message is handed over, and then all of them', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const connection = await scripted.connectionOf('crossfade-sub');
  gateway.broker.pauseReading();
  for (let id = 1; id <= 50; id++) deliver(connection, id);
  await gateway.messages.next();
  await pubacks(connection, 1);
  expect(gateway.messages.all).toHaveLength(1);
  gateway.broker.resumeReading();
  expect(await pubacks(connection, 49)).toEqual(Array.from({ length: 49 }, (_, i) => i + 2));
});

test('never more publishes are unanswered than the broker allows, and each has a packet id of its own', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const connection = await scripted.connectionOf('crossfade-pub');
  await gateway.ups.next();
  expect(gateway.broker.window).toBe(5);
  const results = Array.from({ length: 12 }, () =>
    gateway!.broker.publish({ topic: 'chat/bob/in/message', payload: '{}', qos: 1 }),
  );
  const unanswered: number[] = [];
  let seen = 0;
  while (seen < 12) {
    while (unanswered.length < Math.min(5, 12 - seen)) {
      unanswered.push((await connection.packets.next()).messageId!);
    }
    expect(new Set(unanswered).size).toBe(unanswered.length);
    expect(connection.packets.all).toHaveLength(Math.min(12, seen + 5));
    connection.send({ cmd: 'puback', messageId: unanswered.pop()!, reasonCode: seen === 11 ? 151 : 0 });
    seen++;
  }
  const codes = (await Promise.all(results)).map((result) => result.kind === 'acked' && result.code);
  expect(codes.filter((code) => code === 0)).toHaveLength(11);
  expect(codes).toContain(151);
});

test('a packet above the maximum of the broker, or on a topic it would not take, is answered without being sent', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const connection = await scripted.connectionOf('crossfade-pub');
  await gateway.ups.next();
  const publish = (topic: string, payload: string) => gateway!.broker.publish({ topic, payload, qos: 1 });
  expect(await publish('chat/bob/in/message', 'x'.repeat(200))).toEqual({ kind: 'acked', code: 149 });
  expect(await publish('chat/+/in/message', '{}')).toEqual({ kind: 'acked', code: 144 });
  expect(connection.packets.all).toEqual([]);
  expect(gateway.broker.up).toBe(true);
});

test('what is unanswered or waits in line when the connection ends is lost', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const connection = await scripted.connectionOf('crossfade-pub');
  await gateway.ups.next();
  const results = Array.from({ length: 7 }, () =>
    gateway!.broker.publish({ topic: 'chat/bob/in/message', payload: '{}', qos: 1 }),
  );
  await connection.packets.next();
  connection.socket.destroy();
  expect(await Promise.all(results)).toEqual(Array(7).fill({ kind: 'lost' }));
  expect(await gateway.downs.next()).toContain('closed the connection');
  expect(gateway.broker.up).toBe(false);
  expect(await gateway.broker.publish({ topic: 't', payload: '', qos: 0 })).toEqual({ kind: 'lost' });
});

test('a QoS 0 publish is lost rather than queued without end when the broker does not read', async () => {
  const roomy = await startScriptedBroker();
  const mute = startGateway(roomy.url, { clientId: 'crossfade' });
  const connection = await roomy.connectionOf('crossfade-pub');
  await mute.ups.next();
  connection.socket.pause();
  const payload = 'x'.repeat(256 * 1024);
  const kinds = new Set<string>();
  for (let i = 0; i < 200 && !kinds.has('lost'); i++) {
    kinds.add((await mute.broker.publish({ topic: 'chat/bob/in/presence', payload, qos: 0 })).kind);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(kinds).toEqual(new Set(['acked', 'lost']));
  connection.socket.destroy();
  await mute.broker.close();
  await roomy.stop();
});

test('why the broker ends a connection is told, with what to do', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const connection = await scripted.connectionOf('crossfade-sub');
  await gateway.ups.next();
  connection.send({ cmd: 'disconnect', reasonCode: 142 });
  connection.socket.end();
  expect(await gateway.downs.next()).toContain('does a second gateway run?');
});

test('a broker that ends one connection after the other without a word makes the log ask for a second gateway', async () => {
  gateway = startGateway(scripted.url, { clientId: 'crossfade' });
  const ends = () => gateway!.logged.all.filter((line) => line.event === 'mqtt.disconnected');
  const hints = (client: string) => ends().flatMap((line) => (line.client === client ? [line.hint !== undefined] : []));
  for (let i = 0; i < 4; i++) {
    await gateway.ups.next();
    (await scripted.connectionOf('crossfade-sub')).socket.end();
    await gateway.downs.next();
  }
  expect(hints('crossfade-sub')).toEqual([false, false, true, true]);
  expect(hints('crossfade-pub')).not.toContain(true);
});

test('a broker that was not available for a while, and ends one connection after that, is not suspected of a second gateway', async () => {
  const connack = { reasonCode: 136 };
  const starting = await startScriptedBroker({ connack });
  const patient = startGateway(starting.url, { clientId: 'crossfade' });
  const isOfSub = ({ clientId }: { clientId: string }) => clientId === 'crossfade-sub';
  await vi.waitFor(() => expect(starting.asked.all.filter(isOfSub)).toHaveLength(3), 10_000);
  connack.reasonCode = 0;
  const connection = await starting.connectionOf('crossfade-sub');
  await patient.ups.next();
  connection.socket.end();
  await patient.downs.next();
  const ends = patient.logged.all.filter(
    ({ event, client }) => event === 'mqtt.disconnected' && client === 'crossfade-sub',
  );
  expect([ends.length, ends.at(-1)?.hint]).toEqual([4, undefined]);
  await patient.broker.close();
  await starting.stop();
});

test.each([
  [135, 'this account may not'],
  [0, 'it grants only QoS 0'],
])('a subscription answered with %i is told and tried again on a new connection', async (code, reason) => {
  const strict = await startScriptedBroker({ granted: code });
  const refused = startGateway(strict.url, { clientId: 'crossfade' });
  await strict.connectionOf('crossfade-sub');
  await strict.connectionOf('crossfade-sub');
  const line = refused.logged.all.find(({ event }) => event === 'mqtt.subscribe-refused');
  expect(line?.reason).toContain(reason);
  expect(refused.ups.all).toEqual([]);
  await refused.broker.close();
  await strict.stop();
});

const versionsOf = (broker: Scripted, clientId: string) =>
  broker.asked.all.filter((one) => one.clientId === clientId).map((one) => one.protocolVersion);

test('a broker that hangs up on MQTT 5 twice in a row is asked in 3.1.1', async () => {
  const old = await startScriptedBroker({ hangUps: 1000 });
  const gateway = startGateway(old.url, { clientId: 'crossfade' });
  expect((await gateway.ups.next()).reasonCodes).toBe(false);
  const connection = await old.connectionOf('crossfade-sub');
  deliver(connection, 7);
  expect(await pubacks(connection, 1)).toEqual([7]);
  expect(versionsOf(old, 'crossfade-sub')).toEqual([5, 5, 4]);
  await gateway.broker.close();
  await old.stop();
});

test('a broker that hangs up on one CONNECT, as when it restarts, is spoken to in MQTT 5', async () => {
  const restarting = await startScriptedBroker({ hangUps: 1 });
  const gateway = startGateway(restarting.url, { clientId: 'crossfade' });
  expect((await gateway.ups.next()).reasonCodes).toBe(true);
  expect(versionsOf(restarting, 'crossfade-pub')).toEqual([5, 5]);
  await gateway.broker.close();
  await restarting.stop();
});

test('a broker that was spoken to in 3.1.1 is asked in MQTT 5 at the next connection', async () => {
  const slow = await startScriptedBroker({ hangUps: 2 });
  const gateway = startGateway(slow.url, { clientId: 'crossfade' });
  expect((await gateway.ups.next()).reasonCodes).toBe(false);
  (await slow.connectionOf('crossfade-pub')).socket.destroy();
  expect((await gateway.ups.next()).reasonCodes).toBe(true);
  expect(versionsOf(slow, 'crossfade-pub')).toEqual([5, 5, 4, 5]);
  await gateway.broker.close();
  await slow.stop();
});

test.each([
  ['once', [5, 5], 1],
  ['twice', [5, 5, 4], 2],
])('a broker that hangs up on the probe %s is asked in the versions %j', async (_often, versions, hangUps) => {
  const refusing = await startScriptedBroker({ hangUps, connack: { reasonCode: 135, returnCode: 5 } });
  expect(await probeAnonymous({ url: refusing.url }, 'chat', systemClock)).toBe(false);
  expect(refusing.asked.all.map(({ protocolVersion }) => protocolVersion)).toEqual(versions);
  await refusing.stop();
});
