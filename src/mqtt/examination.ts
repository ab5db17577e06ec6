// What a broker does and lets do, tried over short connections of their own: versions, limits, and the rights of the gateway's and of an app's account.

import type { IConnackPacket } from 'mqtt';
import type { Clock } from '../clock.ts';
import { uptimeTopic } from './boot.ts';
import { type Address, connectOnce, type Live } from './connect-once.ts';
import { encodePublish, type ProtocolVersion } from './packet.ts';
import { probeAnonymous } from './probe.ts';

export interface BrokerFacts {
  /** Set if the gateway's account cannot log in; nothing else is known then. */
  fault?: string;
  /** By the broker's word. */
  isRefused?: boolean;
  mqtt5: boolean;
  /** `$SYS/broker/version`, where there is one. */
  version?: string;
  hasUptime: boolean;
  /** Bytes; absent: no limit was named. */
  maximumPacketSize?: number;
  receiveMaximum?: number;
  /** Does it take publishes of anybody? Absent where it does not tell. */
  isOpen?: boolean;
  /** The gateway's account may write and read these. */
  gateway: Record<'in' | 'out' | 'presence', boolean>;
  app?: AppFacts;
}

/** What an app's account may do. */
export interface AppFacts {
  fault?: string;
  readsOwn: boolean;
  readsOthers: boolean;
  writesOwn: boolean;
  /** As another user, or to itself as if it were the gateway: the topics it could write and should not. */
  writesForeign: string[];
}

export interface Examined {
  address: Address;
  root: string;
  /** An app's account; the name is the user level of its topics. */
  app?: { username: string; password: string };
  clock: Clock;
}

/** A user level that no user has: what is published under it harms nobody. */
const nobody = 'crossfade-probe';
/** What is allowed has arrived by then, on any broker that can be worked with. */
const patienceMs = 2_000;
const everything = { in: false, out: false, presence: false };

/** Never rejects. Publishes small messages on channels that do not exist, under the level of nobody and of the app that was named. */
export async function examineBroker({ address, root, app, clock }: Examined): Promise<BrokerFacts> {
  const own = await open(address, clock);
  if ('fault' in own) return { ...own, mqtt5: false, hasUptime: false, gateway: everything };
  try {
    const isOpen = await probeAnonymous(address, root, clock).catch(() => undefined);
    const level = app?.username ?? nobody;
    own.subscribe(
      uptimeTopic,
      '$SYS/broker/version',
      `${root}/${nobody}/#`,
      `${root}/${level}/in/foreign`,
      `${root}/${level}/out/probe`,
    );
    const topics = (['in', 'out', 'presence'] as const).map(
      (kind) => [kind, `${root}/${nobody}/${kind}/probe`] as const,
    );
    for (const [, topic] of topics) own.publish(topic);
    await own.arrival(() => own.has(uptimeTopic) && topics.every(([, topic]) => own.has(topic)));
    const may = Object.fromEntries(topics.map(([kind, topic]) => [kind, own.has(topic)])) as BrokerFacts['gateway'];
    const { maximumPacketSize, receiveMaximum } = own.connack.properties ?? {};
    return {
      mqtt5: own.version === 5,
      version: own.text('$SYS/broker/version'),
      hasUptime: own.has(uptimeTopic),
      ...{ maximumPacketSize, receiveMaximum, isOpen },
      gateway: may,
      ...(app && { app: await examineApp(own, asApp(address, app), { root, level, clock }) }),
    };
  } finally {
    await own.close();
  }
}

/** Without the gateway's certificate: a broker that takes the name from it would see the gateway. */
function asApp({ url, tls }: Address, app: { username: string; password: string }): Address {
  return { url, tls: { ca: tls?.ca }, ...app };
}

/** What must not arrive is sent before what may: once that has come, the other was kept back. */
async function examineApp(
  own: Visit,
  address: Address,
  { root, level, clock }: { root: string; level: string; clock: Clock },
): Promise<AppFacts> {
  const app = await open(address, clock);
  if ('fault' in app)
    // What else it says is about the gateway's own account.
    return {
      ...{ fault: app.isRefused ? 'the broker does not let it in' : app.fault },
      ...{ readsOwn: false, readsOthers: false, writesOwn: false, writesForeign: [] },
    };
  try {
    own.forget();
    app.subscribe(`${root}/${level}/in/#`, `${root}/${nobody}/in/#`, `${root}/+/in/#`);
    await app.subscribed();
    for (const topic of [`${root}/${nobody}/in/probe`, `${root}/${level}/in/probe`]) own.publish(topic);
    await app.arrival(() => app.has(`${root}/${level}/in/probe`));
    own.forget();
    const foreign = [`${root}/${nobody}/out/probe`, `${root}/${nobody}/presence/probe`, `${root}/${level}/in/foreign`];
    const mine = `${root}/${level}/out/probe`;
    for (const topic of [...foreign, mine]) app.publish(topic);
    await own.arrival(() => own.has(mine));
    return {
      readsOwn: app.has(`${root}/${level}/in/probe`),
      readsOthers: app.has(`${root}/${nobody}/in/probe`),
      writesOwn: own.has(mine),
      writesForeign: foreign.filter((topic) => own.has(topic)),
    };
  } finally {
    await app.close();
  }
}

/** One connection, and what has come over it. */
interface Visit {
  readonly version: ProtocolVersion;
  readonly connack: IConnackPacket;
  subscribe(...filters: string[]): void;
  /** All subscriptions are answered. */
  subscribed(): Promise<void>;
  /** QoS 1, an empty object. */
  publish(topic: string): void;
  has(topic: string): boolean;
  text(topic: string): string | undefined;
  forget(): void;
  /** Resolves when it holds, or when patience ends. */
  arrival(holds: () => boolean): Promise<void>;
  close(): Promise<void>;
}

interface Closed {
  fault: string;
  isRefused: boolean;
}

async function open(address: Address, clock: Clock): Promise<Visit | Closed> {
  const visit = await openAs(address, clock, 5);
  return visit === 'try 3.1.1' ? ((await openAs(address, clock, 4)) as Visit | Closed) : visit;
}

function openAs(address: Address, clock: Clock, version: ProtocolVersion): Promise<Visit | Closed | 'try 3.1.1'> {
  const { promise, resolve } = Promise.withResolvers<Visit | Closed | 'try 3.1.1'>();
  const heard = new Map<string, string>();
  let look: () => void = () => {};
  let isClosed = false;
  const session = { clientId: `${nobody}-${Math.floor(clock.random() * 1e9)}`, clean: true };
  const end = connectOnce(address, session, version, clock, {
    onOpen: (live, connack) => resolve(visitOf(live, connack)),
    onPublish(packet, _live, release) {
      heard.set(packet.topic, packet.payload.toString());
      release();
      look();
    },
    onEnd({ reason, opened, refused, refusesFive, hungUp }) {
      isClosed = true;
      look();
      if (!opened) resolve(refusesFive || hungUp ? 'try 3.1.1' : { fault: reason, isRefused: refused });
    },
  });
  const visitOf = ({ client }: Live, connack: IConnackPacket): Visit => {
    let packetId = 100;
    const asked: Promise<unknown>[] = [];
    return {
      version,
      connack,
      subscribe(...filters) {
        asked.push(client.subscribeAsync(filters, { qos: 1 }).catch(() => null));
      },
      subscribed: async () => void (await Promise.all(asked)),
      publish(topic) {
        const packet = encodePublish({ topic, payload: '{}', qos: 1 }, packetId++, version);
        if (packet && !isClosed) client.stream.write(packet);
      },
      has: (topic) => heard.has(topic),
      text: (topic) => heard.get(topic),
      forget: () => heard.clear(),
      arrival(holds) {
        const { promise: done, resolve: tell } = Promise.withResolvers<void>();
        const late = clock.after(patienceMs, tell);
        look = () => (isClosed || holds()) && tell();
        look();
        return done.finally(() => late.cancel());
      },
      close: end,
    };
  };
  return promise;
}
