// Whose turn it is: no user takes more than a share of the few places, no failure is tried more often than it should be.

import { expect, test } from 'vitest';
import { bob, setStage } from './stage.ts';

const carol = 'carol@example.com';
const busy = { kind: 'wait', condition: 'resource-constraint', text: 'busy' } as const;

test('pokes while a retry is planned make no further ones', async () => {
  const stage = await setStage();
  await stage.devices.heard(bob, 'phone', { online: true });
  stage.alwaysFails.set('attach', busy);
  await stage.move('mqtt');
  for (let second = 0; second < 30; second++) {
    stage.reconcile.poke(stage.user());
    await stage.clock.turn(1_000);
  }
  await stage.clock.turn(60_000);
  stage.acts.length = 0;
  await stage.clock.turn(300_000);
  // Every 22.5 s: the longest delay, shortened by the clock's even chance.
  expect(stage.acts.length).toBeLessThanOrEqual(14);
  stage.reconcile.stop();
});

test('stopped while a retry is planned, it leaves no timer behind', async () => {
  const stage = await setStage();
  stage.alwaysFails.set('attach', busy);
  await stage.move('mqtt');
  expect(stage.clock.planned).toBe(1);
  stage.reconcile.stop();
  expect(stage.clock.planned).toBe(0);
});

test('a user that drains in vain leaves its place to others', async () => {
  const stage = await setStage({ attachWindow: 1 });
  await stage.move('mqtt');
  await stage.ledger.accept(() => ({
    ...{ lane: 'toXmpp', user: bob, peer: 'alice@example.com', channel: 'message', id: 'o1', custody: 'copy' },
    ...{ at: 1, payload: '<message/>' },
  })).outcome;
  await stage.move('legacy');
  expect(stage.user().moving).toMatchObject({ step: 'drain' });
  stage.acts.length = 0;
  await stage.move('shadow', carol);
  expect(stage.acts).toEqual(['observe']);
  expect(stage.users.get(carol)?.moving).toBeUndefined();
  expect(stage.reconcile.workOn(stage.user()).kind).toBe('retrying');
});

test('a broker that does not answer holds up one user’s way back, and no other’s', async () => {
  const stage = await setStage({ attachWindow: 1 });
  await stage.move('mqtt');
  stage.publishing.add(bob);
  await stage.move('legacy');
  await stage.move('shadow', carol);
  expect(stage.users.get(carol)?.moving).toBeUndefined();
  expect(stage.user().moving).toMatchObject({ step: 'stop' });
  stage.publishing.delete(bob);
  await stage.clock.turn(5_000);
  expect(stage.user()).toMatchObject({ phase: 'legacy', moving: undefined });
});

test('a user with much to hand back takes turns with others, and hands it back in order', async () => {
  const stage = await setStage({ attachWindow: 1 });
  await stage.move('mqtt');
  const ids = Array.from({ length: 450 }, (_, n) => `m${n}`);
  for (const id of ids) await stage.arrives(id);
  stage.acts.length = 0;
  const moved = [stage.move('legacy'), stage.move('shadow', carol)];
  await Promise.all(moved);
  expect(stage.acts.filter((act) => act !== 'observe')).toEqual([...ids.map((id) => `return ${id}`), 'detach']);
  expect(stage.acts.indexOf('observe')).toBe(200);
  expect(stage.user()).toMatchObject({ phase: 'legacy', moving: undefined });
});

test('a thousand users with nothing to do leave time for others in between', async () => {
  const stage = await setStage();
  for (let n = 0; n < 1_000; n++) {
    const jid = `user${n}@example.com`;
    const user = stage.users.add(jid, 0);
    await stage.users.change(user, () => ({ phase: 'shadow', observed: { epoch: 'E1' } }), 0);
  }
  const last = stage.users.get('user999@example.com')!;
  stage.reconcile.poke(null);
  // Much longer than all of them take; time itself stands still.
  for (let n = 0; n < 1_000; n++) await new Promise((resolve) => setImmediate(resolve));
  expect(stage.reconcile.workOn(last).kind).toBe('in-line');
  await stage.clock.turn(1);
  expect(stage.reconcile.workOn(last).kind).toBe('idle');
  expect(stage.acts).toEqual([]);
});

test('in dual a session whose name was never learned is asked for again, and ended by its name', async () => {
  const stage = await setStage();
  await stage.devices.heard(bob, 'phone', { online: true });
  await stage.clock.turn(10);
  stage.fails.set('attach', { kind: 'lost' });
  await stage.move('dual');
  expect(stage.user().attached).toMatchObject({ pending: 'attach' });
  stage.alwaysFails.set('attach', busy);
  await stage.devices.heard(bob, 'phone', { online: false });
  await stage.clock.turn(6_000);
  stage.alwaysFails.clear();
  stage.acts.length = 0;
  await stage.clock.turn(60_000);
  expect(stage.acts).toEqual(['attach silent', 'detach']);
  expect(stage.user()).toMatchObject({ attached: undefined, observed: { epoch: 'E1' } });
});

test('in dual, while nobody knows whether the app is there, a session for sending only is no reason to leave it unobserved', async () => {
  const stage = await setStage();
  await stage.devices.heard(bob, 'phone', { online: true });
  await stage.clock.turn(10);
  stage.devices.brokerRestarted(stage.clock.now() + 2_000);
  stage.toSend.add(bob);
  const attached = { jid: `${bob}/mqtt`, epoch: 'E1', shown: null };
  await stage.users.change(stage.users.add(bob, 0), () => ({ phase: 'legacy', attached }), 0);
  await stage.move('dual');
  expect(stage.devices.statusOf(bob)).toBe('unknown');
  expect(stage.acts).toEqual(['observe']);
  expect(stage.user()).toMatchObject({ phase: 'dual', moving: undefined, observed: { epoch: 'E1' } });
});
