// Play: Bob has a phone and a tablet; to his contacts he is one resource, whatever the two say, and however they leave (DESIGN §5, §6).

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { type Stage, setStage } from '../harness/stage.ts';

let stage: Stage;
let alice: Contact;
let phone: App;
let tablet: App;

const bob = 'bob@example.com/mqtt';
const phonePlace = 'chat/bob/presence/bob-phone';
const tabletPlace = 'chat/bob/presence/bob-tablet';

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', 'bob'] });
  [alice, phone] = await Promise.all([stage.contact('alice'), stage.app('bob', 'phone')]);
  await stage.gateway.move('bob@example.com', 'mqtt');
  alice.send(`<presence to='bob@example.com' type='subscribe'/>`);
  await phone.hears('presence', { type: 'subscribe', direction: 'received' });
  phone.publish('presence', { id: 's1', to: 'alice@example.com', type: 'subscribed' });
  await alice.sees({ from: bob, type: '', show: '' });
});
afterAll(() => stage?.strike());

/** What Alice has seen of Bob, after her first `from` presences. */
const seen = (from = 0) => alice.presences.items.slice(from).filter((one) => one.from.startsWith('bob@example.com/'));
const now = () => alice.presences.items.length;
const state = (app: App, place: string, payload: Record<string, unknown>) =>
  app.publishTo(place, payload, { retain: true });

test('show and status of one device are Bob’s, while the other says nothing', async () => {
  tablet = await stage.app('bob', 'tablet', { library: 'mqtt.js', version: 3 });
  state(tablet, tabletPlace, { online: true, show: 'away', text: 'At lunch' });
  await alice.sees({ from: bob, type: '', show: 'away' });
});

test('a device that is killed takes its word along; the other goes on being there', async () => {
  const before = now();
  await tablet.drop();
  await alice.sees({ from: bob, type: '', show: '' }, before);
  expect(await stage.gateway.user('bob@example.com')).toMatchObject({ app: 'here' });
  alice.say('bob@example.com', 'still there?');
  await phone.hears('message', { body: 'still there?' });
});

test('when the last one is killed Bob is away for long, not gone, and what is said meanwhile waits', async () => {
  const before = now();
  await phone.drop();
  await alice.sees({ from: bob, type: '', show: 'xa' }, before);
  alice.say('bob@example.com', 'for later');
  const back = now();
  await phone.arrive();
  await phone.hears('message', { body: 'for later' });
  await alice.sees({ from: bob, type: '', show: '' }, back);
});

test('an app that flaps ten times a second for five seconds is seen to change four times at most, and loses nothing', async () => {
  const before = now();
  for (let n = 0; n < 50; n++) {
    state(phone, phonePlace, n % 2 === 0 ? { online: false } : { online: true, show: n % 4 === 1 ? 'away' : 'dnd' });
    alice.say('bob@example.com', `flap ${n}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  state(phone, phonePlace, { online: true, show: 'chat', text: 'Here to stay' });
  await alice.sees({ from: bob, type: '', show: 'chat' }, before);
  expect(seen(before).length).toBeLessThanOrEqual(4);
  await phone.hears('message', { body: 'flap 49' });
  const flaps = phone.bodies('alice@example.com').filter((body) => body.startsWith('flap'));
  expect(flaps).toEqual(Array.from({ length: 50 }, (_, n) => `flap ${n}`));
});

test('in all this Bob was one resource, and was never seen to leave', () => {
  expect(new Set(seen().map(({ from }) => from))).toEqual(new Set([bob]));
  expect(seen().map(({ type }) => type)).not.toContain('unavailable');
});
