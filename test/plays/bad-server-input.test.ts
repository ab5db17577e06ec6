// Play: what an operator may have got wrong between gateway and server. Each is told at its place, and harms nobody else (issue 5).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ofAnotherVersion } from '../fuzz/attach-sabotage.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';
import { legacyClient } from '../harness/legacy-client.ts';
import type { LegacyServer } from '../harness/legacy-server.ts';
import { enterOthers, type Others, otherGateway, otherPeople } from '../harness/others.ts';
import { NS, RawComponent } from '../harness/raw-component.ts';
import { servers } from '../harness/servers.ts';

describe.each(servers)('$name:', (server) => {
  const secret = 'not-a-real-secret';
  const users = [...otherPeople, 'bob', 'carol'];

  let legacy: LegacyServer;
  let others: Others;
  const open: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    legacy = await server.start({
      accounts: Object.fromEntries(users.map((user) => [user, user])),
      components: ['gw.example.com', 'other.example.com', otherGateway].map((domain) => ({ domain, secret })),
      attachers: ['gw.example.com', otherGateway],
    });
    others = await enterOthers(server, legacy, secret);
  });
  afterAll(async () => {
    await others?.leave();
    await legacy?.stop();
  });

  // After each: the others talk on, over the connections they had.
  let rows = 0;
  afterEach(async () => {
    await others.areWell(`well ${++rows}`);
    await Promise.all(open.splice(0).map((close) => close()));
  });

  interface Wrong {
    domain?: string;
    secret?: string;
    port?: number;
  }

  /** A gateway that is told this; resolves with what it has logged. */
  async function gateway(wrong: Wrong, event: string): Promise<GatewayProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'crossfade-play-'));
    const one = new GatewayProcess(dir);
    open.push(async () => {
      await one.stop();
      await rm(dir, { recursive: true, force: true });
    });
    await one.configure({
      xmpp: {
        domain: 'example.com',
        component: { host: '127.0.0.1', port: legacy.componentPort, domain: 'gw.example.com', secret, ...wrong },
      },
      mqtt: { url: 'embedded:', embeddedPort: 0 },
      ledger: { path: './crossfade.sqlite' },
      admin: { listen: '127.0.0.1:0' },
    });
    await one.start(event);
    return one;
  }

  test('a wrong component secret: refused, said so, and the gateway is not ready', async () => {
    const one = await gateway({ secret: 'another-fake-secret' }, 'component.refused');
    expect((await one.logged({ event: 'component.refused' })).msg).toContain('component secret refused');
    expect(await one.api('GET', '/readyz')).toMatchObject({ status: 503, body: { component: false, attach: false } });
  });

  test('a component that may not attach: it is told what to write on the server, and its connection stays', async () => {
    const one = await gateway({ domain: 'other.example.com' }, 'attach.refused');
    expect(await one.logged({ event: 'attach.refused' })).toMatchObject({
      condition: 'forbidden',
      hint: expect.stringMatching(/crossfade_components.*mod_crossfade_attach/),
    });
    expect(await one.api('GET', '/readyz')).toMatchObject({ status: 503, body: { component: true, attach: false } });
    await one.put('bob@example.com', 'mqtt');
    expect(await one.user('bob@example.com')).toMatchObject({ attached: null });
  });

  test('a module of another version: both versions are named, and what to install', async () => {
    const newer = await server.start({
      accounts: { bob: 'bob' },
      components: [{ domain: 'gw.example.com', secret }],
      broken: ofAnotherVersion[server.name],
    });
    open.push(() => newer.stop());
    const one = await gateway({ port: newer.componentPort }, 'attach.refused');
    const { msg } = await one.logged({ event: 'attach.refused' });
    expect(msg).toContain('speaks version 2, not 1');
    expect(msg).toContain('came with this release');
    expect(await one.api('GET', '/readyz')).toMatchObject({ status: 503, body: { component: true, attach: false } });
  });

  test('an account that does not exist: its move fails and says so, in legacy as before, while another goes through', async () => {
    const one = await gateway({}, 'gateway.ready');
    const [ghost] = await Promise.all([one.move('ghost@example.com', 'mqtt'), one.move('bob@example.com', 'mqtt')]);
    expect(ghost).toMatchObject({ phase: 'legacy', attached: null });
    expect(JSON.stringify(ghost)).toContain('there is no such account');
    expect(await one.user('bob@example.com')).toMatchObject({
      phase: 'mqtt',
      attached: { jid: 'bob@example.com/mqtt' },
    });
  });

  test('a client that has the session’s resource, before or after it: both stay, under names of their own', async () => {
    const { c2sPort: port } = legacy;
    const before = await legacyClient({ port, user: 'carol', password: 'carol', resource: 'mqtt' });
    const one = await gateway({}, 'gateway.ready');
    const [carol] = await Promise.all([one.move('carol@example.com', 'mqtt'), one.move('bob@example.com', 'mqtt')]);
    expect((carol.attached as { jid: string }).jid).toMatch(/^carol@example\.com\/mqtt-./);
    const after = await legacyClient({ port, user: 'bob', password: 'bob', resource: 'mqtt' });
    const writer = await legacyClient({ port, user: 'alice', password: 'alice' });
    open.push(
      () => writer.stop(),
      () => before.stop(),
      () => after.stop(),
    );
    expect(after.jid).toMatch(/^bob@example\.com\/mqtt-./);
    for (const [user, client] of [
      ['carol', before],
      ['bob', after],
    ] as const) {
      await writer.send(
        `<message to='${user}@example.com' type='chat' id='to-${user}'><body>to ${user}</body></message>`,
      );
      await client.message(`to ${user}`);
      await expect
        .poll(async () => (await one.entries(`${user}@example.com`)).map(({ id }) => id))
        .toContain(`to-${user}`);
    }
  });

  test('10,000 attach requests at once: each is answered, and meanwhile others are served', async () => {
    const flood = await RawComponent.open({ port: legacy.componentPort, domain: 'gw.example.com', secret });
    open.push(() => flood.kill());
    await flood.hello();
    const names = ['alice', 'bob', 'carol', 'nobody', 'b@d'];
    const asked = Array.from({ length: 10_000 }, (_, at) => {
      const attach = `<attach xmlns='${NS}' user='${names[at % 5]}' resource='r${at % 500}'/>`;
      return flood.iq(attach);
    });
    const [answers] = await Promise.all([Promise.all(asked), others.areWell('meanwhile')]);
    const counts: Record<string, number> = {};
    for (const { children } of answers) {
      const [{ name, attrs }] = children as [(typeof children)[0]];
      const said = attrs.condition ?? (attrs.resumed ? 'resumed' : name);
      counts[said] = (counts[said] ?? 0) + 1;
    }
    expect(counts).toEqual({ attached: 300, resumed: 5_700, 'item-not-found': 2_000, 'jid-malformed': 2_000 });
  }, 60_000);
});
