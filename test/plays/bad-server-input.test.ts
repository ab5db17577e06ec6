// Play: what an operator may have got wrong between gateway and server. Each is told at its place, and harms nobody else (issue 5).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { brokenModule } from '../fuzz/attach-sabotage.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';
import { type LegacyClient, legacyClient } from '../harness/legacy-client.ts';
import { type Prosody, startProsody } from '../harness/prosody.ts';
import { AVAILABLE, NS, RawComponent } from '../harness/raw-component.ts';

const secret = 'not-a-real-secret';
const orderly = 'good.example.com';
const users = ['alice', 'bob', 'carol', 'dave'];

let prosody: Prosody;
let alice: LegacyClient;
/** Of another gateway, in good order, with a session for dave. */
let good: RawComponent;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  prosody = await startProsody({
    accounts: Object.fromEntries(users.map((user) => [user, user])),
    components: ['gw.example.com', 'other.example.com', orderly].map((domain) => ({ domain, secret })),
    options: `  crossfade_components = { "gw.example.com", "${orderly}" }`,
  });
  [alice, good] = await Promise.all([
    legacyClient({ port: prosody.c2sPort, user: 'alice', password: 'alice' }),
    RawComponent.open({ port: prosody.componentPort, domain: orderly, secret }),
  ]);
  await good.hello();
  await good.attach('dave', { presence: AVAILABLE });
});
afterAll(async () => {
  await good?.kill();
  await alice?.stop();
  await prosody?.stop();
});

// After each: the other gateway and its users talk on, over the connection they had.
let rows = 0;
afterEach(async () => {
  const sign = `well ${++rows}`;
  await alice.send(`<message to='dave@example.com' type='chat' id='${sign}'><body>${sign}</body></message>`);
  await good.deliveryOf(sign);
  const back = `<message to='${alice.jid}' type='chat' id='${sign}'><body>${sign} back</body></message>`;
  expect((await good.send('dave@example.com/mqtt', sign, back)).condition).toBeUndefined();
  await alice.message(`${sign} back`);
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
      component: { host: '127.0.0.1', port: prosody.componentPort, domain: 'gw.example.com', secret, ...wrong },
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
    hint: expect.stringContaining('crossfade_components'),
  });
  expect(await one.api('GET', '/readyz')).toMatchObject({ status: 503, body: { component: true, attach: false } });
  await one.put('bob@example.com', 'mqtt');
  expect(await one.user('bob@example.com')).toMatchObject({ attached: null });
});

test('a module of another version: both versions are named, and what to install', async () => {
  const module = await brokenModule({ from: 'local version = "1";', to: 'local version = "2";' });
  const newer = await startProsody({
    accounts: { bob: 'bob' },
    components: [{ domain: 'gw.example.com', secret }],
    moduleDir: module.dir,
  });
  open.push(async () => {
    await newer.stop();
    await module.remove();
  });
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
  expect(await one.user('bob@example.com')).toMatchObject({ phase: 'mqtt', attached: { jid: 'bob@example.com/mqtt' } });
});

test('a client that has the session’s resource, before or after it: both stay, under names of their own', async () => {
  const { c2sPort: port } = prosody;
  const before = await legacyClient({ port, user: 'carol', password: 'carol', resource: 'mqtt' });
  const one = await gateway({}, 'gateway.ready');
  const [carol] = await Promise.all([one.move('carol@example.com', 'mqtt'), one.move('bob@example.com', 'mqtt')]);
  expect((carol.attached as { jid: string }).jid).toMatch(/^carol@example\.com\/mqtt-./);
  const after = await legacyClient({ port, user: 'bob', password: 'bob', resource: 'mqtt' });
  open.push(
    () => before.stop(),
    () => after.stop(),
  );
  expect(after.jid).toMatch(/^bob@example\.com\/mqtt-./);
  for (const [user, client] of [
    ['carol', before],
    ['bob', after],
  ] as const) {
    await alice.send(`<message to='${user}@example.com' type='chat' id='to-${user}'><body>to ${user}</body></message>`);
    await client.message(`to ${user}`);
    await expect
      .poll(async () => (await one.entries(`${user}@example.com`)).map(({ id }) => id))
      .toContain(`to-${user}`);
  }
});

test('10,000 attach requests at once: each is answered, and meanwhile others are served', async () => {
  const flood = await RawComponent.open({ port: prosody.componentPort, domain: 'gw.example.com', secret });
  open.push(() => flood.kill());
  await flood.hello();
  const names = [...users.slice(0, 3), 'nobody', 'b@d'];
  const asked = Array.from({ length: 10_000 }, (_, at) => {
    const attach = `<attach xmlns='${NS}' user='${names[at % 5]}' resource='r${at % 500}'/>`;
    return flood.iq(attach);
  });
  await alice.send(`<message to='dave@example.com' type='chat' id='meanwhile'><body>meanwhile</body></message>`);
  const [answers] = await Promise.all([Promise.all(asked), good.deliveryOf('meanwhile')]);
  const counts: Record<string, number> = {};
  for (const { children } of answers) {
    const [{ name, attrs }] = children as [(typeof children)[0]];
    const said = attrs.condition ?? (attrs.resumed ? 'resumed' : name);
    counts[said] = (counts[said] ?? 0) + 1;
  }
  expect(counts).toEqual({ attached: 300, resumed: 5_700, 'item-not-found': 2_000, 'jid-malformed': 2_000 });
}, 60_000);
