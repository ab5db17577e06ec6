// Play: a backup is made while everybody talks, the gateway goes on, is killed, and starts again from the backup.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crossfade } from '../cli/command.ts';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const bob = 'bob@example.com';
let stage: Stage;
let alice: Contact;
let phone: App;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob'], legacy: { archive: true } });
  [alice, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone', { acks: true })]);
  await stage.gateway.move(bob, 'mqtt');
  await stage.gateway.logged({ event: 'broker.restarted' });
});
afterAll(() => stage?.strike());

/** As an operator does it, beside the gateway. */
const command = (...args: string[]) => crossfade([...args, '--config', stage.gateway.configFile], { cwd: stage.dir });
const keysOf = (from: string) =>
  phone
    .all()
    .filter(({ body }) => String(body).startsWith(from))
    .map(({ key }) => String(key));

async function talk(from: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) alice.say(bob, `${from} ${n}`);
  await phone.hears('message', { body: `${from} ${count}` });
}

test('what came after the backup is caught up, in its own time; nothing comes twice, and no key means two messages', async () => {
  const file = join(stage.dir, 'backup.sqlite');
  await talk('before', 30);
  const during = talk('during', 100);
  const made = await command('ledger', 'backup', file, '--url', stage.gateway.adminUrl);
  expect(made).toMatchObject({ code: 0, out: expect.stringContaining('checked, in') });
  await during;
  await talk('after', 30);
  const keys = new Set([...keysOf('before'), ...keysOf('during'), ...keysOf('after')]);
  await phone.leave();
  await stage.gateway.kill9();
  alice.say(bob, 'while it was away');
  const restored = await command('ledger', 'restore', file, '--yes');
  expect(restored).toMatchObject({ code: 0, out: expect.stringContaining('start the gateway now') });

  await stage.gateway.start();
  // A phone with nothing in it: what it shows is what it gets now.
  const fresh = await stage.app('bob', 'new-phone', { acks: true });
  await fresh.hears('message', { body: 'while it was away' });
  await fresh.hears('message', { body: 'after 30' });
  const after = await talkTo(fresh, 'new', 20);
  for (const body of ['after 1', 'after 30', 'while it was away'])
    expect(fresh.bodies().filter((one) => one === body)).toHaveLength(1);
  expect(after.filter((key) => keys.has(key))).toEqual([]);
  expect((await stage.gateway.api('GET', '/api/v1/ledger/verify')).body).toMatchObject({ ok: true, faults: [] });
});

async function talkTo(app: App, from: string, count: number): Promise<string[]> {
  for (let n = 1; n <= count; n++) alice.say(bob, `${from} ${n}`);
  await app.hears('message', { body: `${from} ${count}` });
  return app
    .all()
    .filter(({ body }) => String(body).startsWith(from))
    .map(({ key }) => String(key));
}
