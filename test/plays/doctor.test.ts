// Play: `crossfade check --live` before a real Prosody and Mosquitto: what is well, what is not, and what to do about it.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { crossfade } from '../cli/command.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';
import { type Mosquitto, startMosquitto } from '../harness/mosquitto.ts';
import { type Prosody, startProsody } from '../harness/prosody.ts';
import { ejabberd } from '../harness/servers.ts';

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
}

/** The findings by id (the worst of each), with what the command printed and its exit code. */
async function examine({ port = prosody.componentPort, component, domain = 'example.com', mqtt, app }: Told = {}) {
  const config = {
    xmpp: { domain, component: { port, domain: 'gw.example.com', secret, ...component } },
    mqtt: { url: mosquitto.url, ...gateway, ...mqtt },
    ledger: { path: './ledger.sqlite' },
    admin: { listen: '127.0.0.1:1', token: 'not-a-real-token-at-all' },
  };
  await writeFile(join(dir, 'crossfade.yaml'), JSON.stringify(config));
  const args = ['check', '--live', ...(app ? ['--app', 'bob'] : [])];
  const surroundings = { cwd: dir, env: { CROSSFADE_APP_PASSWORD: password } };
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
  expect(levels('unknown').sort()).toEqual(['broker.queues', 'gateway']);
  expect(levels('warning').sort()).toEqual(['broker.puback', 'server.stanza-id']);
  expect(of('server.software')?.what).toMatch(/^Prosody 0\.12/);
  expect(of('server.clock')?.what).toContain('the clocks agree');
  expect(of('broker.software')?.what).toMatch(/^mosquitto version 2/);
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

const faults: [name: string, told: Told, id: string, what: string][] = [
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
  ['no broker at the port', { mqtt: { url: 'mqtt://127.0.0.1:1' } }, 'broker.login', 'nothing listens there'],
  ['an account that may not use the root', { mqtt: { root: 'talk' } }, 'broker.rights', 'talk/+/in/#'],
];
test.each(faults)('%s is a fault', async (_, told, id, what) => {
  const { code, of } = await examine(told);
  expect(of(id)).toMatchObject({ level: 'fault', what: expect.stringContaining(what) });
  expect(code).toBe(1);
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

test('while a gateway runs the server is asked over its connection, which stays', async () => {
  await examine();
  const config = await readFile(join(dir, 'crossfade.yaml'), 'utf8');
  const running = new GatewayProcess(await mkdtemp(join(dir, 'running-')));
  await running.configure({
    ...JSON.parse(config),
    admin: { listen: '127.0.0.1:0' },
    ledger: { path: './crossfade.sqlite' },
  });
  try {
    await running.start();
    const { body } = await running.api('GET', '/api/v1/doctor');
    const items = body.items as Finding[];
    expect(items.filter(({ level }) => level === 'fault')).toEqual([]);
    expect(items.find(({ id }) => id === 'server.module')?.level).toBe('ok');
    expect(running.log.items.filter(({ event }) => event === 'component.offline')).toEqual([]);
  } finally {
    await running.stop();
  }
});
