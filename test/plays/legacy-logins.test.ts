// Play: what legacy clients of moved users are told (migration.legacyLogin: notify), and the word for single users.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

describe.each(servers)('$name:', (server) => {
  const text = 'You have moved: get the new app at https://chat.example.com & log in there.';
  let stage: Stage;

  beforeAll(async () => {
    stage = await setStage({
      kind: server,
      accounts: ['alice', 'bob', 'carol', 'dave'],
      legacy: { archive: true },
      config: { migration: { legacyLogin: 'notify', legacyLoginText: text } },
    });
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  const notices = (bodies: string[]) => bodies.filter((body) => body === text);
  const told = (from: number) => stage.gateway.logged({ event: 'user.notified' }, from);
  const steer = (jid: string, legacyLogin: string | null) =>
    stage.gateway.api('PUT', `/api/v1/users/${jid}/legacy-login`, { legacyLogin, reason: 'a play' });

  test('with notify the legacy client that comes is told once in a stay in mqtt, and the app hears nothing of it', async () => {
    const jid = 'bob@example.com';
    const alice = await stage.contact('alice');
    const phone = await stage.app('bob', 'phone');
    await stage.gateway.move(jid, 'mqtt');
    const desk = await stage.contact('bob/desk', { carbons: true });
    expect(await desk.hears(text)).toMatchObject({ from: 'gw.example.com', to: 'bob@example.com/desk', type: 'chat' });
    await told(0);
    const tablet = await stage.contact('bob/tablet', { carbons: true });
    // Whatever were said at the tablet's login would be there before this comes.
    alice.say(jid, 'to all of bob');
    await Promise.all([tablet.hears('to all of bob'), phone.hears('message', { body: 'to all of bob' })]);
    expect([notices(desk.bodies()).length, notices(tablet.bodies()).length]).toEqual([1, 0]);
    expect(phone.all().filter(({ body }) => body === text)).toEqual([]);
    expect(await stage.gateway.audit(jid)).toContainEqual(
      expect.objectContaining({ who: 'crossfade', what: 'user.notified', detail: 'bob@example.com/desk' }),
    );
    expect((await stage.gateway.user(jid)).notifiedAt).not.toBeNull();
  });

  test('after a restart of the gateway nobody is told again, in the next stay in mqtt whoever is there is', async () => {
    const jid = 'bob@example.com';
    await stage.gateway.stop();
    await stage.gateway.start();
    const desk = await stage.contact('bob/third');
    const alice = await stage.contact('alice/second');
    alice.say(jid, 'after the restart');
    await desk.hears('after the restart');
    expect(notices(desk.bodies())).toEqual([]);
    await stage.gateway.move(jid, 'legacy');
    expect((await stage.gateway.user(jid)).notifiedAt).toBeNull();
    const before = stage.gateway.log.items.length;
    await stage.gateway.move(jid, 'mqtt');
    await told(before);
  });

  test('a word for one user counts for this user alone: locked out, let in, and as the configuration says again', async () => {
    for (const name of ['carol', 'dave']) await stage.gateway.move(`${name}@example.com`, 'mqtt');
    expect(await steer('carol@example.com', 'deny')).toMatchObject({ status: 200, body: { legacyLogin: 'deny' } });
    await stage.gateway.userWhen('carol@example.com', ({ locked }) => locked === true);
    await expect(stage.legacyClient('carol')).rejects.toMatchObject({ condition: 'not-allowed', text });
    await steer('dave@example.com', 'allow');
    const dave = await stage.contact('dave');
    await steer('carol@example.com', null);
    await stage.gateway.userWhen('carol@example.com', ({ locked }) => locked === false);
    const carol = await stage.contact('carol');
    await carol.hears(text);
    expect(notices(dave.bodies())).toEqual([]);
    expect(await stage.gateway.audit('carol@example.com')).toContainEqual(
      expect.objectContaining({ who: 'admin', what: 'user.legacy-login', detail: 'deny', reason: 'a play' }),
    );
  });

  test('a policy that does not exist is refused with those that do', async () => {
    const { status, body } = await steer('dave@example.com', 'forbid');
    expect(status).toBe(400);
    expect(body.detail).toContain('allow, notify, deny');
  });
});
