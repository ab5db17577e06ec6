// The parties of the plays: the gateway's broker client, apps, and queues that wait for what they hear.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { systemClock } from '../../src/clock.ts';
import { type Log, silentLog } from '../../src/log.ts';
import type { BrokerUp, Incoming } from '../../src/mqtt/broker.ts';
import { type BrokerClient, type BrokerOptions, connectBroker } from '../../src/mqtt/client.ts';

/** What came in, first to last; `next` waits for it. */
export class Heard<T> {
  readonly all: T[] = [];
  private taken = 0;
  private waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    this.all.push(value);
    const waiter = this.waiting.shift();
    if (waiter) {
      this.taken++;
      waiter(value);
    }
  }

  next(): Promise<T> {
    if (this.taken < this.all.length) return Promise.resolve(this.all[this.taken++]!);
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

export interface HeardMessage extends Incoming {
  accepted: () => void;
}

export interface Gateway {
  broker: BrokerClient;
  messages: Heard<HeardMessage>;
  ups: Heard<BrokerUp>;
  downs: Heard<string>;
  boots: Heard<number>;
  drops: Heard<number>;
  logged: Heard<{ event: string; [field: string]: unknown }>;
}

export const account = { username: 'crossfade', password: 'example-gateway-password' };

let gateways = 0;

/** A gateway's broker client; it accepts what comes at once unless `hold`. */
export function startGateway(url: string, options: Partial<BrokerOptions> & { hold?: boolean } = {}): Gateway {
  const { hold = false, ...rest } = options;
  const [messages, ups, downs] = [new Heard<HeardMessage>(), new Heard<BrokerUp>(), new Heard<string>()];
  const [boots, drops, logged] = [new Heard<number>(), new Heard<number>(), new Heard<{ event: string }>()];
  const keep = (fields: { event: string }) => logged.push(fields);
  const log: Log = { ...silentLog, info: keep, warn: keep, error: keep };
  const broker = connectBroker({
    url,
    ...account,
    // a session of its own: what one test leaves must not reach the next
    clientId: `crossfade-${++gateways}`,
    filters: { out: 'chat/+/out/+', presence: 'chat/+/presence/+' },
    clock: systemClock,
    log,
    onMessage(message, accepted) {
      messages.push({ ...message, accepted });
      if (!hold) accepted();
    },
    onUp: (up) => ups.push(up),
    onDown: (reason) => downs.push(reason),
    onBoot: (bootMs) => boots.push(bootMs),
    onDropped: (count) => drops.push(count),
    ...rest,
  });
  return { broker, messages, ups, downs, boots, drops, logged };
}

export async function startApp(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const defaults: IClientOptions = { username: 'bob', password: 'b', protocolVersion: 5, reconnectPeriod: 0 };
  return await mqtt.connectAsync(url, { ...defaults, ...options }, false);
}

export interface ScriptedConnection {
  socket: Socket;
  clientId: string;
  packets: Heard<Packet>;
  send(packet: Packet): void;
}

/**
 * A broker whose PUBLISHes and PUBACKs the test writes; CONNECT and SUBSCRIBE it answers by itself: with `connack`, with
 * `granted` for each filter, and to the first `hangUps` CONNECTs of MQTT 5 of each client (whatever number its id
 * ends in) by hanging up.
 */
export async function startScriptedBroker(script: { connack?: object; granted?: number; hangUps?: number } = {}) {
  const { connack, granted, hangUps = 0 } = script;
  const asked = new Heard<{ clientId: string; protocolVersion?: number }>();
  const nameOf = (clientId: string) => clientId.replace(/\d+$/, '');
  const isHungUp = (clientId: string) => {
    const same = asked.all.filter((one) => nameOf(one.clientId) === nameOf(clientId));
    return same.filter(({ protocolVersion }) => protocolVersion === 5).length <= hangUps;
  };
  const opened = new Map<string, Heard<ScriptedConnection>>();
  const openedBy = (clientId: string) => {
    const heard = opened.get(clientId) ?? new Heard<ScriptedConnection>();
    opened.set(clientId, heard);
    return heard;
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const protocol = { protocolVersion: 5 };
    const parser = mqttPacket.parser(protocol);
    const send = (packet: Packet) => socket.write(mqttPacket.generate(packet, protocol));
    const connection: ScriptedConnection = { socket, clientId: '', packets: new Heard(), send };
    parser.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connect') {
        const { clientId, protocolVersion = 4 } = packet;
        connection.clientId = clientId;
        protocol.protocolVersion = protocolVersion;
        asked.push({ clientId, protocolVersion });
        if (protocolVersion === 5 && isHungUp(clientId)) socket.end();
        else send({ cmd: 'connack', sessionPresent: false, reasonCode: 0, returnCode: 0, ...connack });
      } else if (packet.cmd === 'subscribe') {
        const codes = packet.subscriptions.map(({ qos }) => granted ?? qos);
        send({ cmd: 'suback', messageId: packet.messageId!, granted: codes });
        openedBy(connection.clientId).push(connection);
      } else {
        connection.packets.push(packet);
      }
    });
    socket.on('data', (chunk) => parser.parse(chunk));
    socket.on('error', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Every CONNECT. */
    asked,
    /** The next connection of this client id, once it has subscribed. */
    connectionOf: (clientId: string) => openedBy(clientId).next(),
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** The next message that the app hears. */
export function nextMessage(app: MqttClient): Promise<{ topic: string; payload: string }> {
  return new Promise((resolve) => {
    app.once('message', (topic, payload) => resolve({ topic, payload: payload.toString() }));
  });
}
