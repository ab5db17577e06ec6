// The way to the broker: what is said when it cannot be used.

import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { BrokerAccess } from '../../src/mqtt/broker-access.ts';
import { shownUrl } from '../../src/mqtt/fault.ts';
import { startMosquitto } from '../harness/mosquitto.ts';
import { account, Heard } from './parties.ts';

const events = {
  filters: { out: 'chat/+/out/+', presence: 'chat/+/presence/+' },
  ...{ onMessage() {}, onUp() {}, onDown() {}, onBoot() {}, onDropped() {} },
};

/** The configuration refuses such a URL; whoever hands one over all the same is not betrayed. */
function accessTo(url: string, log: Log): BrokerAccess {
  const env = {
    CROSSFADE_XMPP_DOMAIN: 'example.com',
    CROSSFADE_XMPP_COMPONENT_DOMAIN: 'gw.example.com',
    CROSSFADE_XMPP_COMPONENT_SECRET: 'example',
    CROSSFADE_MQTT_URL: 'embedded:',
  };
  const { mqtt } = loadConfig({ env });
  return new BrokerAccess({ config: { ...mqtt, url: url.replace('//', '//me:hidden@') }, clock: systemClock, log });
}

test('a broker that cannot be reached is named in the log without user and password', async () => {
  const logged = new Heard<{ event: string }>();
  const access = accessTo('mqtt://127.0.0.1:1', {
    ...silentLog,
    warn: (fields: { event: string }) => logged.push(fields),
  });
  const opened = access.open(events);
  const line = await logged.next();
  await access.close();
  await opened;
  expect(line).toMatchObject({ event: 'broker.unreachable', url: 'mqtt://127.0.0.1:1' });
  expect(JSON.stringify(logged.all)).not.toMatch(/hidden|me:/);
});

test('an open broker is refused in a text without user and password', async () => {
  const options = { allow_anonymous: true, acl_file: '' };
  const mosquitto = await startMosquitto({ accounts: {}, gateway: account, options });
  const access = accessTo(mosquitto.url, silentLog);
  const fault: unknown = await access.open(events).catch((error: unknown) => error);
  await access.close();
  await mosquitto.stop();
  expect((fault as Error).message).toContain(`the broker at ${mosquitto.url} takes publishes under chat/ from anybody`);
});

test('closed while the embedded broker is starting, it ends that, too', async () => {
  const logged = new Heard<{ event: string; url: string }>();
  const access = accessTo('embedded:', {
    ...silentLog,
    warn: (fields: { event: string; url: string }) => logged.push(fields),
  });
  const opened = access.open(events);
  await access.close();
  await opened;
  const { url } = await logged.next();
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await expect(once(socket, 'connect')).rejects.toThrow('ECONNREFUSED');
});

test.each([
  ['mqtt://me:hidden@broker.example.com:1883', 'mqtt://broker.example.com:1883'],
  ['wss://broker.example.com/mqtt?signature=hidden#hidden', 'wss://broker.example.com'],
  ['mqtt://me:hid/den@broker', 'an unusable URL'],
])('%s is shown as %s', (url, shown) => expect(shownUrl(url)).toBe(shown));
