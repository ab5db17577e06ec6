// One user floods, the others talk: how long theirs are under way through the gateway's inner parts, with the flood and without it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../src/clock.ts';
import { Core, type Outside, type Settings } from '../src/core.ts';
import { type OpenLedger, openLedger } from '../src/ledger/sqlite.ts';
import { silentLog } from '../src/log.ts';
import { compile } from '../src/mapping/compile.ts';
import { load } from '../src/mapping/load.ts';
import { makeMetrics } from '../src/metrics.ts';
import type { LegacyServer } from '../src/migration/server.ts';
import type { Broker, Publish } from '../src/mqtt/broker.ts';
import { parseStanza } from '../src/xmpp/xml-reader.ts';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
import { quantile } from './statistics.ts';

const others = 200;
const link = 'gw.example.com/example.com';
const epoch = 'bench';
/** Both ends answer after so long, as over a network. */
const answerMs = 2;
const window = 500;
/** All messages of the others in a second, and for so long. */
const perSecond = 200;
const seconds = 5;
/** The flood comes in pieces, as a socket brings them. */
const floodEveryMs = 10;

/** Who floods and how: by the second, into so many conversations. */
interface Flood {
  name: string;
  direction: 'toMqtt' | 'toXmpp';
  perSecond: number;
  peers: number;
}

/** What a real server hands over to one session is less; what an app may send is refused above its rate. */
const floods: Flood[] = [
  { name: 'toMqtt, into one conversation', direction: 'toMqtt', perSecond: 3_000, peers: 1 },
  { name: 'toMqtt, into 1,000 conversations', direction: 'toMqtt', perSecond: 3_000, peers: 1_000 },
  { name: 'toXmpp, into one conversation', direction: 'toXmpp', perSecond: 3_000, peers: 1 },
  { name: 'toXmpp, into 1,000 conversations', direction: 'toXmpp', perSecond: 3_000, peers: 1_000 },
];

export const fairness: Benchmark = {
  name: 'fairness',
  about:
    "one user's flood of 3,000 messages a second, both directions: how long the messages of 200 others are under way",
  minutes: 4,
  run,
};

async function run({ runs, tell }: Options): Promise<Result> {
  const rounds: Round[] = [];
  for (let at = 0; at <= runs; at += 1) {
    for (const flood of floods) {
      const folder = await mkdtemp(join(tmpdir(), 'crossfade-fairness-'));
      try {
        const stage = await openStage(join(folder, 'crossfade.sqlite'));
        const quiet = await stage.talk(flood.direction);
        const flooded = await stage.talk(flood.direction, flood);
        await stage.close();
        const round = { name: flood.name, quiet: quantiles(quiet), flooded: quantiles(flooded) };
        tell(`${at || '–'}  ${round.name}: p99 ${round.quiet.p99.toFixed(1)} → ${round.flooded.p99.toFixed(1)} ms`);
        if (at > 0) rounds.push(round);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
  }
  const figures = floods.flatMap(({ name }) => {
    const of = rounds.filter((round) => round.name === name);
    return [
      figure(
        `${name}: p99 without`,
        'ms',
        of.map(({ quiet }) => quiet.p99),
      ),
      figure(
        `${name}: p99 with`,
        'ms',
        of.map(({ flooded }) => flooded.p99),
      ),
      figure(
        `${name}: p99 more`,
        'ms',
        of.map(({ quiet, flooded }) => flooded.p99 - quiet.p99),
        { atMost: 100 },
      ),
    ];
  });
  return { figures, rounds };
}

interface Round {
  name: string;
  quiet: { p50: number; p99: number };
  flooded: { p50: number; p99: number };
}

function quantiles(delays: number[]): Round['quiet'] {
  return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
}

interface Stage {
  /** How long each message of the others was under way, from its arrival to the far end, in ms. */
  talk(direction: Flood['direction'], flood?: Flood): Promise<number[]>;
  close(): Promise<void>;
}

const bareOf = (user: number) => `user${user}@example.com`;
const flooder = 'flooder@example.com';

async function openStage(path: string): Promise<Stage> {
  const ledger = await openLedger({ path, clock: systemClock, log: silentLog });
  await seed(ledger);
  const arrived = new Map<string, number>();
  const told = (text: string) => {
    const id = /talk-\d+-\d+/.exec(text)?.[0];
    if (id && !arrived.has(id)) arrived.set(id, performance.now());
  };
  const core = makeCore(ledger, told);
  await core.start();
  core.brokerUp();
  core.brokerBooted(Date.now() - 3_600_000);
  core.linkUp(false);
  while ([...core.users.all()].some((user) => !user.attached || user.attached.pending)) await sleep(20);
  let n = 0;
  let talks = 0;
  const hand = (direction: Flood['direction'], user: string, peer: string, id: string) => {
    if (direction === 'toXmpp') return send(core, user, peer, id);
    const text = `<message from='${peer}/x' to='${user}' type='chat' id='${id}'><body>${'.'.repeat(200)}</body></message>`;
    core.toMqtt.receive(parseStanza(text)!, { user, seen: false, position: { link, epoch, n: ++n } }, () => {});
  };
  return {
    async talk(direction, flood) {
      const tag = `talk-${talks++}`;
      const sentAt: number[] = [];
      const startedAt = performance.now();
      let flooded = 0;
      const pouring = setInterval(() => {
        if (!flood) return;
        const due = ((performance.now() - startedAt) / 1000) * flood.perSecond;
        for (; flooded < due; flooded++)
          hand(direction, flooder, `peer${flooded % flood.peers}@example.com`, `flood${talks}x${flooded}`);
      }, floodEveryMs);
      while (sentAt.length < perSecond * seconds) {
        const due = Math.min(perSecond * seconds, ((performance.now() - startedAt) / 1000) * perSecond);
        for (let at = sentAt.length; at < due; at++) {
          // What is late because the thread was busy was due then all the same.
          sentAt.push(startedAt + (at / perSecond) * 1000);
          hand(direction, bareOf(at % others), 'alice@example.com', `${tag}-${at}`);
        }
        await sleep(1);
      }
      clearInterval(pouring);
      const ids = sentAt.map((_, at) => `${tag}-${at}`);
      while (!ids.every((id) => arrived.has(id))) await sleep(20);
      return ids.map((id, at) => arrived.get(id)! - sentAt[at]!);
    },
    async close() {
      await core.stop(1_000);
      await ledger.close();
    },
  };
}

async function seed(ledger: OpenLedger): Promise<void> {
  const changedAt = Date.now();
  const jids = [flooder, ...Array.from({ length: others }, (_, user) => bareOf(user))];
  await Promise.all(
    jids.flatMap((jid) => [
      ledger.do('putUser', { row: { jid, phase: 'mqtt', version: 1, acks: false, changedAt }, mark: 'begin' }),
      ledger.do('putDevice', { user: jid, client: 'phone', online: true, seenAt: changedAt }),
    ]),
  );
}

function send(core: Core, user: string, to: string, id: string): void {
  const payload = Buffer.from(JSON.stringify({ id, to, type: 'chat', body: '.'.repeat(200) }));
  const topic = `chat/${user.slice(0, user.indexOf('@'))}/out/message`;
  core.toXmpp.receive({ topic, payload, qos: 1, retain: false }, () => {});
}

/** The gateway's inner parts between two ends that take everything; `told` sees what reaches them. */
function makeCore(ledger: OpenLedger, told: (text: string) => void): Core {
  const done = <T>(value: T) => new Promise<T>((resolve) => setTimeout(resolve, answerMs, value));
  const processed = { kind: 'processed' } as const;
  const broker = {
    ...{ up: true, window, reasonCodes: true, maximumPacketSize: 1_000_000, heardAt: Date.now() },
    publish: ({ topic, payload }: Publish) => {
      if (topic.endsWith('/in/message') && payload.includes('"received"')) told(payload);
      return done({ kind: 'acked' as const, code: 0 });
    },
  } satisfies Broker;
  const server = {
    ...{ up: true, epoch, link, hasArchive: false, jidOf: (user: string) => `${user}/mqtt` },
    attach: async (user: string) => ({ kind: 'attached' as const, jid: `${user}/mqtt` }),
    detach: async () => ({ kind: 'detached' as const, h: 0 }),
    ...Object.fromEntries(
      ['show', 'giveBack', 'observe', 'unobserve', 'lock', 'unlock'].map((name) => [name, async () => processed]),
    ),
  } as unknown as LegacyServer;
  const outside: Outside = {
    ...{ ledger, broker, server },
    sendAttached(_, stanza) {
      told(stanza);
      return done(processed);
    },
    ownSession: () => undefined,
  };
  const fault = (error: unknown) => {
    throw error;
  };
  const mappings = compile(load([new URL('../mappings', import.meta.url).pathname]));
  return new Core(settings, outside, { mappings, clock: systemClock, metrics: makeMetrics(), log: silentLog, fault });
}

/** As configured by default. */
const settings: Settings = {
  ...{
    domain: 'example.com',
    component: 'gw.example.com',
    ownUsers: [],
    ownSubscriptions: 'ask',
    root: 'chat',
    shadowRoot: 'chat-shadow',
  },
  ...{ maxStanzaBytes: 262_144, rate: { perSecond: 50, burst: 2000 }, messagesWaiting: 50_000, offlineWindow: 500 },
  ...{ deviceDays: 30, brokerHorizonMs: 3_600_000, historyMs: 7 * 86_400_000, version: '0' },
  ...{ legacyLogin: 'allow', lockText: '', attachWindow: 100 },
};
