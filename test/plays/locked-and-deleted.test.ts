// Play: legacy logins refused for moved users (migration.legacyLogin: deny), and accounts that are deleted under the gateway's feet.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

describe.each(servers)('$name:', (server) => {
  const lockText = 'Moved: get the new app & log in there.';
  const goners = (['shadow', 'dual', 'mqtt'] as const).map((phase, at) => ({ phase, user: `gone${at}` }));

  let stage: Stage;
  let alice: Contact;

  beforeAll(async () => {
    stage = await setStage({
      kind: server,
      accounts: ['alice', 'bob', 'carol', ...goners.map(({ user }) => user)],
      legacy: { archive: true },
      config: { migration: { legacyLogin: 'deny', legacyLoginText: lockText } },
    });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  test('in mqtt the legacy client is ended and stays out, with the text; in every other phase it may come', async () => {
    const desk = await stage.contact('bob/desk', { carbons: true });
    const phone = await stage.app('bob', 'phone');
    await stage.gateway.move('bob@example.com', 'dual');
    alice.say('bob@example.com', 'to both');
    await Promise.all([desk.hears('to both'), phone.hears('message', { body: 'to both' })]);
    await stage.gateway.move('bob@example.com', 'mqtt');
    expect(await desk.isEnded()).toEqual({ condition: 'policy-violation', text: lockText });
    const refused = { condition: 'not-allowed', text: lockText };
    await expect(stage.legacyClient('bob')).rejects.toMatchObject(refused);
    alice.say('bob@example.com', 'to the app alone');
    await phone.hears('message', { body: 'to the app alone' });
    // The server forgets locks when it restarts, and is told again.
    const before = stage.gateway.log.items.length;
    await stage.server.restart();
    await stage.gateway.logged({ event: 'attach.up' }, before);
    await stage.gateway.userWhen('bob@example.com', ({ attached, locked }) => attached !== null && locked === true);
    await expect(stage.legacyClient('bob')).rejects.toMatchObject(refused);
    for (const phase of ['dual', 'shadow', 'legacy'] as const) {
      await stage.gateway.move('bob@example.com', phase);
      await (await stage.legacyClient('bob')).stop();
    }
  });

  test('what waits when the lock is taken away with a rollback is there for the client that comes back', async () => {
    const phone = await stage.app('carol', 'phone');
    await stage.gateway.move('carol@example.com', 'mqtt');
    await phone.leave();
    const again = await stage.contact('alice/again');
    for (const n of [1, 2, 3]) again.say('carol@example.com', `waits ${n}`);
    await expect.poll(async () => (await stage.gateway.entries('carol@example.com')).length).toBe(3);
    await expect(stage.legacyClient('carol')).rejects.toMatchObject({ condition: 'not-allowed' });
    await stage.gateway.move('carol@example.com', 'legacy');
    const desk = await stage.contact('carol/desk');
    await desk.hears('waits 3');
    expect(desk.bodies()).toEqual(['waits 1', 'waits 2', 'waits 3']);
  });

  test.each(goners)(
    'an account deleted in $phase ends in legacy: nothing hangs, all is counted, others go on',
    async ({ phase, user }) => {
      const jid = `${user}@example.com`;
      const friend = await stage.contact(`alice/${user}`);
      await stage.gateway.move(jid, phase);
      for (const n of [1, 2, 3]) friend.say(jid, `for ${user} ${n}`);
      const expected = phase === 'mqtt' ? 3 : 0;
      if (expected > 0) await expect.poll(async () => (await stage.gateway.entries(jid)).length).toBe(expected);
      await stage.server.deleteUser(jid.split('@')[0]!);
      const ended = await stage.gateway.userWhen(jid, ({ phase, moving }) => phase === 'legacy' && !moving);
      expect(ended.attached).toBeNull();
      const open = (await stage.gateway.entries(jid)).filter(
        ({ state }) => !['discarded', 'settled', 'returned'].includes(String(state)),
      );
      expect(open).toEqual([]);
      expect(await stage.gateway.audit(jid)).toContainEqual(
        expect.objectContaining({ who: 'crossfade', what: 'user.move', reason: 'the account was deleted' }),
      );
      friend.say('alice@example.com', `after ${user}`);
      await friend.hears(`after ${user}`);
    },
  );
});
