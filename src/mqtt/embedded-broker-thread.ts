// The thread of the embedded broker: aedes with accounts, the access rules of apps, and `$SYS/broker/uptime`.

import { timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes';
import { mayRead, mayWrite } from './access.ts';
import { uptimeTopic } from './boot.ts';
import type { ThreadMessage, ThreadOptions } from './embedded-broker.ts';

const { port, host, root, gateway, accounts } = workerData as ThreadOptions;
const uptimeEveryMs = 1000;
const startedAt = Date.now();
const usernames = new WeakMap<Client, string>();

const tell = (message: ThreadMessage) => parentPort?.postMessage(message);

const broker = await Aedes.createBroker({
  authenticate(client, username, password, done) {
    const expected = username === gateway.username ? gateway.password : ownAccount(username ?? '');
    if (username === undefined || expected === undefined || !isSame(password, expected))
      return done(Object.assign(new Error('bad user name or password'), { returnCode: 4 }) as AuthenticateError, null);
    usernames.set(client, username);
    done(null, true);
  },
  authorizePublish(client, packet, done) {
    const username = client ? nameOf(client) : gateway.username;
    if (username === gateway.username || mayWrite(root, username, packet.topic)) return done(null);
    tell({ kind: 'denied', username, topic: packet.topic });
    done(new Error('not allowed'));
  },
  // as Mosquitto's acl_file: any subscription is granted, what it delivers is filtered
  authorizeForward(client, packet) {
    const username = nameOf(client);
    return username === gateway.username || mayRead(root, username, packet.topic) ? packet : null;
  },
});

const server = createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
});
server.on('error', (error) => tell({ kind: 'failed', reason: error.message }));
server.listen(port, host, () => tell({ kind: 'listening', port: (server.address() as AddressInfo).port }));

setInterval(() => {
  const seconds = Math.floor((Date.now() - startedAt) / 1000);
  const packet = {
    cmd: 'publish',
    topic: uptimeTopic,
    payload: `${seconds} seconds`,
    qos: 0,
    retain: true,
    dup: false,
  };
  broker.publish(packet as PublishPacket, () => {});
}, uptimeEveryMs);

function nameOf(client: Client): string {
  return usernames.get(client) ?? '';
}

function ownAccount(username: string): string | undefined {
  return Object.hasOwn(accounts, username) ? accounts[username] : undefined;
}

function isSame(given: Readonly<Buffer> | undefined, expected: string): boolean {
  const wanted = Buffer.from(expected);
  return given !== undefined && given.length === wanted.length && timingSafeEqual(given as Buffer, wanted);
}
