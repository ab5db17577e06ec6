// The lines to paste: they fit the configuration they are made of, and the ones in deploy/ are the same.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { configLines } from '../../src/doctor/print-config.ts';

const deploy = join(import.meta.dirname, '..', '..', 'deploy');
const { xmpp, mqtt } = loadConfig({
  file: join(deploy, 'crossfade.yaml'),
  env: { CROSSFADE_COMPONENT_SECRET: 'not-a-real-secret', CROSSFADE_MQTT_PASSWORD: 'not-a-real-password' },
});
const at = (host: string, port = 5347) => ({ mqtt, xmpp: { ...xmpp, component: { ...xmpp.component, host, port } } });

test.each([
  ['localhost', '127.0.0.1'],
  ['10.1.2.3', '10.1.2.3'],
  ['::1', '::1'],
])('ejabberd listens where the gateway calls %s', (host, ip) => {
  expect([parse(configLines.ejabberd(at(host))).listen[0].ip, isIP(ip) > 0]).toEqual([ip, true]);
});

test('a name that ejabberd would refuse as an address is left to be filled in', () => {
  expect(configLines.ejabberd(at('xmpp.internal'))).toContain('ip: "…" # the address of xmpp.internal');
});

test.each([
  [at('127.0.0.1'), []],
  [at('localhost', 5348), ['component_ports = { 5348 } -- global section']],
  [at('10.1.2.3'), ['component_interfaces = { "10.1.2.3" } -- global section, on no public network']],
  [at('xmpp'), ['component_interfaces = { "…" } -- global section, on no public network: the address of xmpp']],
])('Prosody is told of ports and addresses that are not its own defaults', (config, wanted) => {
  const lines = configLines.prosody(config).split('\n');
  expect(lines.filter((line) => /^component_(ports|interfaces)/.test(line))).toEqual(wanted);
});

/** Without comments and what each place has to say for itself. */
const settings = (text: string, own: RegExp) =>
  text
    .split('\n')
    .map((line) => line.replace(/\s*(#|--)(\s.*|$)/, '').trim())
    .filter((line) => line !== '' && !own.test(line));

test.each([
  ['prosody.cfg.lua', configLines.prosody({ mqtt, xmpp }), /^component_(secret|interfaces)/],
  ['mosquitto.conf', configLines.mosquitto({ mqtt, xmpp }).split('user ')[0] ?? '', /_file /],
  ['acl', `user ${configLines.mosquitto({ mqtt, xmpp }).split('user ')[1]}`, /^$/],
])('deploy/%s says all of it', (file, printed, own) => {
  expect(settings(readFileSync(join(deploy, file), 'utf8'), own)).toEqual(
    expect.arrayContaining(settings(printed, own)),
  );
});

test('with client sessions the module is in none of the lines; ejabberd is told of tokens where they are wanted', () => {
  const clients = (credentials: object, host = 'localhost') => ({
    mqtt,
    xmpp: { ...xmpp, attach: { kind: 'client' as const, resource: 'mqtt' }, client: { credentials, host } as never },
  });
  const file = clients({ file: './credentials' });
  expect(configLines.prosody(file) + configLines.ejabberd(file)).not.toContain('crossfade_attach');
  expect(configLines.prosody(file)).toContain('smacks_max_queue_size = 5000');
  // A module that ejabberd.yml has already, named again for the host, would be refused with the whole file.
  expect(parse(configLines.ejabberd(file))).not.toHaveProperty('append_host_config');
  const modules = parse(
    configLines
      .ejabberd(file)
      .replace(/[\s\S]*# but mod_mam.$/m, '')
      .replace(/^# {3}/gm, ''),
  );
  expect(modules).toMatchObject({
    ...{ mod_mam: { default: 'always' }, mod_carboncopy: {}, mod_stream_mgmt: { resend_on_timeout: 'if_offline' } },
    mod_fail2ban: { access: 'crossfade_gateway' },
  });
  const { acl, access_rules } = parse(configLines.ejabberd(file));
  expect(access_rules.crossfade_gateway).toEqual([{ allow: 'crossfade_gateway' }]);
  expect(acl.crossfade_gateway).toEqual({ ip: '127.0.0.0/8' });
  const far = parse(configLines.ejabberd(clients({ file: './credentials' }, 'xmpp.example.com')));
  expect(far.acl.crossfade_gateway).toEqual({ ip: '…' });
  expect(configLines.ejabberd(file)).not.toContain('oauth');
  const tokens = parse(configLines.ejabberd(clients({ ejabberd: 'http://127.0.0.1:5281/api' })));
  expect(configLines.ejabberd(clients({ ejabberd: 'http://127.0.0.1:5281/api' }))).toContain('#   mod_admin_extra: {}');
  expect(tokens).toMatchObject({
    oauth_access: 'all',
    disable_sasl_mechanisms: ['digest-md5'],
    api_permissions: { 'tokens for Crossfade': { what: ['check_account', 'oauth_issue_token'] } },
  });
});
