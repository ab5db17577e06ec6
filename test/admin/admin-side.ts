// An admin server with a real ledger, real users, devices, moves and reconcile; only the legacy server behind them is played.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAdmin } from '../../src/admin/server.ts';
import { systemClock } from '../../src/clock.ts';
import type { Draft } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { Devices } from '../../src/migration/devices.ts';
import { Moves } from '../../src/migration/moves.ts';
import { Reconcile } from '../../src/migration/reconcile.ts';
import type { LegacyServer } from '../../src/migration/server.ts';
import { Users } from '../../src/migration/users.ts';
import { prepareBare } from '../../src/xmpp/jid.ts';

export const token = 'a-token-for-tests-only';
/** Stands in every body that the tests hand to the ledger, so that it would be found wherever one slips out. */
export const secretBody = 'nobody-may-read-this';

/** What the played server does when asked to attach `user`; resolves when it answers. */
export type Attach = (user: string) => ReturnType<LegacyServer['attach']>;

export interface AdminSide {
  readonly url: string;
  readonly dir: string;
  readonly users: Users;
  readonly devices: Devices;
  readonly ledger: Awaited<ReturnType<typeof openLedger>>;
  readonly health: { component: boolean; attach: boolean; mqtt: boolean; ledger: boolean };
  /** May be replaced. Default: the session is made at once. */
  attach: Attach;
  /** Writes an entry and resolves to its key. */
  write(draft: Partial<Draft>): Promise<string>;
  close(): Promise<void>;
}

export async function startAdminSide(own: string[] = []): Promise<AdminSide> {
  const dir = mkdtempSync(join(tmpdir(), 'crossfade-admin-'));
  const ledger = await openLedger({ path: join(dir, 'ledger.sqlite'), clock: systemClock, log: silentLog });
  const users = new Users(ledger);
  await users.load(own);
  const devices = new Devices({ clock: systemClock, ledger, log: silentLog, deviceDays: 30 });
  await devices.load();
  const server = playedServer((user) => side.attach(user));
  const deliveries = {
    ...{ published: async () => {}, sessionUp() {}, reopened() {} },
    ...{ arrivals: () => 0, hopeless: async () => {}, ended() {} },
  };
  const reconcile = new Reconcile({ users, devices, server, ledger, deliveries, clock: systemClock, log: silentLog });
  const moves = new Moves({ users, clock: systemClock, domain: 'example.com', poke: (user) => reconcile.poke(user) });
  const health = { component: true, attach: true, mqtt: true, ledger: true };
  const admin = await startAdmin({
    ...{ users, devices, moves, ledger, token },
    metrics: makeMetrics(),
    health: () => health,
    listen: { host: '127.0.0.1', port: 0 },
    version: '0.0.0-test',
    prepare: prepareBare,
    isReserved: (jid) => jid === 'crossfade@example.com',
    log: silentLog,
  });
  const side: AdminSide = {
    ...{ url: admin.url, dir, users, devices, ledger, health },
    attach: async (user) => ({ kind: 'attached', jid: `${user}/mqtt` }),
    async write(draft) {
      const { key, outcome } = ledger.accept((made) => ({ ...plainDraft, payload: secretBody, id: made, ...draft }));
      await outcome;
      return key;
    },
    async close() {
      await admin.close();
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

function playedServer(attach: Attach): LegacyServer {
  return {
    up: true,
    epoch: 'epoch-1',
    link: 'played',
    jidOf: (user) => `${user}/mqtt`,
    attach,
    show: async () => ({ kind: 'processed' }),
    detach: async () => ({ kind: 'detached', h: 0 }),
    giveBack: async () => ({ kind: 'processed' }),
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
