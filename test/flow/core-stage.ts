// A core on a real ledger in memory, between a legacy server and a broker that do what the test says.

import { DatabaseSync } from 'node:sqlite';
import type { Element } from 'ltx';
import type { Clock } from '../../src/clock.ts';
import { Core, type Outside } from '../../src/core.ts';
import type { EntryView, Ledger } from '../../src/ledger/ledger.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { compile } from '../../src/mapping/compile.ts';
import { load } from '../../src/mapping/load.ts';
import { type Metrics, makeMetrics } from '../../src/metrics.ts';
import type { Phase } from '../../src/migration/phase.ts';
import type { LegacyServer } from '../../src/migration/server.ts';
import type { Broker, Publish } from '../../src/mqtt/broker.ts';
import type { Arrival, SendResult } from '../../src/xmpp/session.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { localLedger } from '../ledger/bench.ts';

export const bob = 'bob@example.com';
export const session = 'bob@example.com/mqtt';
export const link = 'gw.example.com/example.com';
const mappings = compile(load([new URL('../../mappings', import.meta.url).pathname]));

export const startsAt = Date.UTC(2026, 5, 1, 12);

export interface CoreStage {
  core: Core;
  ledger: Ledger;
  metrics: Metrics;
  now: number;
  /** What went to the broker, in order. */
  published: Publish[];
  /** What went to the server as the session. */
  sent: string[];
  /** What went to the server from the component's own users. */
  ownSent: string[];
  /** What the server does with that. Default: processed. */
  ownResult: (text: string) => Promise<SendResult>;
  server: { epoch: string; hasArchive: boolean; up: boolean };
  /** Hands a stanza in as the next one on the link; resolves when it is accepted. */
  arrives(stanza: string, arrival?: Partial<Arrival>): Promise<void>;
  /** The gateway starts anew on what is on disk. */
  crashes(): Promise<void>;
  /** The server ends this life of the link: another epoch, no session of ours. */
  restartsServer(): void;
  /** The app publishes on `out/message`; resolves with its PUBACK. */
  says(payload: object, how?: { expiresIn: number }): Promise<void>;
  /** Entries towards the apps, in order. */
  entries(): Promise<EntryView[]>;
  /** The payloads of the user's `in/message`, in order. */
  shown(): Promise<Record<string, unknown>[]>;
  end(): Promise<void>;
}

export interface CoreStageOptions {
  phase?: Phase;
  hasArchive?: boolean;
  /** The user has a session already. */
  isAttached?: boolean;
  /** The resource the server has given the session. */
  jid?: string;
  log?: Log;
  /** Bare JIDs on gw.example.com. */
  ownUsers?: string[];
  ownSubscriptions?: 'ask' | 'accept';
  messagesWaiting?: number;
  expireAfterMs?: number;
  onSend?: (stanza: Element, stage: CoreStage) => void;
}

export async function setCoreStage(options: CoreStageOptions = {}): Promise<CoreStage> {
  const { phase = 'mqtt', hasArchive = true, isAttached = true, jid = session, log = silentLog } = options;
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const metrics = makeMetrics();
  let n = 0;
  const clock: Clock = {
    now: () => stage.now,
    // Patience and retries are short here; what is done every hour is not done at all.
    after(delayMs, task) {
      if (delayMs >= 600_000) return { cancel: () => {} };
      const timer = setTimeout(task, Math.min(delayMs, 20));
      return { cancel: () => clearTimeout(timer) };
    },
    random: () => 0.5,
  };
  const broker = {
    up: true,
    window: 100,
    heardAt: 0,
    maximumPacketSize: 1_000_000,
    reasonCodes: true,
    publish: async (message: Publish) => {
      stage.published.push(message);
      return { kind: 'acked', code: 0 };
    },
  } as unknown as Broker;
  const server = {
    up: true,
    epoch: 'E',
    link,
    hasArchive,
    jidOf: (user: string) => `${user}/mqtt`,
    ...{ lacks: new Set(), stands: () => server.up, mayHold: (epoch: string) => epoch === server.epoch },
    attach: async () => ({ kind: 'attached', jid }),
    show: async () => ({ kind: 'processed' }),
    detach: async () => ({ kind: 'detached', h: 0 }),
    giveBack: async () => ({ kind: 'processed' }),
    observe: async () => ({ kind: 'processed' }),
    unobserve: async () => ({ kind: 'processed' }),
    lock: async () => ({ kind: 'processed' }),
    unlock: async () => ({ kind: 'processed' }),
  } as unknown as LegacyServer & { epoch: string; hasArchive: boolean; up: boolean };
  const outside: Outside = {
    ...{ ledger, broker, server },
    async sendAttached(_, text): Promise<SendResult> {
      stage.sent.push(text);
      const stanza = parseStanza(text);
      if (stanza) options.onSend?.(stanza, stage);
      return { kind: 'processed' };
    },
    ownSession: (own) => ({
      jid: own,
      send(text) {
        stage.ownSent.push(text);
        return stage.ownResult(text);
      },
    }),
  };
  const row = { jid: bob, phase, version: 1, acks: false, changedAt: startsAt };
  const isOpen = phase === 'mqtt' || phase === 'dual';
  const attached = isOpen && isAttached ? JSON.stringify({ jid, epoch: 'E', shown: {} }) : undefined;
  await ledger.do('putUser', { row: { ...row, attached }, mark: isOpen ? 'begin' : undefined });
  await ledger.do('putDevice', { user: bob, client: 'phone', online: true, seenAt: startsAt });
  const stage = {
    ledger,
    metrics,
    server,
    now: startsAt,
    published: [],
    sent: [],
    ownSent: [],
    ownResult: async () => ({ kind: 'processed' }),
    arrives(text, arrival) {
      const stanza = parseStanza(text);
      if (!stanza) throw new Error(`this is no stanza: ${text}`);
      const position = { link, epoch: server.epoch, n: ++n };
      return new Promise((accepted) => {
        stage.core.toMqtt.receive(stanza, { user: bob, seen: false, position, ...arrival }, accepted);
      });
    },
    async crashes() {
      await stage.core.stop(2_000);
      await begin();
    },
    restartsServer() {
      server.epoch += "'";
      n = 0;
      stage.core.linkUp(false);
    },
    says(payload, how) {
      const bytes = Buffer.from(JSON.stringify(payload));
      const message = { topic: 'chat/bob/out/message', payload: bytes, retain: false, ...how };
      return new Promise((accepted) => stage.core.toXmpp.receive(message as never, accepted));
    },
    async entries() {
      return await ledger.do('entries', { lane: 'toMqtt', limit: 1000 });
    },
    async shown() {
      const conversations = await ledger.do('conversations', {});
      const all = await Promise.all(
        conversations
          .filter(({ lane }) => lane === 'toMqtt')
          .map((conversation) => ledger.do('toSend', { ...conversation, after: 0, limit: 1000 })),
      );
      return all
        .flat()
        .sort((one, other) => one.seq - other.seq)
        .map(({ payload }) => JSON.parse(payload));
    },
    async end() {
      await stage.core.stop(2_000);
      await ledger.close();
    },
  } as Omit<CoreStage, 'core'> as CoreStage;
  const settings = {
    ...{
      domain: 'example.com',
      ownUsers: options.ownUsers ?? [],
      ownSubscriptions: options.ownSubscriptions ?? 'ask',
      root: 'chat',
      shadowRoot: 'chat-shadow',
      maxStanzaBytes: 262_144,
      offlineWindow: 500,
      rate: { perSecond: 1000, burst: 1000 },
      messagesWaiting: options.messagesWaiting ?? 50_000,
      expireAfterMs: options.expireAfterMs,
    },
    ...{ deviceDays: 30, brokerHorizonMs: 1_000_000, historyMs: 7 * 86_400_000, version: '0' },
    component: 'gw.example.com',
    ...{ legacyLogin: 'allow' as const, lockText: 'moved', attachWindow: 8 },
  };
  const begin = async () => {
    stage.core = new Core(settings, outside, {
      ...{ mappings, clock, metrics, log },
      fault: (error) => {
        throw error;
      },
    });
    await stage.core.start();
  };
  await begin();
  return stage;
}
