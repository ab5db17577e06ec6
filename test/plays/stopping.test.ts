// Play: the gateway is stopped amid traffic both ways. It says what was drained and what waits, and after the next start nobody misses anything.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const bob = 'bob@example.com';
const alice = 'alice@example.com';
let stage: Stage;
let gateway: GatewayProcess;
let contact: Contact;
let phone: App;
let talking: NodeJS.Timeout | undefined;

beforeAll(async () => {
  // What the phone says again because it has no in/ack yet must not be too much while everything stands still.
  const config = { shutdown: { drainTime: '4s' }, mqtt: { messagesBurst: 100_000 } };
  stage = await setStage({ accounts: ['alice', 'bob'], config });
  gateway = stage.gateway;
  [contact, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone', { repeatMs: 2_000 })]);
  await gateway.move(bob, 'mqtt');
  await gateway.logged({ event: 'broker.restarted' });
});
afterEach(() => clearInterval(talking));
afterAll(() => stage?.strike());

/** Both say something 40 times a second, which is below what an app may send; what they have said is in the list. */
function talk(name: string): string[] {
  const said: string[] = [];
  talking = setInterval(() => {
    const body = `${name} ${said.length}`;
    said.push(body);
    contact.say(bob, body, body);
    phone.say(alice, body, body);
  }, 25);
  return said;
}

/** Everybody has all of it, once, in order; and no app had to drop a repeat, unless something was `unanswered`. */
async function ends(said: string[], { repeats = 0 } = {}): Promise<void> {
  clearInterval(talking);
  const last = said.at(-1)!;
  // One after the other goes to alice: on a busy machine what was said in half a minute takes as long.
  const timeoutMs = 60_000;
  await Promise.all([
    phone.hears('message', { body: last, direction: 'received' }, { timeoutMs }),
    contact.hears(last, timeoutMs),
  ]);
  for (const id of said) await phone.isTold(id);
  const ours = (bodies: string[]) => bodies.filter((body) => said.includes(body));
  expect(ours(phone.bodies(alice))).toEqual(said);
  expect(ours(contact.bodies(bob))).toEqual(said);
  const came = phone.heard.items.filter(
    ({ channel, payload }) =>
      channel === 'message' && payload.direction === 'received' && said.includes(String(payload.body)),
  );
  expect(came.length - said.length).toBeLessThanOrEqual(repeats);
}

/** One entry towards the app has been unanswered for a second. */
async function somethingIsOut(): Promise<void> {
  const sent = async () => (await gateway.api('GET', '/api/v1/ledger/counts')).body.toMqtt as { sent: number };
  await expect.poll(async () => (await sent()).sent, { timeout: 10_000 }).toBe(1);
}

const linesSince = (from: number) => gateway.log.items.slice(from);
const lineOf = (from: number, event: string) => linesSince(from).find((line) => line.event === event);
const sum = (lanes: unknown) => Object.values(lanes as Record<string, number>).reduce((one, other) => one + other, 0);

test('SIGTERM amid traffic: what is out is answered first, the log says how much, and nothing comes twice', {
  timeout: 150_000,
}, async () => {
  const said = talk('stopped');
  await phone.hears('message', { body: 'stopped 30', direction: 'received' });
  const from = gateway.log.items.length;
  expect(await gateway.stop()).toBe(0);
  const { unanswered, waiting, drained } = lineOf(from, 'gateway.stopped')!;
  expect(unanswered).toEqual({ toMqtt: 0, toXmpp: 0 });
  expect(drained).toEqual({ toMqtt: expect.any(Number), toXmpp: expect.any(Number) });
  expect(sum(waiting)).toBeGreaterThan(0);
  expect(lineOf(from, 'gateway.undrained')).toBeUndefined();
  await gateway.start();
  await ends(said);
});

test('a broker that does not answer is awaited for the drain time and no longer, and the log says so', {
  timeout: 150_000,
}, async () => {
  const said = talk('undrained');
  await phone.hears('message', { body: 'undrained 30', direction: 'received' });
  process.kill(stage.mosquitto.pid, 'SIGSTOP');
  const from = gateway.log.items.length;
  await somethingIsOut();
  expect(await gateway.stop()).toBe(0);
  process.kill(stage.mosquitto.pid, 'SIGCONT');
  expect(lineOf(from, 'gateway.undrained')).toMatchObject({ unanswered: { toMqtt: 1, toXmpp: 0 }, drainMs: 4_000 });
  const { unanswered, tookMs } = lineOf(from, 'gateway.stopped')!;
  expect(unanswered).toEqual({ toMqtt: 1, toXmpp: 0 });
  expect(tookMs).toBeGreaterThanOrEqual(4_000);
  expect(tookMs).toBeLessThan(8_000);
  await gateway.start();
  await ends(said, { repeats: 1 });
});

test('a second signal ends it at once, says so, and loses nothing', { timeout: 150_000 }, async () => {
  const said = talk('ended');
  await phone.hears('message', { body: 'ended 30', direction: 'received' });
  process.kill(stage.mosquitto.pid, 'SIGSTOP');
  const from = gateway.log.items.length;
  await somethingIsOut();
  const ended = gateway.stop();
  await gateway.logged({ event: 'gateway.stopping' }, from);
  process.kill(gateway.pid!, 'SIGINT');
  // By the signal, which a shell calls 130.
  expect(await ended).toBe(null);
  process.kill(stage.mosquitto.pid, 'SIGCONT');
  expect(linesSince(from).at(-1)).toMatchObject({ event: 'gateway.ended', reason: 'SIGINT' });
  await gateway.start();
  await ends(said, { repeats: 1 });
});
