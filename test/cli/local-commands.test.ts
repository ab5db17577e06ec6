// The commands that need no gateway: help, version, check, map, and how `run` refuses a faulty configuration.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeProgram } from '../../src/cli/program.ts';
import { closedPort, crossfade } from './command.ts';

let dir: string;
/** Nobody listens there. */
let port: number;

beforeAll(async () => {
  port = await closedPort();
  dir = mkdtempSync(join(tmpdir(), 'crossfade-cli-'));
  writeFileSync(join(dir, 'crossfade.yaml'), configuration(`127.0.0.1:${port}`));
  writeFileSync(join(dir, 'faulty.yaml'), 'xmpp: { domain: example.com }\nmqtt: { url: "http://nowhere" }\n');
});
afterAll(() => rmSync(dir, { recursive: true }));

function configuration(listen: string): string {
  return `xmpp: { domain: example.com, component: { domain: gw.example.com, secret: not-a-real-one } }
mqtt: { url: "embedded:" }
admin: { listen: "${listen}", token: "configured-for-this-test" }
`;
}

const commands = [[], ['run'], ['user', 'set'], ['map', 'publish']];

test.each(commands.map((command) => ({ command })))(
  'crossfade $command --help has examples and exit codes',
  async ({ command }) => {
    const { code, out, err } = await crossfade([...command, '--help'], { cwd: dir });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^Examples:\n {2}\$ (crossfade|echo)/m);
    expect(out).toMatch(/^Exit codes:\n +0 {2}done$/m);
  },
);

function leavesOf(command: Command, path: string[] = []): { name: string; command: Command }[] {
  const here = { name: path.join(' '), command };
  return command.commands.length === 0
    ? [here]
    : command.commands.flatMap((child) => leavesOf(child, [...path, child.name()]));
}

test.each(leavesOf(makeProgram()))(
  'crossfade $name has a summary, and help with examples and exit codes',
  ({ command }) => {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    expect(command.summary()).not.toBe('');
    expect(help).toMatch(/^Examples:\n(?: {2}\$ .+\n)+\nExit codes:\n/m);
  },
);

test('--version tells the version of the package', async () => {
  expect(await crossfade(['--version'], { cwd: dir })).toEqual({
    code: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    err: '',
  });
});

const misused = [
  { args: [], code: 64, err: 'Usage: crossfade' },
  { args: ['user'], code: 64, err: 'Usage: crossfade user' },
  { args: ['usr'], code: 64, err: "unknown command 'usr'" },
  { args: ['user', 'show'], code: 64, err: "missing required argument 'jid'" },
  { args: ['audit', '--usr', 'x'], code: 64, err: "unknown option '--usr'" },
  { args: ['run', '--config', 'absent.yaml'], code: 78, err: 'absent.yaml: cannot be read (ENOENT)' },
  { args: ['run', '-c', 'faulty.yaml'], code: 78, err: 'faulty.yaml:2: mqtt.url' },
  { args: ['run', '-c', 'faulty.yaml'], code: 78, err: 'faulty.yaml:1: xmpp.component.domain: is missing' },
  { args: ['check', '-c', 'faulty.yaml'], code: 78, err: 'faulty.yaml:2: mqtt.url' },
  { args: ['map', 'stanza', 'absent.xml'], code: 64, err: 'absent.xml cannot be read (ENOENT)' },
];

test.each(misused)('crossfade $args ends with $code and says "$err"', async ({ args, code, err }) => {
  const ended = await crossfade(args, { cwd: dir });
  expect(ended.err).toContain(err);
  expect(ended.err).not.toMatch(/^\s+at /m);
  expect(ended).toMatchObject({ code, out: '' });
});

test('without any configuration, run says where it looked', async () => {
  const { code, err } = await crossfade(['run'], { cwd: '/' });
  expect(code).toBe(78);
  expect(err).toContain('CROSSFADE_MQTT_URL: mqtt.url: is missing');
  expect(err).toContain('There is no crossfade.yaml in this folder: name one with --config.');
});

test('CROSSFADE_CONFIG names the configuration, and --config another', async () => {
  const env = { CROSSFADE_CONFIG: join(dir, 'crossfade.yaml') };
  expect((await crossfade(['check'], { cwd: '/', env })).out).toContain('ok    configuration');
  const { err } = await crossfade(['check', '--config', join(dir, 'faulty.yaml')], { cwd: '/', env });
  expect(err).toContain('faulty.yaml:2: mqtt.url');
});

test('check: valid configuration and mappings, and no gateway running, is fine', async () => {
  const { code, out } = await crossfade(['check'], { cwd: dir });
  expect(code).toBe(0);
  expect(out).toMatch(/^ok {4}configuration: crossfade\.yaml\nok {4}mappings: \d+ files for the channels .*message/);
  expect(out).toContain(`\n-     gateway: none runs at http://127.0.0.1:${port}\n`);
});

test('check: a mistyped variable is a warning with what was meant; one that the file names is not', async () => {
  const file = readFileSync(join(dir, 'crossfade.yaml'), 'utf8');
  writeFileSync(join(dir, 'named.yaml'), `${file}\n# "\${CROSSFADE_MQTT_OWN}"\n`);
  const env = { CROSSFADE_MQTT_BROKER_HORIZN: '10s', CROSSFADE_MQTT_OWN: 'x', CROSSFADE_SOMETHING: 'y' };
  const { code, out } = await crossfade(['check', '--json', '--config', 'named.yaml'], { cwd: dir, env });
  expect(code).toBe(0);
  const { findings } = JSON.parse(out) as { findings: { id: string; level: string; what: string; todo?: string }[] };
  expect(findings.filter(({ id }) => id === 'configuration.variable')).toMatchObject([
    {
      ...{ level: 'warning', what: 'CROSSFADE_MQTT_BROKER_HORIZN is the variable of no key' },
      todo: 'did you mean CROSSFADE_MQTT_BROKER_HORIZON?',
    },
  ]);
});

test('check: what Kubernetes sets in every pod for a Service named crossfade-mqtt is no mistake', async () => {
  const env = {
    CROSSFADE_MQTT_SERVICE_HOST: '10.0.0.1',
    CROSSFADE_MQTT_SERVICE_PORT: '1883',
    CROSSFADE_MQTT_SERVICE_PORT_TLS: '8883',
    CROSSFADE_MQTT_PORT: 'tcp://10.0.0.1:1883',
    CROSSFADE_MQTT_PORT_1883_TCP_ADDR: '10.0.0.1',
    CROSSFADE_ADMIN_PORT: '7400',
  };
  const { out } = await crossfade(['check', '--json'], { cwd: dir, env });
  const { findings } = JSON.parse(out) as { findings: { id: string; what: string }[] };
  const strange = findings.flatMap(({ id, what }) => (id === 'configuration.variable' ? [what] : []));
  expect(strange).toEqual(['CROSSFADE_ADMIN_PORT is the variable of no key']);
});

test('check: a running gateway is asked whether it is ready', async () => {
  let ready = true;
  const gateway = createServer((_, response) => {
    response.writeHead(ready ? 200 : 503, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify({ ready, component: true, attach: ready, mqtt: ready, ledger: true }));
  });
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
  const address = gateway.address() as { port: number };
  const url = `http://127.0.0.1:${address.port}`;
  const good = await crossfade(['check', '--url', url], { cwd: dir });
  ready = false;
  const bad = await crossfade(['check', '--url', url], { cwd: dir });
  const json = await crossfade(['check', '--url', url, '--json'], { cwd: dir });
  gateway.close();
  expect(good).toMatchObject({ code: 0, out: expect.stringContaining(`ok    gateway: ready at ${url}\n`) });
  expect(bad).toMatchObject({
    code: 1,
    out: expect.stringContaining('down: attach, mqtt'),
    err: expect.stringContaining('crossfade: 1 fault: gateway\n'),
  });
  expect(JSON.parse(json.out).findings).toContainEqual(expect.objectContaining({ id: 'gateway', level: 'fault' }));
});

const stanza =
  "<message from='alice@example.com/phone' to='bob@example.com' id='m1' type='chat'><body>Hello &amp; bye</body></message>";

test('map stanza shows what the app would get', async () => {
  const { code, out } = await crossfade(['map', 'stanza'], { cwd: dir, input: stanza });
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({
    channel: 'message',
    qos: 1,
    mapping: 'rfc6121-message',
    payload: { id: 'm1', from: 'alice@example.com/phone', to: 'bob@example.com', type: 'chat', body: 'Hello & bye' },
  });
});

test('map publish shows the stanza, from a file as well', async () => {
  const payload = '{"id":"m1","to":"alice@example.com","body":"a < b","wantsReceipt":true}';
  writeFileSync(join(dir, 'payload.json'), payload);
  const fromFile = await crossfade(['map', 'publish', 'message', 'payload.json'], { cwd: dir });
  const fromInput = await crossfade(['map', 'publish', 'message', '-'], { cwd: dir, input: payload });
  expect(fromFile).toEqual({ code: 0, out: expect.stringContaining('<body>a &lt; b</body>'), err: '' });
  expect(fromFile.out).toContain('urn:xmpp:receipts');
  expect(fromInput).toEqual(fromFile);
});

const unmapped = [
  { args: ['stanza'], input: '<iq/>', err: 'this is not one well-formed <message/>' },
  { args: ['stanza'], input: '<message><body></message>', err: 'this is not one well-formed <message/>' },
  {
    args: ['publish', 'message'],
    input: '{"to":"a@example.com","bodi":"x"}',
    err: "refused (bad-request): there is no field 'bodi'",
  },
  {
    args: ['publish', 'nothing'],
    input: '{"to":"a@example.com"}',
    err: "refused (item-not-found): there is no channel 'nothing'",
  },
  { args: ['publish', 'message'], input: '{"to":', err: 'this is not JSON' },
  { args: ['publish', 'message'], input: '[]', err: 'the payload must be one JSON object' },
];

test.each(unmapped)('map $args of $input says "$err"', async ({ args, input, err }) => {
  const ended = await crossfade(['map', ...args], { cwd: dir, input });
  expect(ended).toMatchObject({ code: 1, out: '', err: expect.stringContaining(err) });
});

test('a faulty mapping stops check with file, line and reason', async () => {
  writeFileSync(join(dir, 'broken.yaml'), 'rfc: "1"\ntitle: T\nfields:\n  body: { pth: body }\n');
  const { code, err } = await crossfade(['map', 'stanza', '-m', dir], { cwd: dir, input: stanza });
  expect(code).toBe(78);
  expect(err).toMatch(/broken\.yaml:4: .*pth/);
});

test.each([
  ['prosody', ['crossfade_components = { "gw.example.com" }', 'component_conflict_resolve = "kick_old"']],
  ['ejabberd', ['component: "gw.example.com"', 'module: ejabberd_service', 's2s_access: crossfade_s2s']],
  ['mosquitto', ['allow_anonymous false', 'pattern write chat/%u/out/#', 'topic write chat-shadow/#']],
])('check --print-config %s prints the lines to paste, and no secret', async (name, lines) => {
  const { code, out } = await crossfade(['check', '--print-config', name], { cwd: dir });
  expect(code).toBe(0);
  for (const line of lines) expect(out).toContain(line);
  expect(out).not.toMatch(/not-a-real|CROSSFADE_/);
});
