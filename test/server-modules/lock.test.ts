// `lock` against each real server: legacy clients of the user stay out, with a text, and nobody else is concerned.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { contact } from '../harness/contact.ts';
import { AVAILABLE, type RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';
import { chat, Stage } from './stage.ts';

const TEXT = `Moved: get the new app at <https://example.com/app> & log in "there"`;

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let gateway: RawComponent;
  beforeAll(async () => {
    stage = await Stage.open(server, ['alice', 'bob', 'carol', 'dave']);
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.close());

  async function open(): Promise<string> {
    gateway = await stage.component();
    return (await gateway.hello()).epoch;
  }

  test('a locked user cannot log in and reads why; others can, and after unlock it can again', async () => {
    await open();
    expect(await gateway.lock('bob', TEXT)).toMatchObject({ children: [] });
    expect(await gateway.lock('bob', TEXT)).toMatchObject({ children: [] });
    await expect(stage.login('bob')).rejects.toMatchObject({ condition: 'not-allowed', text: TEXT });
    await expect(stage.login('bob', { resource: 'mqtt' })).rejects.toMatchObject({ condition: 'not-allowed' });
    await stage.login('alice');
    expect(await gateway.unlock('bob')).toMatchObject({ children: [] });
    expect(await gateway.unlock('bob')).toMatchObject({ children: [] });
    expect((await stage.login('bob')).jid).toContain('bob@example.com/');
  });

  test('a client that is there stays until it is kicked, and reads why; the attached session stays', async () => {
    await open();
    const alice = await stage.login('alice');
    await gateway.attach('carol', { presence: AVAILABLE });
    const phone = await contact({ jid: 'carol@example.com/phone', password: 'carol', port: stage.server.c2sPort });
    await gateway.lock('carol', TEXT);
    await alice.send(chat('carol@example.com', 'still here'));
    await phone.hears('still here');
    await gateway.lock('carol', TEXT, true);
    await alice.send(chat('carol@example.com', 'only the app'));
    await gateway.deliveryOf('only the app');
    expect(await phone.isEnded()).toEqual({ condition: 'policy-violation', text: TEXT });
    await phone.leave();
    expect(phone.bodies()).toEqual(['still here']);
  });

  test('a client that waits for its resumption is ended, too, and what it has not acknowledged is not lost', async () => {
    await open();
    const alice = await stage.login('alice');
    const phone = await stage.login('dave', { resource: 'phone' });
    await gateway.attach('dave', { presence: AVAILABLE });
    phone.drop();
    await gateway.lock('dave', TEXT, true);
    await alice.send(chat('dave@example.com/phone', 'to a session that is gone'));
    await gateway.deliveryOf('to a session that is gone');
  });

  test('a lock ends with the epoch of its link', async () => {
    const epoch = await open();
    await gateway.lock('bob', TEXT);
    await gateway.kill();
    gateway = await stage.component();
    await gateway.hello(epoch, 0);
    await expect(stage.login('bob')).rejects.toMatchObject({ condition: 'not-allowed' });
    await gateway.hello();
    await stage.login('bob');
  });

  test.each(['lock', 'observe'] as const)(
    '%s of nobody is item-not-found, of no name jid-malformed; its end is harmless',
    async (what) => {
      await open();
      const begin = (user: string) => (what === 'lock' ? gateway.lock(user, TEXT) : gateway.observe(user));
      const end = (user: string) => (what === 'lock' ? gateway.unlock(user) : gateway.unobserve(user));
      expect(await begin('nobody')).toMatchObject({ condition: 'item-not-found', type: 'cancel' });
      expect(await begin('b@d')).toMatchObject({ condition: 'jid-malformed', type: 'modify' });
      expect(await end('nobody')).toMatchObject({ children: [] });
    },
  );
});
