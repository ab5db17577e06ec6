// Play: the gateway, the server and both are away for longer than the server waits; what was said meanwhile is in the archive (DESIGN §4).

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import { archivedBodies } from '../harness/archive.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

// Each test starts programs and servers again, which takes its time on a busy machine; what does not come is told after 20 s.
describe.each(servers)('$name:', { timeout: 90_000 }, (server) => {
  let stage: Stage;
  let alice: Contact;

  /** The server ends our sessions a second after the gateway has gone. */
  async function set(users: string[], archive: boolean): Promise<void> {
    stage = await setStage({ kind: server, accounts: ['alice', ...users], legacy: { archive, resumeTimeout: 1 } });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  }

  /** Moves a user who has an app and a legacy device, and lets one message come to both. */
  async function begin(local: string): Promise<{ phone: App; desk: Contact }> {
    const jid = `${local}@example.com`;
    const phone = await stage.app(local, 'phone');
    const desk = await stage.contact(`${local}/desk`, { carbons: true });
    await stage.gateway.move(jid, 'mqtt');
    alice.say(jid, 'before');
    await phone.hears('message', { body: 'before' });
    return { phone, desk };
  }

  /** The server has noticed that the gateway is gone for good. */
  async function forgotten(): Promise<void> {
    for (const deadline = Date.now() + 15_000; Date.now() < deadline; ) {
      if (/Link of gw\.example\.com ended \(expired\)/.test(await stage.server.log())) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the server keeps the link');
  }

  const bodies = (phone: App) => phone.all().map(({ body, direction }) => `${direction} ${body}`);

  describe('with an archive', () => {
    beforeAll(() => set(['bob', 'carol', 'erin'], true));
    afterAll(() => stage?.strike());

    test('after kill -9 of the gateway, longer than the server waits, the app gets what others had meanwhile, once', async () => {
      const { phone, desk } = await begin('bob');
      await stage.gateway.kill9();
      await forgotten();
      for (const n of [1, 2, 3]) alice.say('bob@example.com', `meanwhile ${n}`);
      await desk.hears('meanwhile 3');
      desk.say('alice@example.com', 'from the desk', 'd1');
      await alice.hears('from the desk');
      await stage.gateway.start();
      await phone.hears('message', { body: 'from the desk' });
      alice.say('bob@example.com', 'after');
      await Promise.all([phone.hears('message', { body: 'after' }), desk.hears('after')]);
      expect(bodies(phone)).toEqual([
        'received before',
        'received meanwhile 1',
        'received meanwhile 2',
        'received meanwhile 3',
        'sent from the desk',
        'received after',
      ]);
      const late = phone.all().find(({ body }) => body === 'meanwhile 1');
      expect(late).toMatchObject({ copy: true, from: 'alice@example.com/desk' });
      expect(stage.gateway.log.items.filter(({ event }) => event === 'gateway.gap')).toEqual([]);
      expect(desk.bodies('alice@example.com')).toEqual([
        'before',
        'meanwhile 1',
        'meanwhile 2',
        'meanwhile 3',
        'after',
      ]);
    });

    test('after a restart of the server, with the gateway away, too, nothing is missed and nothing comes twice', async () => {
      const { phone } = await begin('carol');
      await stage.gateway.kill9();
      await stage.server.kill9();
      await stage.server.restart();
      alice = await stage.contact('alice/again');
      const desk = await stage.contact('carol/again', { carbons: true });
      alice.say('carol@example.com', 'to the desk');
      await desk.hears('to the desk');
      await desk.leave();
      alice.say('carol@example.com', 'to nobody');
      alice.say('carol@example.com', 'the end');
      await stage.gateway.start();
      await phone.hears('message', { body: 'to the desk' });
      await phone.hears('message', { body: 'the end' });
      alice.say('carol@example.com', 'after');
      await phone.hears('message', { body: 'after' });
      // What lay offline is flushed before the archive is asked.
      expect([...bodies(phone)].sort()).toEqual(
        ['before', 'to nobody', 'the end', 'to the desk', 'after'].map((body) => `received ${body}`).sort(),
      );
      expect(bodies(phone).at(-1)).toBe('received after');
    });

    test('after kill -9 of the server, with the gateway there but slow, the app gets all that was archived, once', async () => {
      const { phone } = await begin('erin');
      const { pid } = stage.gateway;
      const said = ['before'];
      for (const round of [1, 2]) {
        process.kill(pid!, 'SIGSTOP');
        const bodies = Array.from({ length: 40 }, (_, n) => `round ${round}, ${n}`);
        said.push(...bodies);
        for (const body of bodies) alice.say('erin@example.com', body);
        alice.say('alice@example.com', `fence ${round}`);
        await alice.hears(`fence ${round}`);
        await stage.server.settle();
        await stage.server.kill9();
        process.kill(pid!, 'SIGCONT');
        const from = stage.gateway.log.items.length;
        await stage.server.restart();
        await stage.gateway.logged({ event: 'attach.up' }, from);
        alice = await stage.contact(`alice/round${round}`);
        const archived = await archivedBodies(stage, 'erin');
        expect(archived.filter((body) => bodies.includes(body))).toEqual(bodies);
        await phone.hears('message', { body: bodies.at(-1)! });
      }
      alice.say('erin@example.com', 'after');
      await phone.hears('message', { body: 'after' });
      expect(phone.bodies().sort()).toEqual([...said, 'after'].sort());
      expect(stage.gateway.log.items.filter(({ event }) => event === 'gateway.gap')).toEqual([]);
    });
  });

  describe('without an archive', () => {
    beforeAll(() => set(['dave'], false));
    afterAll(() => stage?.strike());

    test('the gateway says for whom, and of which time, messages may be missing', async () => {
      const { phone, desk } = await begin('dave');
      await stage.gateway.kill9();
      await forgotten();
      alice.say('dave@example.com', 'to the desk alone');
      await desk.hears('to the desk alone');
      await stage.gateway.start();
      const gap = await stage.gateway.logged({ event: 'gateway.gap', user: 'dave@example.com', reason: 'no-archive' });
      expect(Date.parse(String(gap.from))).toBeLessThan(Date.parse(String(gap.to)));
      alice.say('dave@example.com', 'after');
      await phone.hears('message', { body: 'after' });
      expect(bodies(phone)).toEqual(['received before', 'received after']);
      expect(await stage.gateway.user('dave@example.com')).toMatchObject({
        archive: { gapSince: null, missed: { from: gap.from, to: gap.to, reason: 'no-archive' } },
      });
      expect(await stage.gateway.metric('crossfade_gaps_total', { reason: 'no-archive' })).toBe(1);
    });
  });
});
