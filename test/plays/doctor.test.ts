// Play: `crossfade check --live` before a real Prosody and Mosquitto: what is well, what is not, and what to do about it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { crossfade } from '../cli/command.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';
import { type Mosquitto, startMosquitto } from '../harness/mosquitto.ts';
import { type Prosody, startProsody } from '../harness/prosody.ts';
import { ejabberd, servers } from '../harness/servers.ts';

const secret = 'not-a-real-secret';
const password = 'not-a-real-password';
const gateway = { username: 'crossfade', password };
let dir: string;
let prosody: Prosody;
let mosquitto: Mosquitto;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crossfade-doctor-'));
  [prosody, mosquitto] = await Promise.all([
    startProsody({
      accounts: { bob: password },
      components: ['gw.example.com', 'other.example.com'].map((domain) => ({ domain, secret })),
      archive: true,
      options: '  crossfade_components = { "gw.example.com" }',
    }),
    startMosquitto({ accounts: { bob: password }, gateway }),
  ]);
});
afterAll(async () => {
  await Promise.all([prosody?.stop(), mosquitto?.stop()]);
  await rm(dir, { recursive: true, force: true });
});

interface Told {
  /** Where the component's connections are taken; Prosody's, if not given. */
  port?: number;
  component?: Record<string, unknown>;
  domain?: string;
  mqtt?: Record<string, unknown>;
  app?: boolean;
  /** The app's, if not the right one. */
  appPassword?: string;
  /** attach: client. */
  client?: Record<string, unknown>;
  user?: string;
}

/** What crossfade.yaml says of both sides. */
function sides({ port = prosody.componentPort, component, domain = 'example.com', mqtt, client }: Told) {
  const attach = client && { attach: { kind: 'client' }, client };
  return {
    xmpp: { domain, component: { port, domain: 'gw.example.com', secret, ...component }, ...attach },
    mqtt: { url: mosquitto.url, ...gateway, ...mqtt },
  };
}

/** The findings by id (the worst of each), with what the command printed and its exit code. */
async function examine(told: Told = {}) {
  const config = {
    ...sides(told),
    ledger: { path: './ledger.sqlite' },
    admin: { listen: '127.0.0.1:1', token: 'not-a-real-token-at-all' },
  };
  await writeFile(join(dir, 'crossfade.yaml'), JSON.stringify(config));
  const { app, user, appPassword = password } = told;
  const args = ['check', '--live', ...(app ? ['--app', 'bob'] : []), ...(user === undefined ? [] : ['--user', user])];
  const surroundings = { cwd: dir, env: { CROSSFADE_APP_PASSWORD: appPassword } };
  const { code, out, err } = await crossfade([...args, '--json'], surroundings);
  const { findings } = JSON.parse(out) as { findings: Finding[] };
  const rank = ['ok', 'unknown', 'warning', 'fault'];
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const before = worst.get(finding.id);
    if (!before || rank.indexOf(finding.level) > rank.indexOf(before.level)) worst.set(finding.id, finding);
  }
  return {
    code,
    err,
    of: (id: string) => worst.get(id),
    levels: (level: string) => findings.filter((one) => one.level === level).map(({ id }) => id),
  };
}

test('where all is well nothing is a fault, and what cannot be asked is said to be unknown', async () => {
  const { code, levels, of } = await examine({ app: true });
  expect(levels('fault')).toEqual([]);
  expect(code).toBe(0);
  expect(levels('unknown').sort()).toEqual(['broker.persistence', 'gateway']);
  expect(levels('warning').sort()).toEqual(['broker.puback', 'server.stanza-id']);
  expect(of('server.software')?.what).toMatch(/^Prosody 0\.12/);
  expect(of('server.clock')?.what).toContain('the clocks agree');
  expect(of('broker.software')?.what).toMatch(/^mosquitto version 2/);
  expect(of('broker.queue')?.what).toBe('the broker keeps 5000 messages for a client that is away');
  expect(of('broker.app')?.what).toBe('the app bob may read and write its own topics and no others');
});

test('on ejabberd, too, nothing is a fault; that version of it is known to let anybody in as somebody else', async () => {
  const components = [{ domain: 'gw.example.com', secret }];
  const server = await ejabberd.start({ accounts: { bob: password }, components, archive: true });
  try {
    const { code, levels, of } = await examine({ port: server.componentPort });
    expect({ code, faults: levels('fault') }).toEqual({ code: 0, faults: [] });
    expect(of('server.software')?.what).toMatch(/^ejabberd 23\.01/);
    expect(of('server.module')?.level).toBe('ok');
    expect(of('server.clock')?.what).toContain('the clocks agree');
    expect(of('server.authzid')?.what).toContain('SASL PLAIN');
  } finally {
    await server.stop();
  }
});

test('read by people, each fault has what, why and what to do, and the exit code is 1', async () => {
  await examine({ component: { domain: 'other.example.com' } });
  const { code, out, err } = await crossfade(['check', '--live'], { cwd: dir });
  expect(code).toBe(1);
  expect(out).toContain('FAULT the server does not let other.example.com attach sessions');
  expect(out).toContain('why: no user can be moved');
  expect(out).toContain('do: Prosody, on VirtualHost "example.com": crossfade_components = { "other.example.com" }');
  expect(err).toContain('server.module');
});

test.each(servers)(
  'what $name is set to and will hurt one day is a warning each, with what to type',
  async ({ start }) => {
    const components = [{ domain: 'gw.example.com', secret }];
    const short = { resumeTimeout: 60, maxUnacked: 10, maxOffline: 100, archive: false };
    const server = await start({ accounts: { bob: password }, components, ...short });
    try {
      const { code, of } = await examine({ port: server.componentPort });
      expect(code).toBe(0);
      const told = {
        'server.archive': 'an archive of every account (XEP-0313): not there',
        'server.resume-timeout': 'sessions stay for 60 s while the gateway is away',
        'server.max-unacked': '10 stanzas may wait for the gateway',
        'server.offline-limit': 'offline storage keeps 100 messages of a user',
      };
      for (const [id, what] of Object.entries(told))
        expect(of(id)).toMatchObject({ level: 'warning', what, why: expect.any(String), todo: expect.any(String) });
    } finally {
      await server.stop();
    }
  },
);

test('without a module: a login of a user shows whether sessions are resumed and an archive is there', async () => {
  const components = [{ domain: 'gw.example.com', secret }];
  for (const { start, name } of servers) {
    const tls = name === 'Prosody';
    const server = await start({ accounts: { bob: password }, components, archive: tls, attach: false, tls });
    try {
      const credentials = join(dir, 'credentials');
      await writeFile(credentials, `bob:${password}\ncarol:wrong\n`, { mode: 0o600 });
      const client = { port: server.c2sPort, credentials: { file: credentials } };
      const security = server.ca === undefined ? { security: 'none' } : { caFile: server.ca };
      const told = { port: server.componentPort, client: { ...client, ...security } };
      const bob = await examine({ ...told, user: 'bob@example.com' });
      expect({ code: bob.code, faults: bob.levels('fault') }).toEqual({ code: 0, faults: [] });
      expect(bob.of('server.clients')?.what).toContain('SCRAM-SHA-1');
      expect(bob.of('server.carbons')?.level).toBe('ok');
      expect(bob.of('server.account')?.what).toBe('bob@example.com logs in');
      expect(bob.of('server.resume-timeout')?.what).toMatch(/sessions stay for \d+ s/);
      expect(bob.of('server.archive')?.level).toBe(tls ? 'ok' : 'warning');
      const carol = await examine({ ...told, user: 'carol@example.com' });
      expect(carol.code).toBe(1);
      expect(carol.of('server.account')).toMatchObject({ level: 'fault', what: expect.stringContaining('carol') });
      if (tls) {
        const stranger = await examine({ ...told, client: client, user: 'bob@example.com' });
        expect(stranger.of('server.clients')).toMatchObject({
          level: 'fault',
          todo: expect.stringContaining('caFile'),
        });
      }
    } finally {
      await server.stop();
    }
  }
});

const faults: [name: string, told: Told | (() => Told), id: string, what: string][] = [
  ['a wrong component secret', { component: { secret: 'wrong' } }, 'server.login', 'cannot log in'],
  [
    'a component the server does not know',
    { component: { domain: 'no.example.com' } },
    'server.login',
    'no.example.com',
  ],
  ['nobody at the port', { component: { port: 1 } }, 'server.login', 'ECONNREFUSED'],
  [
    'a host without the module',
    { domain: 'conference.example.com' },
    'server.module',
    'is not loaded for conference.example.com',
  ],
  ['a wrong password at the broker', { mqtt: { password: 'wrong' } }, 'broker.login', 'mqtt.password'],
  [
    'a server of another kind at the broker’s port',
    () => ({ mqtt: { url: `mqtt://127.0.0.1:${prosody.c2sPort}` } }),
    'broker.login',
    'speaks no MQTT',
  ],
  ['no broker at the port', { mqtt: { url: 'mqtt://127.0.0.1:1' } }, 'broker.login', 'nothing listens there'],
  ['an account that may not use the root', { mqtt: { root: 'talk' } }, 'broker.rights', 'talk/+/in/#'],
];
test.each(faults)('%s is a fault', async (_, told, id, what) => {
  const { code, of } = await examine(typeof told === 'function' ? told() : told);
  const some = expect.any(String);
  expect(of(id)).toMatchObject({ level: 'fault', what: expect.stringContaining(what), why: some, todo: some });
  expect(code).toBe(1);
});

test('an app that the broker does not let in is not told of the gateway’s own account', async () => {
  const { of } = await examine({ app: true, appPassword: 'wrong' });
  expect(of('broker.app')).toMatchObject({
    ...{ level: 'fault', what: 'the app bob cannot log in: the broker does not let it in' },
    todo: expect.stringContaining('CROSSFADE_APP_PASSWORD'),
  });
});

test('without a component the port for clients is looked at all the same', async () => {
  const { of } = await examine({ component: { port: 1 }, client: { port: 1, credentials: { file: './none' } } });
  expect(of('server.login')?.level).toBe('fault');
  expect(of('server.clients')).toMatchObject({ level: 'fault', todo: expect.stringContaining('host and port') });
});

const brokers: [name: string, acl: string, options: Record<string, boolean>, id: string, what: string][] = [
  [
    'that anybody may publish to',
    'topic readwrite chat/#\n',
    { allow_anonymous: true },
    'broker.anonymous',
    'anybody may publish under chat/',
  ],
  [
    'whose apps may write as others',
    'user bob\ntopic readwrite chat/#\n',
    {},
    'broker.app',
    'may write to chat/crossfade-probe/out/probe',
  ],
  [
    'whose apps may read what is for others',
    'pattern read chat/+/in/#\npattern write chat/%u/out/#\n',
    {},
    'broker.app',
    'may read what is for others',
  ],
  ['whose apps may not send', 'pattern read chat/%u/in/#\n', {}, 'broker.app', 'may not write chat/bob/out/#'],
];
test.each(brokers)('a broker %s is a fault', async (_, acl, options, id, what) => {
  const file = join(dir, `${id}-${Math.random()}.acl`);
  await writeFile(file, `${acl}\nuser crossfade\ntopic readwrite chat/#\ntopic read $SYS/#\n`);
  const other = await startMosquitto({ accounts: { bob: password }, gateway, options: { ...options, acl_file: file } });
  try {
    const { of, levels } = await examine({ mqtt: { url: other.url }, app: true });
    expect(of(id) ?? levels('fault')).toMatchObject({ level: 'fault', what: expect.stringContaining(what) });
  } finally {
    await other.stop();
  }
});

test('a broker with a short queue is told by a trial, which leaves nothing there and rings no alarm of a gateway that runs', async () => {
  const other = await startMosquitto({
    accounts: { bob: password },
    gateway,
    options: { max_queued_messages: 1000, sys_interval: 1 },
  });
  const running = await startGateway({ mqtt: { url: other.url } });
  const watcher = await connectAsync(other.url, { ...gateway, clientId: 'watcher' });
  try {
    const heard = new Map<string, number>();
    watcher.on('message', (topic, payload) => heard.set(topic, Number(payload)));
    await watcher.subscribeAsync(['$SYS/broker/publish/messages/dropped', '$SYS/broker/clients/total']);
    const { out, code } = await crossfade(['check', '--live', '--json'], {
      cwd: dirname(running.configFile),
      env: { CROSSFADE_ADMIN_URL: running.adminUrl },
    });
    expect(code).toBe(0);
    const { findings } = JSON.parse(out) as { findings: Finding[] };
    expect(findings.find(({ id }) => id === 'gateway')?.what).toMatch(/^gateway: ready/);
    const queue = findings.find(({ id }) => id === 'broker.queue');
    expect(queue).toMatchObject({
      level: 'warning',
      what: expect.stringMatching(/keeps only 1\d\d\d messages .* \(5000 were tried\)/),
      todo: expect.stringContaining('max_queued_messages 100000'),
    });
    const kept = Number(/only (\d+)/.exec(queue?.what ?? '')?.[1]);
    const dropped = () => heard.get('$SYS/broker/publish/messages/dropped') ?? 0;
    // The broker says every second what it has dropped, to the gateway and to us; the two connections of the gateway and ours are left.
    await expect.poll(dropped, { timeout: 10_000 }).toBeGreaterThanOrEqual(5000 - kept);
    await expect.poll(() => heard.get('$SYS/broker/clients/total'), { timeout: 10_000 }).toBe(3);
    expect(running.log.items.filter(({ event }) => event === 'broker.dropped')).toEqual([]);
  } finally {
    await watcher.endAsync();
    await running.stop();
    await other.stop();
  }
});

/** A gateway of this stage, in a folder of its own. */
async function startGateway(told: Told = {}): Promise<GatewayProcess> {
  const running = new GatewayProcess(await mkdtemp(join(dir, 'running-')));
  await running.configure({
    ...sides(told),
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
  });
  await running.start();
  return running;
}

test('while a gateway runs the server is asked over its connection, which stays', async () => {
  const running = await startGateway();
  try {
    const { body } = await running.api('GET', '/api/v1/doctor');
    const items = body.items as Finding[];
    expect(items.filter(({ level }) => level === 'fault')).toEqual([]);
    expect(items.find(({ id }) => id === 'server.module')?.level).toBe('ok');
    expect(running.log.items.filter(({ event }) => event === 'component.offline')).toEqual([]);
  } finally {
    await running.stop();
  }
});
