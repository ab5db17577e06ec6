// Play: the gateway's disk is full, its fsync fails, or it has become read-only. Nothing is acknowledged that is not on disk, and when it is
// mended nothing is missing.

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

/** Begins; resolves to what mends it. */
const full = async () => {
  await gateway.fillDisk();
  return () => gateway.fillDisk(false);
};
const startsAgain = (end: () => Promise<unknown>) => async () => {
  await end();
  await gateway.start();
};
const itself = async (mend: () => Promise<void>) => await mend();

const cases = [
  { disk: 'is full', until: 'there is room again', begin: full, says: /the disk/, recover: itself },
  {
    ...{ disk: 'is full', until: 'it was killed and started with room', begin: full, says: /the disk/ },
    recover: startsAgain(() => gateway.kill9()),
  },
  {
    ...{ disk: 'is full', until: 'it was stopped and started with room', begin: full, says: /the disk/ },
    recover: startsAgain(() => gateway.stop()),
  },
  {
    ...{ disk: 'fails at each fsync', until: 'fsync works again', recover: itself },
    begin: () => gateway.failCalls('fsync,fdatasync', 'EIO'),
    says: /the disk reports an error .*see the system's log/,
  },
  {
    ...{ disk: 'has become read-only', until: 'it can be written again', recover: itself },
    begin: () => gateway.failCalls('pwrite64,ftruncate,fallocate', 'EROFS'),
    says: /the disk reports an error .*still mounted for writing|is read-only: mount it for writing/,
  },
];

test.each(cases)('while the disk $disk nothing is acknowledged; after $until everything arrives, once', async (one) => {
  const { disk, until, begin, says, recover } = one;
  const name = `${disk}, ${until}`;
  const bodies = Array.from({ length: 20 }, (_, n) => `${n}: ${name}`);
  const mend = await begin();
  for (const body of bodies) {
    alice.say('bob@example.com', body, body);
    phone.say('alice@example.com', body, body);
  }
  await expect.poll(async () => (await gateway.api('GET', '/readyz')).body.ledger).toBe(false);
  const { status, body } = await gateway.api('GET', '/readyz');
  expect({ status, ready: body.ready }).toEqual({ status: 503, ready: false });
  expect(body.text).toMatch(says);
  expect(await gateway.user('bob@example.com')).toMatchObject({ ledgerFault: expect.stringMatching(says) });
  // Chat states pass, for they need no disk: the links work.
  const heard = alice.messages.items.length;
  phone.publish('chatstate', { to: 'alice@example.com', type: 'chat', state: 'composing' }, { qos: 0 });
  await expect
    .poll(() => alice.messages.items.slice(heard).some(({ xml }) => xml.getChild('composing') !== undefined))
    .toBe(true);
  const some = [...phone.all('ack').flatMap(({ ids }) => ids as string[]), ...alice.bodies(), ...phone.bodies()];
  expect(some.filter((text) => bodies.includes(text))).toEqual([]);

  await recover(mend);
  await Promise.all([
    phone.hears('message', { body: bodies.at(-1), direction: 'received' }),
    alice.hears(bodies.at(-1)!),
  ]);
  for (const id of bodies) await phone.isTold(id);
  const ours = (all: string[]) => all.filter((text) => text.endsWith(name));
  expect(ours(phone.bodies())).toEqual(bodies);
  expect(ours(alice.bodies())).toEqual(bodies);
  expect((await gateway.api('GET', '/readyz')).body.ledger).toBe(true);
});
