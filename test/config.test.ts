// The configuration: what it becomes, and what is said of a faulty one.

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own ${…} are what is tested

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { durationMs, leaves, variableOf } from '../src/config/keys.ts';
import { ConfigFault, loadConfig, loadSections } from '../src/config.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'crossfade-config-'));
  mkdirSync(join(folder, 'secrets'));
  writeFileSync(join(folder, 'secrets', 'component'), 'from a file\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const least = `
xmpp:
  domain: example.com
  component:
    domain: gw.example.com
    secret: example
mqtt:
  url: mqtt://127.0.0.1:1883
`;

function read(text: string, env: Record<string, string> = {}) {
  const file = join(folder, 'crossfade.yaml');
  writeFileSync(file, text);
  return loadConfig({ file, env });
}

function faultsOf(run: () => unknown): string[] {
  try {
    run();
  } catch (fault) {
    if (fault instanceof ConfigFault) return fault.message.split('\n').slice(1);
    throw fault;
  }
  return [];
}

describe('a configuration', () => {
  it('needs two domains, a secret and a broker; the rest has defaults', () => {
    expect(read(least)).toEqual({
      xmpp: {
        domain: 'example.com',
        component: {
          ...{ host: '127.0.0.1', port: 5347, domain: 'gw.example.com', secret: 'example', users: [] },
          subscriptions: 'ask',
        },
        attach: { kind: 'module', resource: 'mqtt' },
        client: {
          ...{ host: '127.0.0.1', port: 5222, security: 'starttls', sessionsPerSecond: 20, archiveEvery: 300_000 },
          credentials: { command: [], timeout: 10_000 },
        },
        maxStanzaBytes: 262_144,
        maxInboundBytes: 1_048_576,
      },
      mqtt: {
        url: 'mqtt://127.0.0.1:1883',
        username: 'crossfade',
        clientId: 'crossfade',
        root: 'chat',
        shadowRoot: 'chat-shadow',
        brokerHorizon: 3_600_000,
        offlineWindow: 500,
        messagesPerSecond: 50,
        messagesBurst: 2000,
        messagesWaiting: 50_000,
        deviceDays: 30,
        embeddedPort: 1883,
        embeddedAccounts: [],
        allowOpenBroker: false,
      },
      migration: { legacyLogin: 'allow', legacyLoginText: 'This account has moved to the new app.', attachWindow: 2 },
      ledger: { path: join(folder, 'crossfade.sqlite'), historyDays: 7 },
      admin: { listen: { host: '127.0.0.1', port: 7400 } },
      webhook: { every: 30_000, timeout: 10_000 },
      shutdown: { drainTime: 2_000 },
      mappings: [join(import.meta.dirname, '..', 'mappings')],
      log: { level: 'info' },
    });
  });

  it('can come from the environment alone', () => {
    const env = {
      CROSSFADE_XMPP_DOMAIN: 'example.com',
      CROSSFADE_XMPP_COMPONENT_DOMAIN: 'gw.example.com',
      CROSSFADE_XMPP_COMPONENT_SECRET: 'example',
      CROSSFADE_XMPP_COMPONENT_PORT: '5348',
      CROSSFADE_XMPP_COMPONENT_USERS: 'bot@gw.example.com, news@gw.example.com',
      CROSSFADE_MQTT_URL: 'embedded:',
      CROSSFADE_MQTT_ALLOW_OPEN_BROKER: 'true',
    };
    const { xmpp, mqtt } = loadConfig({ env });
    expect(xmpp.component).toMatchObject({ port: 5348, users: ['bot@gw.example.com', 'news@gw.example.com'] });
    expect(mqtt).toMatchObject({ url: 'embedded:', allowOpenBroker: true });
  });

  it('gives way to the environment, key by key, in either form of a secret', () => {
    const env = { CROSSFADE_XMPP_COMPONENT_SECRET_FILE: 'secrets/component', CROSSFADE_MQTT_ROOT: 'talk' };
    const { xmpp, mqtt } = read(least.replace('secret: example', `secret: "\${NOBODY_SETS_THIS}"`), env);
    expect([xmpp.component.secret, mqtt.root]).toEqual(['from a file', 'talk']);
  });

  it('may have a webhook, with its secret in a file', () => {
    const text = `${least}webhook: { url: "\${HOOK}", secretFile: secrets/component, every: 1m, timeout: 2s }\n`;
    const { webhook } = read(text, { HOOK: 'https://127.0.0.1:8443/wake?key=1' });
    expect(webhook).toEqual({
      url: 'https://127.0.0.1:8443/wake?key=1',
      secret: 'from a file',
      every: 60_000,
      timeout: 2_000,
    });
  });

  it('takes secrets from a variable, from a file without its last line end, or with an escaped ${ as they stand', () => {
    const secrets = ['secret: "${S}"', 'secretFile: secrets/component', 'secret: "$${S}"'].map(
      (line) =>
        read(
          least.replace('secret: example', () => line),
          { S: 'of ${S} itself' },
        ).xmpp.component.secret,
    );
    expect(secrets).toEqual(['of ${S} itself', 'from a file', '${S}']);
  });

  it('takes paths from its own folder, and knows the mappings that come along', () => {
    const { mappings } = read(`${least}mappings: [builtin, ./own, /srv/mappings]\n`);
    expect(mappings.slice(1)).toEqual([join(folder, 'own'), '/srv/mappings']);
    expect(mappings[0]).toMatch(/mappings$/);
  });

  it('can be the example', () => {
    const env = { CROSSFADE_COMPONENT_SECRET: 'example', CROSSFADE_MQTT_PASSWORD: 'example' };
    const config = loadConfig({ file: join(import.meta.dirname, '..', 'crossfade.example.yaml'), env });
    expect(config.mqtt).toMatchObject({ password: 'example', brokerHorizon: 10_000 });
  });
});

describe('domains and addresses', () => {
  it('are taken in prepared form, however they are written', () => {
    const users = 'users: [Bot@GW.example.com, news@gw.EXAMPLE.com.]';
    const text = least
      .replace('domain: example.com', 'domain: xn--Mnchen-3ya.Example.COM')
      .replace('gw.example', 'GW.Example');
    const { xmpp } = read(text.replace('secret: example', `secret: example\n    ${users}`));
    expect(xmpp.domain).toBe('m\u00fcnchen.example.com');
    expect(xmpp.component).toMatchObject({
      domain: 'gw.example.com',
      users: ['bot@gw.example.com', 'news@gw.example.com'],
    });
  });
});

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['0s', 0],
  ['1.5h', undefined],
  ['10', undefined],
  ['-1s', undefined],
])('the duration %s is %s ms', (text, expected) => expect(durationMs(text)).toBe(expected));

test('every key has a variable of its own', () => {
  const names = leaves().map(({ path }) => variableOf(path));
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('CROSSFADE_MQTT_BROKER_HORIZON');
});

describe('a faulty configuration is refused', () => {
  const broken = `xmpp:
  domian: example.com
  component:
    domain: gw example
    port: "5347"
    secret: "\${NOT_SET}"
    users: [bot@gw.example.com, nobody]
  attach: { kind: client }
mqtt:
  url: http://broker
  brokerHorizon: 10 seconds
  passwordFile: no-such-file
  offlineWindow: 0
`;
  it('with everything that is wrong, each with line, key and hint', () => {
    expect(faultsOf(() => read(broken))).toEqual([
      'crossfade.yaml:6: xmpp.component.secret: the environment variable NOT_SET is not set (set it, or use …File)',
      'crossfade.yaml:12: mqtt.passwordFile: the file no-such-file cannot be read (ENOENT)',
      'crossfade.yaml:1: xmpp.domain: is missing (a domain such as example.com)',
      'crossfade.yaml:2: xmpp.domian: unknown key (did you mean domain?)',
      'crossfade.yaml:5: xmpp.component.port: must be integer',
      'crossfade.yaml:4: xmpp.component.domain: does not fit (a domain such as gw.example.com)',
      'crossfade.yaml:7: xmpp.component.users.1: does not fit (a list of addresses such as bot@gw.example.com; for a/b write a\\2fb@gw.example.com (XEP-0106))',
      'crossfade.yaml:10: mqtt.url: does not fit (mqtt://host:1883, mqtts://host:8883, ws://host:port/path, wss://… or embedded:)',
      'crossfade.yaml:11: mqtt.brokerHorizon: does not fit (a duration such as 500ms, 10s, 5m, 1h or 7d)',
      'crossfade.yaml:13: mqtt.offlineWindow: must be >= 1',
      'crossfade.yaml:1: xmpp.client.credentials: is missing (one of file, command, url and ejabberd)',
    ]);
  });

  const withLine = (line: string) => `${least}${line}\n`;
  const rows: [string, string, Record<string, string>, string][] = [
    [
      'a wrong type in the environment',
      least,
      { CROSSFADE_MQTT_OFFLINE_WINDOW: 'many' },
      'CROSSFADE_MQTT_OFFLINE_WINDOW: mqtt.offlineWindow: must be integer',
    ],
    ['a section that is no section', withLine('ledger: here'), {}, 'crossfade.yaml:9: ledger: must be object'],
    [
      'an unknown section',
      withLine('movements: {}'),
      {},
      'crossfade.yaml:9: movements: unknown key (known are xmpp, mqtt, migration, ledger, admin, webhook, shutdown, mappings, log)',
    ],
    [
      'a word that is none of the allowed',
      withLine('log: { level: loud }'),
      {},
      'crossfade.yaml:9: log.level: must be one of debug, info, warn, error',
    ],
    [
      'both forms of a secret',
      least.replace('secret: example', 'secret: a\n    secretFile: b'),
      {},
      'crossfade.yaml:6: xmpp.component.secret: both secret and secretFile are given (keep one of them)',
    ],
    [
      "the component on the users' domain",
      least.replace('gw.', ''),
      {},
      "crossfade.yaml:5: xmpp.component.domain: is the users' domain (a component needs its own, such as gw.example.com)",
    ],
    [
      'a user of another domain',
      least.replace('secret: example', 'secret: a\n    users: [bot@example.com]'),
      {},
      "crossfade.yaml:7: xmpp.component.users.0: is not on the component's domain (name@gw.example.com)",
    ],
    [
      "a user with the gateway's own account at the broker",
      least.replace('secret: example', 'secret: a\n    users: [bot.1@gw.example.com]'),
      { CROSSFADE_MQTT_USERNAME: 'bot%2E1%40gw%2Eexample%2Ecom' },
      "crossfade.yaml:7: xmpp.component.users.0: would share the gateway's own account at the broker (choose another mqtt.username)",
    ],
    [
      'a user whose name no address can have',
      least.replace('secret: example', `secret: a\n    users: ["b&t@gw.example.com"]`),
      {},
      'crossfade.yaml:7: xmpp.component.users.0: is no address (a list of addresses such as bot@gw.example.com; for a/b write a\\2fb@gw.example.com (XEP-0106))',
    ],
    [
      'a text for legacy clients with a character that no stanza can carry',
      withLine('migration: { legacyLoginText: "moved \\x01" }'),
      {},
      'crossfade.yaml:9: migration.legacyLoginText: does not fit (a text without control characters)',
    ],
    [
      'a resource with a character that no address can have',
      least.replace('  component:', '  attach: { resource: "mq\\x01tt" }\n  component:'),
      {},
      'crossfade.yaml:4: xmpp.attach.resource: does not fit (a short word such as mqtt)',
    ],
    [
      'a domain that is none',
      least.replace('domain: example.com', 'domain: example..com'),
      {},
      'crossfade.yaml:3: xmpp.domain: does not fit (a domain such as example.com)',
    ],
    [
      "the component on the users' domain, in another spelling",
      least.replace('gw.example', 'EXAMPLE'),
      {},
      "crossfade.yaml:5: xmpp.component.domain: is the users' domain (a component needs its own, such as gw.example.com)",
    ],
    [
      'a broker address with a password',
      least.replace('mqtt://', 'mqtt://me:hidden@'),
      {},
      'crossfade.yaml:8: mqtt.url: holds a user name or password (use mqtt.username and mqtt.password or mqtt.passwordFile)',
    ],
    [
      'a webhook that is not HTTP',
      withLine('webhook: { url: "ftp://127.0.0.1/x" }'),
      {},
      'crossfade.yaml:9: webhook.url: does not fit (http://host:port/path or https://…)',
    ],
    [
      'a webhook with a password in its address',
      withLine('webhook: { url: "https://me:hidden@127.0.0.1/x" }'),
      {},
      'crossfade.yaml:9: webhook.url: holds a user name or password (use webhook.secret or webhook.secretFile)',
    ],
    [
      'a webhook secret that no header can carry',
      withLine('webhook: { url: "https://127.0.0.1/x", secret: "schön" }'),
      {},
      'crossfade.yaml:9: webhook.secret: does not fit (printable ASCII)',
    ],
    [
      'a broker address that is none',
      least.replace('mqtt://', 'mqtt://me:hid/den@'),
      {},
      'crossfade.yaml:8: mqtt.url: does not fit (mqtt://host:1883, mqtts://host:8883, ws://host:port/path, wss://… or embedded:)',
    ],
    [
      'a shadow root below the root',
      withLine('  shadowRoot: chat/shadow'),
      {},
      'crossfade.yaml:9: mqtt.shadowRoot: lies at, above or below mqtt.root (such as chat-shadow)',
    ],
    [
      'a root with a wildcard',
      withLine('  root: chat/#'),
      {},
      'crossfade.yaml:9: mqtt.root: does not fit (a topic without wildcards)',
    ],
    [
      'a certificate without key',
      withLine('  certFile: secrets/component'),
      {},
      'crossfade.yaml:7: mqtt.key: is missing (certFile and keyFile go together)',
    ],
    [
      'a port that does not exist',
      withLine('admin: { listen: "127.0.0.1:70000" }'),
      {},
      'crossfade.yaml:9: admin.listen: the port is above 65535 (0 lets the system choose one)',
    ],
    [
      'a short token',
      withLine('admin: { token: short }'),
      {},
      'crossfade.yaml:9: admin.token: must NOT have fewer than 16 characters (at least 16 characters of printable ASCII, without blanks)',
    ],
    [
      'a token that no header can carry',
      withLine('admin: { token: "correct horse battery staple" }'),
      {},
      'crossfade.yaml:9: admin.token: does not fit (at least 16 characters of printable ASCII, without blanks)',
    ],
    ['a list', '- xmpp', {}, 'crossfade.yaml:1: must be a map of sections (start from crossfade.example.yaml)'],
    ['the same key twice', withLine('log: {}\nlog: {}'), {}, 'crossfade.yaml:10: no YAML: Map keys must be unique'],
  ];
  test.each(rows)('%s', (_, text, env, fault) => expect(faultsOf(() => read(text, env))).toEqual([fault]));

  it('if there is no such file', () => {
    const file = join(folder, 'none.yaml');
    const hint = 'start from crossfade.example.yaml';
    expect(faultsOf(() => loadConfig({ file, env: {} }))).toEqual([`${file}: cannot be read (ENOENT) (${hint})`]);
  });

  it('if there is nothing at all, naming the variables that would do', () => {
    expect(faultsOf(() => loadConfig({ env: {} })).map((line) => line.split(':')[0])).toEqual([
      'CROSSFADE_XMPP_DOMAIN',
      'CROSSFADE_XMPP_COMPONENT_DOMAIN',
      'CROSSFADE_XMPP_COMPONENT_SECRET',
      'CROSSFADE_MQTT_URL',
    ]);
  });

  it('without telling a secret', () => {
    const message = faultsOf(() =>
      read(`${least.replace('mqtt://', 'mqtt//me:hidden@')}admin: { token: hidden }\n`),
    ).join();
    expect(message).toContain('mqtt.url');
    expect(message).not.toContain('hidden');
  });
});

test('faults in sections that are not asked for do not matter; those in the asked ones do', () => {
  const file = join(folder, 'broken.yaml');
  const broken = `${least.replace('mqtt://127.0.0.1:1883', 'no url')}  password: "\${NOT_SET}"\nmappings: nonsense\nunheard: of\n`;
  writeFileSync(file, broken.replace('unheard: of\n', ''));
  const { xmpp, ledger } = loadSections({ file, env: {} }, ['xmpp', 'ledger']);
  expect(xmpp.component).toMatchObject({ port: 5347, secret: 'example' });
  expect(ledger.path).toBe(join(folder, 'crossfade.sqlite'));
  const load = () => loadSections({ file, env: {} }, ['xmpp', 'ledger']);
  writeFileSync(file, broken);
  expect(faultsOf(load)).toEqual([expect.stringContaining('unheard: unknown key')]);
  writeFileSync(file, least.replace('secret: example', 'secre: example'));
  expect(faultsOf(load)).toHaveLength(2);
});
