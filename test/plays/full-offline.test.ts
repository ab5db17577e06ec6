// Play: handing back without our module (attach: client): the server's offline storage has no room for all of it, and the gateway is killed amid it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const bob = 'bob@example.com';
const carol = 'carol@example.com';
const bodies = Array.from({ length: 10 }, (_, n) => `m${n}`);
const room = 4;

describe.each(servers)('$name:', (kind) => {
  let stage: Stage;
  let alice: Contact;

  beforeAll(async () => {
    const legacy = { maxOffline: room, contacts: { alice: ['bob', 'carol'], bob: ['alice'], carol: ['alice'] } };
    stage = await setStage({ kind, accounts: ['alice', 'bob', 'carol'], attach: 'client', legacy });
    alice = await stage.contact('alice');
    for (const user of [bob, carol]) {
      await stage.gateway.move(user, 'mqtt');
      await alice.sees({ from: `${user}/mqtt`, type: '', show: 'xa' });
    }
  });
  afterAll(() => stage?.strike());

  const shownSince = (from: number, user: string) =>
    alice.presences.items.slice(from).filter((one) => one.from === `${user}/mqtt` && one.type === '');

  test('what finds no room waits here, the session stays out of sight, and nothing comes twice when there is room, even after a kill', async () => {
    const { gateway } = stage;
    for (const body of bodies) alice.say(bob, body, body);
    await expect.poll(async () => (await gateway.entries(bob)).length).toBe(bodies.length);
    const from = alice.presences.items.length;
    await gateway.put(bob, 'legacy');
    const attempts = ({ work }: Record<string, unknown>) => (work as { attempt?: number }).attempt ?? 0;
    const states = async () => (await gateway.entries(bob)).map(({ state }) => state);
    const isFull = Array.from(bodies, (_, n) => (n < room ? 'returned' : 'accepted'));
    // Between the third and the fourth there are two seconds at least.
    const user = await gateway.userWhen(bob, (now) => attempts(now) >= 4);
    expect(user).toMatchObject({
      moving: { step: 'return' },
      work: { state: 'retrying', text: expect.stringMatching(/does not take what is handed back.*waits here/) },
    });
    expect(await states()).toEqual(
      isFull.map((state) => (state === 'accepted' ? expect.not.stringMatching('returned') : state)),
    );
    expect(await gateway.metric('crossfade_handed_back_total', { result: 'taken' })).toBe(room);
    expect(await gateway.metric('crossfade_handed_back_total', { result: 'refused' })).toBeGreaterThanOrEqual(4);

    await gateway.kill9();
    await gateway.start();
    await gateway.userWhen(bob, (now) => attempts(now) >= 1);
    expect((await states()).filter((state) => state === 'returned')).toHaveLength(room);
    expect(shownSince(from, bob)).toEqual([]);
    const desk = await stage.contact('bob');
    await gateway.moved(bob);
    await desk.hears(`alice@example.com: ${bodies.at(-1)}`);
    expect(desk.bodies()).toEqual(bodies.map((body) => `alice@example.com: ${body}`));
    expect(shownSince(from, bob)).toEqual([]);
  });

  test('a session that was unavailable for one message when the gateway was killed is seen again after its start', async () => {
    const { gateway } = stage;
    const desk = await stage.contact('carol', { priority: -1 });
    alice.say(carol, 'one', 'c1');
    await expect.poll(() => gateway.entries(carol)).toMatchObject([{ state: 'parked' }]);
    const [entry] = await gateway.entries(carol);
    const from = alice.presences.items.length;
    const answer = await gateway.api('POST', '/api/v1/ledger/return', { keys: [entry!.key] });
    expect(answer.body).toMatchObject({ items: [{ done: true }] });
    // At once: two seconds later it would show itself.
    await gateway.kill9();
    await alice.sees({ from: `${carol}/mqtt`, type: 'unavailable', show: '' }, from);
    expect(shownSince(from, carol)).toEqual([]);
    await gateway.start();
    await alice.sees({ from: `${carol}/mqtt`, type: '', show: 'xa' }, from);
    await desk.leave();
  });
});
