// Play: the operator at the command line and the machine that asks whether all is well, while servers come and go.

import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crossfade, type Ended } from '../cli/command.ts';
import { type Stage, setStage } from '../harness/stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob'] });
});
afterAll(() => stage?.strike());

test('`user set` moves a user and waits for it, says so, and tells by its exit code what went wrong', async () => {
  const [alice, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone')]);
  expect(await cli('user', 'set', 'bob@example.com', 'mqtt', '--reason', 'pilot group')).toEqual({
    ...{ code: 0, err: '' },
    out: 'bob@example.com is in phase mqtt\n',
  });
  alice.say('bob@example.com', 'hello');
  await phone.hears('message', { body: 'hello' });

  const shown = await cli('user', 'show', 'bob@example.com', '--json');
  expect(JSON.parse(shown.out)).toMatchObject({
    phase: 'mqtt',
    moving: null,
    attached: { jid: 'bob@example.com/mqtt' },
  });
  expect(await cli('user', 'set', 'ghost@example.com', 'mqtt', '--reason', 'a typing error')).toMatchObject({
    code: 1,
    err: expect.stringContaining('ghost@example.com could not be moved to mqtt: there is no such account'),
  });
  expect((await cli('user', 'set', 'bob@example.com', 'mqtt')).code).toBe(64);
  expect(
    (await cli('user', 'set', 'bob@example.com', 'mqtt', '--reason', 'x', '--token', 'wrong-token-wrong')).code,
  ).toBe(77);
  expect((await cli('user', 'set', 'bob@example.com', 'legacy', '--reason', 'back')).code).toBe(0);
  const audit = JSON.parse((await cli('audit', '--user', 'bob@example.com', '--json')).out) as { reason?: string }[];
  expect(audit.flatMap(({ reason }) => reason ?? [])).toEqual(['back', 'pilot group']);
});

test('readiness goes when the broker goes, and comes back with it', async () => {
  expect(await readiness()).toEqual({ status: 200, down: [] });
  await stage.mosquitto.kill9();
  await expect.poll(readiness).toEqual({ status: 503, down: ['mqtt'] });
  await stage.mosquitto.restart();
  await expect.poll(readiness, { timeout: 20_000 }).toEqual({ status: 200, down: [] });
});

test('readiness goes when the legacy server goes, and comes back with it', async () => {
  await stage.server.kill9();
  await expect.poll(readiness).toEqual({ status: 503, down: ['attach', 'component'] });
  await stage.server.restart();
  await expect.poll(readiness, { timeout: 20_000 }).toEqual({ status: 200, down: [] });
});

test('a server that was restarted has the moved users again, and gets what their apps said meanwhile', async () => {
  await stage.gateway.move('bob@example.com', 'mqtt');
  const tablet = await stage.app('bob', 'tablet', { library: 'mqtt.js' });
  await stage.server.kill9();
  await expect.poll(readiness).toEqual({ status: 503, down: ['attach', 'component'] });
  tablet.say('alice@example.com', 'said into the gap', 'gap');
  await tablet.isTold('gap');
  await stage.server.restart();
  const alice = await stage.contact('alice');
  await alice.hears('said into the gap');
  alice.say('bob@example.com', 'we are back');
  await tablet.hears('message', { body: 'we are back' });
  expect(alice.bodies()).toEqual(['said into the gap']);
});

test('it stops at SIGTERM although both servers are gone, and then the command line says that no gateway answers', async () => {
  await Promise.all([stage.server.kill9(), stage.mosquitto.kill9()]);
  await expect.poll(readiness).toEqual({ status: 503, down: ['attach', 'component', 'mqtt'] });
  const askedAt = performance.now();
  await stage.gateway.stop();
  expect(performance.now() - askedAt).toBeLessThan(5_000);
  expect(stage.gateway.log.items.at(-1)).toMatchObject({ event: 'gateway.stopped' });
  expect((await cli('user', 'set', 'bob@example.com', 'mqtt', '--reason', 'x')).code).toBe(69);
});

function cli(...args: string[]): Promise<Ended> {
  return crossfade([...args, '--url', stage.gateway.adminUrl], { cwd: stage.dir });
}

async function readiness(): Promise<{ status: number; down: string[] }> {
  const { status, body } = await stage.gateway.api('GET', '/readyz');
  const down = Object.entries(body).flatMap(([part, up]) => (up || part === 'ready' ? [] : [part]));
  return { status, down: down.toSorted() };
}
