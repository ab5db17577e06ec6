// Play: the gateway's disk is full. Nothing is acknowledged that is not on disk, and when there is room again nothing is missing.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { type Stage, setStage } from '../harness/stage.ts';

let stage: Stage;
let gateway: GatewayProcess;
let alice: Contact;
let phone: App;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob'] });
  gateway = stage.gateway;
  [alice, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone')]);
  await gateway.move('bob@example.com', 'mqtt');
  alice.say('bob@example.com', 'before');
  await phone.hears('message', { body: 'before' });
});
afterAll(() => stage?.strike());

test.each([
  { how: 'there is room again', recover: () => gateway.fillDisk(false) },
  {
    how: 'it was killed and started with room',
    async recover() {
      await gateway.kill9();
      await gateway.start();
    },
  },
])('while the disk is full nothing is acknowledged; after $how everything arrives, once', async ({ how, recover }) => {
  const bodies = Array.from({ length: 20 }, (_, n) => `${n}: ${how}`);
  await gateway.fillDisk();
  for (const body of bodies) {
    alice.say('bob@example.com', body, body);
    phone.say('alice@example.com', body, body);
  }
  await expect.poll(async () => (await gateway.api('GET', '/readyz')).body.ledger).toBe(false);
  // Chat states pass, for they need no disk: the links work.
  phone.publish('chatstate', { to: 'alice@example.com', type: 'chat', state: 'composing' }, { qos: 0 });
  await alice.hears(({ xml }) => xml.getChild('composing') !== undefined);
  const some = [...phone.all('ack').flatMap(({ ids }) => ids as string[]), ...alice.bodies(), ...phone.bodies()];
  expect(some.filter((text) => bodies.includes(text))).toEqual([]);

  await recover();
  await Promise.all([
    phone.hears('message', { body: bodies.at(-1), direction: 'received' }),
    alice.hears(bodies.at(-1)!),
  ]);
  for (const id of bodies) await phone.isTold(id);
  const ours = (all: string[]) => all.filter((body) => body.endsWith(how));
  expect(ours(phone.bodies())).toEqual(bodies);
  expect(ours(alice.bodies())).toEqual(bodies);
  expect((await gateway.api('GET', '/readyz')).body.ledger).toBe(true);
});
