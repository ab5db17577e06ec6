// The broker client against a real Mosquitto.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sameBoot } from '../../src/mqtt/boot.ts';
import type { PublishResult } from '../../src/mqtt/broker.ts';
import { freePort, type Mosquitto, startMosquitto } from '../harness/mosquitto.ts';
import { account, type Gateway, nextMessage, startApp, startGateway } from './parties.ts';

let mosquitto: Mosquitto;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  mosquitto = await startMosquitto({ accounts: { bob: 'b', alice: 'a' }, gateway: account });
});
afterAll(() => mosquitto.stop());
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

async function gatewayUp(options: Parameters<typeof startGateway>[1] = {}): Promise<Gateway> {
  const gateway = startGateway(mosquitto.url, options);
  open.push(gateway.broker);
  await gateway.ups.next();
  return gateway;
}

async function appOnline(options: Parameters<typeof startApp>[1] = {}) {
  const app = await startApp(mosquitto.url, options);
  open.push({ close: () => app.endAsync(true) });
  return app;
}

const toBob = { topic: 'chat/bob/in/message', payload: '{"key":"k"}', qos: 1 } as const;

describe('a publish', () => {
  test('reaches the app and is acknowledged', async () => {
    const app = await appOnline();
    await app.subscribeAsync('chat/bob/in/#', { qos: 1 });
    const heard = nextMessage(app);
    const { broker } = await gatewayUp();
    expect(await broker.publish({ ...toBob, payload: '{"body":"grüß dich 😀"}' })).toEqual({ kind: 'acked', code: 0 });
    expect(await heard).toEqual({ topic: 'chat/bob/in/message', payload: '{"body":"grüß dich 😀"}' });
  });

  test('that nobody has subscribed to is acknowledged with 16', async () => {
    const { broker } = await gatewayUp();
    expect(await broker.publish({ ...toBob, topic: 'chat/alice/in/message' })).toEqual({ kind: 'acked', code: 16 });
  });

  test('that the access rules deny is acknowledged with 135', async () => {
    const { broker } = await gatewayUp({ username: 'alice', password: 'a' });
    expect(await broker.publish(toBob)).toEqual({ kind: 'acked', code: 135 });
  });

  test('knows what the broker allows', async () => {
    const { broker, ups } = await gatewayUp();
    expect(ups.all).toEqual([{ reasonCodes: true, maximumPacketSize: 1_048_576 }]);
    expect([broker.up, broker.window, broker.reasonCodes]).toEqual([true, 500, true]);
  });

  test('of 1 MiB + 1 is refused here and does not end the connection', async () => {
    const { broker, downs } = await gatewayUp();
    const frame = 1 + 4 - 1 + 2 + toBob.topic.length + 2 + 1;
    const largest = 'x'.repeat(1_048_576 - frame);
    expect(await broker.publish({ ...toBob, payload: `${largest}x` })).toEqual({ kind: 'acked', code: 149 });
    expect(await broker.publish({ ...toBob, payload: largest })).toMatchObject({ kind: 'acked' });
    expect(downs.all).toEqual([]);
  });

  test('is one of 5000 at once, and all arrive, once, in order', async () => {
    const app = await appOnline();
    await app.subscribeAsync('chat/bob/in/#', { qos: 1 });
    const heard: number[] = [];
    const all = new Promise<void>((resolve) => {
      app.on('message', (_topic, payload) => {
        heard.push(JSON.parse(payload.toString()).n);
        if (heard.length === 5000) resolve();
      });
    });
    const { broker } = await gatewayUp();
    const numbers = Array.from({ length: 5000 }, (_, n) => n);
    const results = await Promise.all(numbers.map((n) => broker.publish({ ...toBob, payload: JSON.stringify({ n }) })));
    expect(new Set(results.map((result) => result.kind === 'acked' && result.code))).toEqual(new Set([0]));
    await all;
    expect(heard).toEqual(numbers);
  });
});

describe('an incoming message', () => {
  test('is acknowledged to the broker only when it is accepted: with 1000 unaccepted the next one waits there', async () => {
    const app = await appOnline();
    const gateway = await gatewayUp({ hold: true });
    const publish = (n: number) => app.publishAsync('chat/bob/out/message', JSON.stringify({ n }), { qos: 1 });
    for (let n = 0; n <= 1000; n++) await publish(n);
    await app.publishAsync('chat/bob/out/chatstate', '{}', { qos: 0 });
    const held = [];
    for (let n = 0; n < 1000; n++) held.push(await gateway.messages.next());
    expect((await gateway.messages.next()).topic).toBe('chat/bob/out/chatstate');
    expect(gateway.messages.all).toHaveLength(1001);
    held[0]!.accepted();
    expect((await gateway.messages.next()).payload.toString()).toBe('{"n":1000}');
  });

  test('that came while the gateway was away is delivered when it is back, and one not accepted comes again', async () => {
    const app = await appOnline();
    const before = await gatewayUp({ clientId: 'away', hold: true });
    await app.publishAsync('chat/bob/out/message', '{"id":"held"}', { qos: 1 });
    await before.messages.next();
    await before.broker.close();
    await app.publishAsync('chat/bob/out/message', '{"id":"while-away"}', { qos: 1 });
    const after = await gatewayUp({ clientId: 'away' });
    const ids = [await after.messages.next(), await after.messages.next()].map(({ payload }) => payload.toString());
    expect(ids).toEqual(['{"id":"held"}', '{"id":"while-away"}']);
  });

  test('that was accepted just before an orderly end does not come again', async () => {
    const app = await appOnline();
    const before = await gatewayUp({ clientId: 'orderly' });
    for (const n of [1, 2, 3]) await app.publishAsync('chat/bob/out/message', JSON.stringify({ n }), { qos: 1 });
    for (const _ of [1, 2, 3]) await before.messages.next();
    await before.broker.close();
    const after = await gatewayUp({ clientId: 'orderly' });
    await app.publishAsync('chat/bob/out/message', '{"n":4}', { qos: 1 });
    expect((await after.messages.next()).payload.toString()).toBe('{"n":4}');
  });

  test('brings its response topic, correlation data and RETAIN flag', async () => {
    const app = await appOnline();
    const gateway = await gatewayUp();
    const properties = { responseTopic: 'chat/bob/in/reply/x', correlationData: Buffer.from('c') };
    await app.publishAsync('chat/bob/out/request', '{"id":"r"}', { qos: 1, retain: true, properties });
    expect(await gateway.messages.next()).toMatchObject({ ...properties, retain: true, qos: 1 });
    await gateway.broker.publish({ topic: 'chat/bob/out/request', payload: '', qos: 1, retain: true });
  });

  test("of another user's topic is not let through by the access rules", async () => {
    const alice = await appOnline({ username: 'alice', password: 'a' });
    const gateway = await gatewayUp();
    await alice.publishAsync('chat/bob/out/message', '{"id":"forged"}', { qos: 1 }).catch(() => {});
    await alice.publishAsync('chat/alice/out/message', '{"id":"own"}', { qos: 1 });
    expect((await gateway.messages.next()).topic).toBe('chat/alice/out/message');
  });
});

describe('presence', () => {
  test('that is retained arrives at each connection, marked so; what is told later is not', async () => {
    const app = await appOnline({ clientId: 'phone' });
    const topic = 'chat/bob/presence/phone';
    await app.publishAsync(topic, '{"online":true}', { qos: 1, retain: true });
    for (const _ of ['first', 'resumed']) {
      const gateway = await gatewayUp({ clientId: 'presence' });
      expect(await gateway.messages.next()).toMatchObject({ topic, retain: true });
      await app.publishAsync(topic, '{"online":true,"show":"away"}', { qos: 1, retain: true });
      expect(await gateway.messages.next()).toMatchObject({ topic, retain: false });
      await gateway.broker.close();
    }
    await app.publishAsync(topic, '', { qos: 1, retain: true });
  });

  test('tells of a lost app by its will', async () => {
    const gateway = await gatewayUp();
    const will = { topic: 'chat/bob/presence/tablet', payload: Buffer.from('{"online":false}'), qos: 1 as const };
    const app = await appOnline({ clientId: 'tablet', will });
    app.stream.destroy();
    expect(await gateway.messages.next()).toMatchObject({ topic: will.topic, payload: will.payload });
  });
});

describe('a broker that is killed', () => {
  test('makes what is unanswered lost; the gateway comes back, subscribes again and sees another start', async () => {
    const gateway = await gatewayUp();
    const boot = await gateway.boots.next();
    // two starts within the tolerance could not be told apart
    const clock = await appOnline({ ...account, clientId: 'clock' });
    await clock.subscribeAsync('$SYS/broker/uptime');
    while (Number.parseInt((await nextMessage(clock)).payload, 10) < 4);
    await mosquitto.kill9();
    const results: Promise<PublishResult>[] = [];
    for (let i = 0; i < 600; i++) results.push(gateway.broker.publish(toBob));
    expect(new Set((await Promise.all(results)).map(({ kind }) => kind))).toEqual(new Set(['lost']));
    await gateway.downs.next();
    expect(gateway.broker.up).toBe(false);
    await mosquitto.restart();
    await gateway.ups.next();
    expect(sameBoot(boot, await gateway.boots.next())).toBe(false);
    const app = await appOnline();
    await app.publishAsync('chat/bob/out/message', '{"id":"after"}', { qos: 1 });
    expect((await gateway.messages.next()).payload.toString()).toBe('{"id":"after"}');
    const pauses = gateway.logged.all
      .filter(({ event }) => event === 'mqtt.disconnected')
      .map((line) => line.retryInMs);
    expect(pauses.length).toBeGreaterThanOrEqual(2);
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(125);
  });

  test('is asked again after longer and longer pauses, with a hint in the log', async () => {
    const pauses: number[] = [];
    const enough = Promise.withResolvers<void>();
    // time that runs by itself: each pause ends at once
    const clock = {
      now: () => 0,
      random: () => 1,
      after(delayMs: number, task: () => void) {
        if (pauses.push(delayMs) === 9) enough.resolve();
        else setImmediate(task);
        return { cancel() {} };
      },
    };
    const gateway = startGateway('mqtt://127.0.0.1:1', { clock });
    open.push(gateway.broker);
    await enough.promise;
    expect([...new Set(pauses)].sort((a, b) => a - b).slice(0, 3)).toEqual([250, 500, 1000]);
    expect(gateway.logged.all[0]?.reason).toContain('is the broker running');
  });
});

test('wrong credentials are named in the log, with what to do', async () => {
  const gateway = startGateway(mosquitto.url, { password: 'wrong', clientId: 'stranger' });
  open.push(gateway.broker);
  expect((await gateway.logged.next()).reason).toContain('check mqtt.username');
  expect(gateway.broker.up).toBe(false);
});

test('a broker behind WebSockets is used the same way', async () => {
  const port = await freePort();
  // Mosquitto 2.0.11 does not start with WebSockets alone, hence a second listener
  const options = { [`listener ${port} 127.0.0.1\nprotocol`]: 'websockets' };
  const web = await startMosquitto({ accounts: {}, gateway: account, options });
  open.push({ close: () => web.stop() });
  const gateway = startGateway(`ws://127.0.0.1:${port}`);
  open.push(gateway.broker);
  await gateway.ups.next();
  await gateway.broker.publish({ topic: 'chat/bob/out/message', payload: '{"id":"w"}', qos: 1 });
  expect((await gateway.messages.next()).payload.toString()).toBe('{"id":"w"}');
});

test('a Mosquitto can be stopped as soon as it has started, even when it does not react', async () => {
  for (let round = 0; round < 5; round++) {
    const short = await startMosquitto({ accounts: {}, gateway: account });
    await short.stop();
    expect(() => process.kill(short.pid, 0)).toThrow('ESRCH');
  }
  const stuck = await startMosquitto({ accounts: {}, gateway: account });
  process.kill(stuck.pid, 'SIGSTOP');
  await stuck.stop();
  expect(() => process.kill(stuck.pid, 0)).toThrow('ESRCH');
});

test('a Mosquitto that does not start says why', async () => {
  const started = startMosquitto({ accounts: {}, gateway: account, options: { no_such_option: 1 } });
  await expect(started).rejects.toThrow(/no_such_option/);
});
