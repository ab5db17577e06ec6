// An admin server with a real ledger, real users, devices, moves and reconcile; only the legacy server behind them is played.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAdmin } from '../../src/admin/server.ts';
import { systemClock } from '../../src/clock.ts';
import { AppNotices } from '../../src/flow/app-notices.ts';
import { ByHand } from '../../src/flow/by-hand.ts';
import { Deliver } from '../../src/flow/deliver.ts';
import type { Obstacle, Road, Answer as RoadAnswer } from '../../src/flow/road.ts';
import type { Draft, Entry } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { Devices } from '../../src/migration/devices.ts';
import { Moves } from '../../src/migration/moves.ts';
import { OwnUsers } from '../../src/migration/own-users.ts';
import { Reconcile } from '../../src/migration/reconcile.ts';
import type { GiveBack, LegacyServer } from '../../src/migration/server.ts';
import { type User, Users } from '../../src/migration/users.ts';
import type { Broker } from '../../src/mqtt/broker.ts';
import { encodeUser, makeTopics } from '../../src/mqtt/topic.ts';
import { Report } from '../../src/shadow/report.ts';
import { prepareBare } from '../../src/xmpp/jid.ts';
import { waitUntil } from '../harness/wait-for.ts';

export const token = 'a-token-for-tests-only';
/** Stands in every body that the tests hand to the ledger, so that it would be found wherever one slips out. */
export const secretBody = 'nobody-may-read-this';

/** What the played server does when asked to attach `user`; resolves when it answers. */
export type Attach = (user: string) => ReturnType<LegacyServer['attach']>;

export interface AdminSide {
  readonly url: string;
  readonly dir: string;
  readonly users: Users;
  readonly own: OwnUsers;
  /** What was compared. */
  readonly report: Report;
  readonly devices: Devices;
  readonly ledger: Awaited<ReturnType<typeof openLedger>>;
  readonly health: { component: boolean; attach: boolean; mqtt: boolean; ledger: boolean };
  /** May be replaced. Default: the session is made at once. */
  attach: Attach;
  /** May be replaced. Default: done at once. */
  show: LegacyServer['show'];
  /** What the apps were told, as JSON. */
  readonly published: { topic: string; payload: string }[];
  /** What was handed back, in order. */
  readonly givenBack: GiveBack[];
  /** May be replaced. Default: the server takes it. */
  giveBack: LegacyServer['giveBack'];
  /** What keeps both roads closed. Default: the broker is down. */
  obstacle: Obstacle | null;
  /** Where a road is open. */
  send(entry: Entry): Promise<RoadAnswer>;
  /** Writes an entry and resolves to its key. */
  write(draft: Partial<Draft>): Promise<string>;
  close(): Promise<void>;
}

/** With one user in phase mqtt. */
export async function startMoved(jid: string): Promise<AdminSide> {
  const side = await startAdminSide();
  await move(side.url, jid, { phase: 'mqtt', reason: 'pilot' });
  await waitUntil(() => side.users.get(jid)?.moving === undefined);
  return side;
}

export async function startAdminSide(own: string[] = []): Promise<AdminSide> {
  const dir = mkdtempSync(join(tmpdir(), 'crossfade-admin-'));
  const ledger = await openLedger({ path: join(dir, 'ledger.sqlite'), clock: systemClock, log: silentLog });
  const users = new Users(ledger);
  await users.load({ domain: 'gw.example.com', declared: own });
  const ownUsers = new OwnUsers({
    ...{ domain: 'gw.example.com', subscriptions: 'ask', users, ledger, clock: systemClock },
  });
  await ownUsers.load();
  const devices = new Devices({ clock: systemClock, ledger, log: silentLog, deviceDays: 30 });
  await devices.load();
  const server = playedServer(() => side);
  const deliveries = {
    ...{ isPublishing: () => false, sessionUp() {}, reopened() {} },
    ...{ available() {}, left() {}, hasToSend: () => false, hopeless: async () => {}, ended() {} },
  };
  const policy = { legacyLogin: 'allow', lockText: 'moved', attachWindow: 8 } as const;
  const reconcile = new Reconcile({
    ...{ users, devices, server, ledger, deliveries, ...policy },
    ...{ clock: systemClock, metrics: makeMetrics(), log: silentLog },
  });
  const moves = new Moves({
    users,
    server: { lacks: new Set() },
    clock: systemClock,
    domain: 'example.com',
    poke: (user) => reconcile.poke(user),
  });
  const deliver = new Deliver({
    ...{
      ledger,
      roads: { toMqtt: playedRoad(() => side), toXmpp: playedRoad(() => side) },
      hasDeviceOnline: () => false,
    },
    ...{ clock: systemClock, metrics: makeMetrics(), log: silentLog },
  });
  await deliver.start();
  const topics = makeTopics({ root: 'chat', domain: 'example.com', prepare: prepareBare });
  const notices = new AppNotices({ broker: playedBroker(() => side), topics, clock: systemClock });
  const isWorkedOn = (user: User) => reconcile.workOn(user).kind === 'running';
  const byHand = new ByHand({ ledger, users, server, deliver, notices, isWorkedOn, clock: systemClock });
  const health = { component: true, attach: true, mqtt: true, ledger: true };
  const report = new Report(systemClock.now());
  const admin = await startAdmin({
    ...{
      shadow: { report },
      clock: systemClock,
      examine: async () => [],
      tryQueue: async () => [],
      verifier: new Verifier({ ledger, clock: systemClock }),
      backups: ledger.backups,
    },
    ...{ users, devices, moves, ledger, token, byHand, server },
    workOn: (user) => reconcile.workOn(user),
    holdup: (conversation) => deliver.holdup(conversation),
    metrics: makeMetrics(),
    health: () => health,
    listen: { host: '127.0.0.1', port: 0 },
    version: '0.0.0-test',
    prepare: prepareBare,
    own: ownUsers,
    levelOf: (jid) => encodeUser(jid, 'example.com'),
    isReserved: (jid) => ['crossfade@example.com', 'gateway@gw.example.com'].includes(jid),
    log: silentLog,
  });
  const side: AdminSide = {
    ...{ url: admin.url, dir, users, own: ownUsers, devices, ledger, health, report },
    attach: async (user) => ({ kind: 'attached', jid: `${user}/mqtt` }),
    show: async () => ({ kind: 'processed' }),
    givenBack: [],
    published: [],
    giveBack: async () => ({ kind: 'processed' }),
    obstacle: 'broker-down',
    send: async () => ({ kind: 'delivered' }),
    async write(draft) {
      const { key, outcome } = ledger.accept((made) => ({ ...plainDraft, payload: secretBody, id: made, ...draft }));
      await outcome;
      return key;
    },
    async close() {
      await admin.close();
      await deliver.stop(0);
      reconcile.stop();
      devices.stop();
      await ledger.close();
      rmSync(dir, { recursive: true });
    },
  };
  return side;
}

const plainDraft = {
  lane: 'toMqtt',
  user: 'bob@example.com',
  peer: 'alice@example.com',
  channel: 'message',
  custody: 'sole',
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  topic: 'chat/bob/in/message',
  original: `<message><body>${secretBody}</body></message>`,
  mapping: 'rfc6121-message',
} as const;

const processed = async () => ({ kind: 'processed' }) as const;

function playedServer(side: () => AdminSide): LegacyServer {
  return {
    up: true,
    epoch: 'epoch-1',
    hasArchive: true,
    link: 'played',
    jidOf: (user) => `${user}/mqtt`,
    ...{ lacks: new Set(), stands: () => true, mayHold: () => true },
    attach: (user) => side().attach(user),
    show: (jid, shown) => side().show(jid, shown),
    detach: async () => ({ kind: 'detached', h: 0 }),
    ...{ observe: processed, unobserve: processed, lock: processed, unlock: processed },
    giveBack: async (stanza) => {
      side().givenBack.push(stanza);
      return side().giveBack(stanza);
    },
  };
}

function playedBroker(side: () => AdminSide): Broker {
  return {
    ...{ up: true, window: 10, reasonCodes: true, maximumPacketSize: 100_000, heardAt: 0 },
    async publish({ topic, payload }) {
      side().published.push({ topic, payload });
      return { kind: 'acked', code: 0 };
    },
  };
}

/** Closed, so that nothing is sent and entries stay as the tests have made them. */
function playedRoad(side: () => AdminSide): Road {
  return {
    window: 10,
    mayGo: () => side().obstacle === null,
    obstacle: () => side().obstacle,
    send: (entry, answered) => void side().send(entry).then(answered),
    gaveUp: () => {},
  };
}

export interface Answer {
  status: number;
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the tests then look into
  body: any;
  text: string;
}

/** One request with the token, unless `headers` say otherwise. */
export async function ask(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) };
  const response = await fetch(url + path, { ...init, headers });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  return { status: response.status, type, text, body: /\bjson\b/.test(type) ? JSON.parse(text) : undefined };
}

/** PUT …/phase */
export function move(url: string, jid: string, body: unknown): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const path = `/api/v1/users/${encodeURIComponent(jid)}/phase`;
  return ask(url, path, { method: 'PUT', headers, body: JSON.stringify(body) });
}
