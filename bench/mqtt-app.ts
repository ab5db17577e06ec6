// A process: the apps of all users behind one MQTT connection. It counts what comes and publishes what is sent; on a bare
// socket, because a whole client library here would take from the gateway the processor time that is to be measured.

import { once } from 'node:events';
import { connect } from 'node:net';
import { generate } from 'mqtt-packet';
import { encodePubacks, encodePublish } from '../src/mqtt/packet.ts';
import { answerCalls, Counter, now, pace } from './child.ts';
import { Check, isGateway, type Load, localOf, payloadOf, rootOf, type Side, userOf, users } from './traffic.ts';

/** Publishes that may wait for their PUBACK. */
const window = 1000;
const chunkBytes = 16 * 1024;

const { MQTT_PORT, MQTT_USER, MQTT_PASSWORD = '' } = process.env;
const socket = connect(Number(MQTT_PORT), '127.0.0.1').setNoDelay(true);
const counter = new Counter();
let unread: Buffer = Buffer.alloc(0);
let messages: { packet: Buffer; at: number }[] = [];
let unanswered = 0;
let goOn = () => {};
let packets: Buffer[] = [];
let arrival = Promise.resolve(0);
let sending: Promise<number[]> = Promise.resolve([]);
let load: Load = { tag: '', count: 0 };

/** Cuts what has come into packets; PUBLISHes are acknowledged and kept as they are, to be looked at when the time is taken. */
function read(chunk: Buffer): void {
  unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
  const pubacks: number[] = [];
  const came = now();
  const before = messages.length;
  let at = 0;
  while (unread.length - at >= 2) {
    let length = 0;
    let body = at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = unread[body++];
      if (byte === undefined) break;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (body + length > unread.length) break;
    const header = unread[at]!;
    const packet = unread.subarray(body, body + length);
    at = body + length;
    if (header >> 4 === 4) unanswered -= 1;
    else if (header >> 4 === 3 && header & 0x06) {
      pubacks.push(packet.readUInt16BE(2 + packet.readUInt16BE(0)));
      if (topicOf(packet).endsWith('/in/message')) messages.push({ packet, at: came });
    }
  }
  unread = unread.subarray(at);
  if (pubacks.length > 0) socket.write(encodePubacks(pubacks));
  counter.add(messages.length - before);
  if (unanswered <= window / 2) goOn();
}

function topicOf(packet: Buffer): string {
  return packet.toString('latin1', 2, 2 + packet.readUInt16BE(0));
}

function payloadIn(packet: Buffer): { id: string; body: string } {
  return JSON.parse(packet.toString('utf8', 4 + packet.readUInt16BE(0)));
}

function startCount({ count }: Load): void {
  messages = [];
  arrival = counter.until(count);
}

/** Answers when each was written, if they are evenly spread. */
async function sendAll(): Promise<number[]> {
  const all = packets.splice(0);
  if (load.perSecond !== undefined) {
    return await pace(all.length, load.perSecond, (at) => {
      unanswered += 1;
      socket.write(all[at]!);
    });
  }
  await publishAll(all);
  return [];
}

async function publishAll(all: Buffer[]): Promise<void> {
  for (const packet of all) {
    if (unanswered >= window) await new Promise<void>((resolve) => (goOn = resolve));
    unanswered += 1;
    write(packet);
  }
  flush();
}

let unwritten: Buffer[] = [];
let bytes = 0;
function write(packet: Buffer): void {
  unwritten.push(packet);
  bytes += packet.length;
  if (bytes > chunkBytes || unanswered >= window) flush();
}

function flush(): void {
  if (unwritten.length > 0) socket.write(Buffer.concat(unwritten));
  unwritten = [];
  bytes = 0;
}

const packetIdOf = (at: number) => (at % 60_000) + 1;

answerCalls({
  async open() {
    if (socket.connecting) await once(socket, 'connect');
    socket.write(
      generate({
        cmd: 'connect',
        clientId: 'bench',
        clean: true,
        keepalive: 0,
        username: MQTT_USER,
        password: Buffer.from(MQTT_PASSWORD),
      }),
    );
    await once(socket, 'data');
    // Of one root, and of those below it (`rootOf`).
    const subscriptions = ['chat/+/in/#', 'chat/+/+/in/#'].map((topic) => ({ topic, qos: 1 as const }));
    socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
    await once(socket, 'data');
    socket.on('data', read);
  },
  /** A device of every user is there, as this gateway's apps are. */
  async comeOnline(side: Side) {
    const all = Array.from({ length: users }, (_, user) => ({
      topic: `${rootOf(side)}/${localOf(user)}/presence/bench`,
      at: user,
    }));
    await publishAll(
      all.map(
        ({ topic, at }) =>
          encodePublish({ topic, payload: '{"online":true}', qos: 1, retain: true }, packetIdOf(at), 4)!,
      ),
    );
    while (unanswered > 0) await once(socket, 'data');
  },
  expect: startCount,
  arrived: () => arrival,
  check(load: Load) {
    const check = new Check(load);
    for (const { packet, at } of messages.splice(0)) {
      const { id, body } = payloadIn(packet);
      check.take(id, body, at);
    }
    return check.verdict();
  },
  prepare({ side, load: next }: { side: Side; load: Load }) {
    load = next;
    const level = isGateway(side) ? 'out' : side;
    packets = Array.from({ length: load.count }, (_, at) => {
      const topic = `${rootOf(side)}/${localOf(userOf(load, at))}/${level}/message`;
      return encodePublish({ topic, payload: payloadOf(load, at), qos: 1 }, packetIdOf(at), 4)!;
    });
  },
  blast() {
    const startedAt = now();
    sending = sendAll();
    return startedAt;
  },
  sent: () => sending,
});
