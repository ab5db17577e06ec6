// What is known of a user's apps, and when.

import { expect, test } from 'vitest';
import { bob, type Stage, setStage } from './stage.ts';

async function known(): Promise<Stage> {
  const stage = await setStage();
  stage.devices.subscribed();
  await stage.clock.turn(5_000);
  return stage;
}

test('nothing is known until 5 s after the SUBACK, then there is no device', async () => {
  const { devices, clock } = await setStage();
  devices.subscribed();
  await clock.turn(4_999);
  expect(devices.statusOf(bob)).toBe('unknown');
  await clock.turn(1);
  expect(devices.statusOf(bob)).toBe('none');
});

test('the app is here at once, and away 5 s after its last device has gone', async () => {
  const { devices, clock } = await known();
  await devices.heard(bob, 'phone', { online: true });
  await devices.heard(bob, 'tablet', { online: true });
  expect(devices.statusOf(bob)).toBe('here');
  await devices.heard(bob, 'phone', { online: false });
  await clock.turn(10_000);
  expect(devices.statusOf(bob)).toBe('here');
  await devices.heard(bob, 'tablet', { online: false });
  await clock.turn(4_999);
  expect(devices.statusOf(bob)).toBe('here');
  await clock.turn(1);
  expect(devices.statusOf(bob)).toBe('away');
});

test('a device that was offline all the time does not make the app be here for 5 s', async () => {
  const { devices } = await known();
  await devices.heard(bob, 'phone', { online: false }, true);
  expect(devices.statusOf(bob)).toBe('away');
});

test('an app that flaps ten times a second changes nothing on the server', async () => {
  const stage = await known();
  await stage.devices.heard(bob, 'phone', { online: true });
  await stage.move('mqtt');
  stage.acts.length = 0;
  for (let round = 0; round < 100; round++) {
    await stage.devices.heard(bob, 'phone', { online: round % 2 === 1 });
    await stage.clock.turn(100);
  }
  expect(stage.acts).toEqual([]);
});

test('contacts see a change of show at once, and what follows within 5 s once', async () => {
  const stage = await known();
  await stage.devices.heard(bob, 'phone', { online: true });
  await stage.move('mqtt');
  stage.acts.length = 0;
  await stage.devices.heard(bob, 'phone', { online: true, show: 'dnd' });
  await stage.clock.turn(100);
  expect(stage.acts).toEqual(['show dnd']);
  for (let round = 0; round < 40; round++) {
    await stage.devices.heard(bob, 'phone', { online: true, show: round % 2 === 0 ? 'away' : 'chat' });
    await stage.clock.turn(100);
  }
  expect(stage.acts).toEqual(['show dnd']);
  await stage.clock.turn(1_000);
  expect(stage.acts).toEqual(['show dnd', 'show chat']);
});

test('after a restart of the broker a device is unknown until it speaks, for at most 90 s', async () => {
  const { devices, clock } = await known();
  await devices.heard(bob, 'phone', { online: true });
  await clock.turn(1_000);
  devices.brokerRestarted(clock.now() + 2_000);
  expect(devices.statusOf(bob)).toBe('unknown');
  await clock.turn(89_999);
  expect(devices.statusOf(bob)).toBe('unknown');
  await clock.turn(1);
  expect(devices.statusOf(bob)).toBe('away');
});

test('while a device has not spoken the word of another, that it is offline, does not make the app away', async () => {
  const { devices, clock } = await known();
  await devices.heard(bob, 'phone', { online: true });
  await devices.heard(bob, 'tablet', { online: false });
  await clock.turn(1_000);
  devices.brokerRestarted(clock.now() + 2_000);
  await clock.turn(3_000);
  await devices.heard(bob, 'tablet', { online: false });
  expect(devices.statusOf(bob)).toBe('unknown');
});

test('each device is told of once when it comes online', async () => {
  const { devices } = await known();
  const came: string[] = [];
  devices.onOnline = (user) => void came.push(user);
  await devices.heard(bob, 'phone', { online: true });
  await devices.heard(bob, 'phone', { online: true });
  await devices.heard(bob, 'tablet', { online: true });
  expect(came).toEqual([bob, bob]);
});

test('out/ack makes a device known, offline', async () => {
  const { devices } = await known();
  await devices.acked(bob, 'phone');
  expect(devices.statusOf(bob)).toBe('away');
});

test('a device is forgotten after 30 days of silence, and one that is online is not silent', async () => {
  const { devices, clock } = await known();
  await devices.load();
  await devices.heard(bob, 'phone', { online: true });
  await devices.heard('carol@example.com', 'phone', { online: false });
  const forgotten: string[] = [];
  devices.onForgotten = (user) => forgotten.push(user);
  await clock.turn(31 * 86_400_000);
  expect(forgotten).toEqual(['carol@example.com']);
  expect([devices.statusOf(bob), devices.statusOf('carol@example.com')]).toEqual(['here', 'none']);
});

test('of more than 50 devices the one that is offline and was silent longest goes', async () => {
  const { devices, clock } = await known();
  await devices.heard(bob, 'first', { online: true });
  for (let count = 0; count < 50; count++) {
    await clock.turn(10);
    await devices.heard(bob, `other${count}`, { online: false });
  }
  await clock.turn(10);
  const names = devices.list(bob).map(({ client }) => client);
  expect(names).toHaveLength(50);
  expect(names).toContain('first');
  expect(names).not.toContain('other0');
});
