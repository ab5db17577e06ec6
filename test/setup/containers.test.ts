// The container files by rules, as no container engine can be assumed; the servers' configurations on the real servers.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

interface Service {
  image?: string;
  build?: string | { context: string; dockerfile: string };
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number };
  depends_on?: Record<string, { condition: string }>;
}

const compose: { services: Record<string, Service>; volumes: Record<string, unknown> } = parse(
  read('docker-compose.yml'),
);
const services = Object.entries(compose.services).map(([name, service]) => ({ name, service }));
const secretName = /SECRET|PASSWORD|TOKEN|KEY/i;

test('docker-compose.yml has the legacy server, the broker and the gateway', () => {
  expect(Object.keys(compose.services).sort()).toEqual(['crossfade', 'mosquitto', 'prosody']);
});

describe.each(services)('service $name', ({ service }) => {
  test('comes from a Dockerfile that exists or from an image pinned to a major version', () => {
    if (service.image === undefined) {
      const file = typeof service.build === 'object' ? service.build.dockerfile : 'Dockerfile';
      expect(read(file)).toContain('FROM ');
    } else expect(service.image).toMatch(/:\d+(\.|$)/);
  });

  test('has a health check with all its times', () => {
    expect(service.healthcheck).toMatchObject({
      test: [expect.stringMatching(/^CMD(-SHELL)?$/), ...(service.healthcheck?.test.slice(1) ?? [])],
      interval: expect.stringMatching(/^\d+s$/),
      timeout: expect.stringMatching(/^\d+s$/),
      retries: expect.any(Number),
    });
  });

  test('takes every secret from the environment and does not start without it', () => {
    const secrets = Object.entries(service.environment ?? {}).filter(([name]) => secretName.test(name));
    expect(secrets.length).toBeGreaterThan(0);
    for (const [name, value] of secrets) expect(value).toMatch(new RegExp(`^\\$\\{${name}:\\?.+\\}$`));
  });

  test("opens ports on the machine's loopback address only", () => {
    expect(service.ports?.filter((port) => !/^127\.0\.0\.1:\d+:\d+$/.test(port))).toEqual([]);
  });

  test('keeps its data in a declared volume, and mounts only files that exist, read-only', () => {
    const mounts = service.volumes ?? [];
    const named = mounts.filter((mount) => !mount.startsWith('./')).map((mount) => mount.split(':')[0] ?? '');
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !(name in compose.volumes))).toEqual([]);
    for (const mount of mounts.filter((each) => each.startsWith('./'))) {
      const [source = '', , mode] = mount.split(':');
      expect(mode).toBe('ro');
      expect(() => readFileSync(new URL(`../../${source}`, import.meta.url))).not.toThrow(/ENOENT/);
    }
  });

  test('waits only for services that exist, until they are healthy', () => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services).toHaveProperty(name);
      expect(condition).toBe('service_healthy');
    }
  });
});

test('the gateway waits for both servers', () => {
  expect(Object.keys(compose.services.crossfade?.depends_on ?? {}).sort()).toEqual(['mosquitto', 'prosody']);
});

const mounted = ['deploy/crossfade.yaml', 'deploy/mosquitto.conf', 'deploy/acl', 'deploy/prosody.cfg.lua'];

test.each(mounted)('%s names no secret but by its variable', (path) => {
  const lines = read(path).split('\n');
  const settings = lines.filter((line) => /^\s*[\w-]*(secret|password|token)\w*\s*[:=]/i.test(line));
  expect(settings.filter((line) => !/ENV_\w+|"\$\{\w+\}"/.test(line))).toEqual([]);
});

describe.each(['Dockerfile', 'deploy/prosody.Dockerfile'])('%s', (path) => {
  const text = read(path);
  const lines = text.split('\n').map((line) => line.trim());
  const lastStage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
  const users = lastStage.filter((line) => line.startsWith('USER '));

  test('the linter finds nothing', () => {
    expect(validate(text).map(({ range, message }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  test('every image is pinned to a major version', () => {
    const images = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1]);
    expect(images.filter((image) => !/:\d+/.test(image ?? ''))).toEqual([]);
  });

  test('it ends as a user that is not root', () => {
    expect(users.at(-1)).toMatch(/^USER (?!root\b|0\b)\S+$/);
  });

  test('it has a health check, an entry point and a volume', () => {
    for (const word of ['HEALTHCHECK', 'ENTRYPOINT', 'VOLUME']) {
      expect(lastStage.filter((line) => line.startsWith(`${word} `))).toHaveLength(1);
    }
  });

  test('no secret goes into the image', () => {
    expect(lines.filter((line) => /^(ARG|ENV) /.test(line) && secretName.test(line))).toEqual([]);
  });
});

test('the image is built from a list of what may go in, and every COPY from outside is on it', () => {
  const [first, ...rules] = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  expect(first).toBe('*');
  expect(rules.every((rule) => rule.startsWith('!'))).toBe(true);
  for (const path of ['package.json', 'package-lock.json', '.npmrc', 'src', 'tsconfig.build.json', 'scripts']) {
    expect(rules).toContain(`!${path}`);
  }
});

test("the gateway's configuration is valid, and comes from the environment where it is secret", () => {
  const env = { CROSSFADE_COMPONENT_SECRET: 'component-example', CROSSFADE_MQTT_PASSWORD: 'mqtt-example' };
  const config = loadConfig({ file: fileURLToPath(new URL('../../deploy/crossfade.yaml', import.meta.url)), env });
  expect(config.xmpp.component).toMatchObject({ host: 'prosody', port: 5347, secret: 'component-example' });
  expect(config.mqtt).toMatchObject({ url: 'mqtt://mosquitto:1883', password: 'mqtt-example', brokerHorizon: 10_000 });
  expect(config.ledger.path).toBe('/data/crossfade.sqlite');
});
