// In bulk to a real server: whatever apps publish, its parser takes what the gateway writes, and the one stream of all users stands.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';
import { message, payload } from './generators.ts';

const count = 3_000;
const canaryEvery = 500;
describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  /** The gateway's side of the component connection, as it goes to the server. */
  let link: Socket;

  const proxy = createServer();

  /** All goes through us, so that something else can be put in. */
  async function passOn(ports: { component: number; broker: number }) {
    proxy.on('connection', (client) => {
      link = connect(ports.component, '127.0.0.1');
      client.pipe(link).pipe(client);
      for (const socket of [client, link]) socket.on('error', () => {});
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    return { ...ports, component: (proxy.address() as AddressInfo).port };
  }

  beforeAll(async () => {
    const limits = { messagesPerSecond: 100_000, messagesBurst: 1_000_000 };
    stage = await setStage({
      kind: server,
      accounts: ['alice', 'bob'],
      legacy: { archive: true },
      config: { mqtt: limits },
      between: passOn,
    });
    await stage.gateway.move('bob@example.com', 'mqtt');
  });
  afterAll(async () => {
    await stage?.strike();
    proxy.close();
  });

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
    expect(await faultsSince(from)).toEqual([]);
  });

  test('one wrong character on the stream would be seen by both', async () => {
    const from = stage.gateway.log.items.length;
    link.write('\u0001');
    await stage.gateway.logged({ event: 'attach.up' }, from);
    expect(await faultsSince(from)).toEqual(['component.offline', 'not-well-formed']);
  });

  /** What gateway and server say of a stream or a message that failed. */
  async function faultsSince(line: number): Promise<string[]> {
    const bad = ['component.offline', 'component.fault', 'publish.failed', 'mqtt.handler-failed'];
    const failed = stage.gateway.log.items.slice(line).filter(({ event }) => bad.includes(event));
    const faults = /traceback|not-well-formed|invalid-xml/gi;
    const said = JSON.stringify(failed).match(faults) ?? [];
    const logged = (await stage.server.log()).match(faults) ?? [];
    return [...new Set([...failed.map(({ event }) => event), ...said, ...logged])];
  }
});
