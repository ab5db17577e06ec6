// The server configurations of docker-compose.yml on the real servers: they start, and let in who is to be let in.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectAsync, type IClientOptions } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pathFor, root } from '../../scripts/node24.mjs';

const deploy = (name: string) => join(root, 'deploy', name);
const env = { PATH: pathFor(process.execPath) };
const nobody = 65534;
let dir: string;
let children: ChildProcess[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-deploy-'));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'data'));
  children = [];
});

afterEach(async () => {
  await Promise.all(children.map(stop));
  rmSync(dir, { recursive: true });
});

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** Resolves when the server has said so; rejects with all it said if it ends before. */
function untilItSays(child: ChildProcess, sign: RegExp): Promise<string> {
  children.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        said += `${line}\n`;
        if (sign.test(line)) resolve(said);
      });
    }
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`ended with ${code}:\n${said}`)));
  });
}

/** The opening of a component stream (XEP-0114 §3) by hand; resolves with what the server answers to the handshake. */
async function handshake(port: number, domain: string, secret: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  const names = "xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'";
  socket.write(`<?xml version='1.0'?><stream:stream ${names} to='${domain}'>`);
  let answer = '';
  let asked = false;
  for await (const chunk of socket) {
    answer += chunk;
    const id = /<stream:stream[^>]*\bid=['"]([^'"]+)/.exec(answer)?.[1];
    if (id !== undefined && !asked) {
      asked = true;
      socket.write(
        `<handshake>${createHash('sha1')
          .update(id + secret)
          .digest('hex')}</handshake>`,
      );
    }
    if (/<handshake\/>|not-authorized/.test(answer)) break;
  }
  socket.destroy();
  return answer;
}

async function startMosquitto(port: number, password: string): Promise<ChildProcess> {
  cpSync(deploy('acl'), join(dir, 'acl'));
  const config = readFileSync(deploy('mosquitto.conf'), 'utf8')
    .replace('listener 1883', `listener ${port} 127.0.0.1`)
    .replaceAll('/mosquitto/data', join(dir, 'data'))
    .replaceAll('/mosquitto/config', dir);
  writeFileSync(join(dir, 'mosquitto.conf'), config);
  const child = spawn('sh', [deploy('mosquitto-start.sh'), join(dir, 'data'), join(dir, 'mosquitto.conf')], {
    env: { ...env, CROSSFADE_MQTT_PASSWORD: password },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await untilItSays(child, /mosquitto version .* running/);
  // It says so just before its main loop begins, and forgets a SIGTERM that comes in between; whoever is let in is in the loop.
  expect(await login(port, 'crossfade', password)).toBe('in');
  return child;
}

const login = (port: number, username: string, password: string): Promise<string> => {
  const options: IClientOptions = { username, password, reconnectPeriod: 0, protocolVersion: 5 };
  return connectAsync(`mqtt://127.0.0.1:${port}`, options).then(
    async (client) => {
      await client.endAsync();
      return 'in';
    },
    (fault: Error) => fault.message,
  );
};

test("Mosquitto starts with the gateway's password from the environment and lets nobody else in", async () => {
  const port = await freePort();
  await startMosquitto(port, 'first-example');
  expect(await login(port, 'crossfade', 'first-example')).toBe('in');
  expect(await login(port, 'crossfade', 'wrong-example')).toContain('Not authorized');
  expect(await login(port, 'bob', '')).toContain('Not authorized');
});

test("at the next start the gateway's password is the new one, and the apps' accounts are still there", async () => {
  const port = await freePort();
  const first = await startMosquitto(port, 'first-example');
  await stop(first);
  execFileSync('mosquitto_passwd', ['-b', join(dir, 'data', 'passwords'), 'bob', 'app-example'], { env });
  await startMosquitto(port, 'second-example');
  expect(await login(port, 'crossfade', 'first-example')).toContain('Not authorized');
  expect(await login(port, 'crossfade', 'second-example')).toBe('in');
  expect(await login(port, 'bob', 'app-example')).toBe('in');
});

test("an app hears what the gateway publishes for it, and cannot write under another user's name", async () => {
  const port = await freePort();
  const first = await startMosquitto(port, 'gateway-example');
  await stop(first);
  execFileSync('mosquitto_passwd', ['-b', join(dir, 'data', 'passwords'), 'bob', 'app-example'], { env });
  await startMosquitto(port, 'gateway-example');

  const url = `mqtt://127.0.0.1:${port}`;
  const gateway = await connectAsync(url, { username: 'crossfade', password: 'gateway-example' });
  const bob = await connectAsync(url, { username: 'bob', password: 'app-example' });
  const heard: string[] = [];
  const bothWays = new Promise<void>((resolve) => {
    const hear = (topic: string) => {
      heard.push(topic);
      if (heard.includes('chat/bob/in/message') && heard.includes('chat/bob/out/message')) resolve();
    };
    gateway.on('message', hear);
    bob.on('message', hear);
  });
  await gateway.subscribeAsync('chat/+/out/#', { qos: 1 });
  await bob.subscribeAsync(['chat/bob/in/#', 'chat/alice/in/#'], { qos: 1 });
  await bob.publishAsync('chat/alice/out/message', '{}', { qos: 1 });
  await bob.publishAsync('chat/bob/out/message', '{}', { qos: 1 });
  await gateway.publishAsync('chat/alice/in/message', '{}', { qos: 1 });
  await gateway.publishAsync('chat/bob/in/message', '{}', { qos: 1 });
  await bothWays;
  await Promise.all([gateway.endAsync(), bob.endAsync()]);
  expect(heard.sort()).toEqual(['chat/bob/in/message', 'chat/bob/out/message']);
});

test('Prosody starts with the server module and takes the component with the secret from the environment', async () => {
  const [clients, components] = [await freePort(), await freePort()];
  const config = readFileSync(deploy('prosody.cfg.lua'), 'utf8')
    .replaceAll('/var/lib/prosody', join(dir, 'data'))
    .replace('/usr/local/lib/crossfade', join(root, 'server-modules', 'prosody'))
    .replace('component_interfaces = { "*" }', 'interfaces = { "127.0.0.1" }\ncomponent_interfaces = { "127.0.0.1" }')
    .replace('component_ports = { 5347 }', `component_ports = { ${components} }\nc2s_ports = { ${clients} }`);
  const file = join(dir, 'prosody.cfg.lua');
  writeFileSync(file, config);
  const asRoot = process.getuid?.() === 0;
  if (asRoot) chownSync(join(dir, 'data'), nobody, nobody); // Prosody will not run as root, in the container neither
  const child = spawn('prosody', ['--config', file, '-F'], {
    env: { ...env, CROSSFADE_COMPONENT_SECRET: 'component-example' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(asRoot ? { uid: nobody, gid: nobody } : {}),
  });
  // Hosts come before their components, so the module is loaded when the component is.
  const said = await untilItSays(child, /Activated service 'component'/);
  expect(said).not.toMatch(/Unable to load module|Error initializing module/);

  expect(await handshake(components, 'gw.example.com', 'wrong-example')).toContain('not-authorized');
  expect(await handshake(components, 'gw.example.com', 'component-example')).toContain('<handshake/>');
});
