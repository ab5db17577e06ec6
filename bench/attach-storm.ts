// What a mass attach costs legacy clients: a client's ping through each real server while all users are attached, window against no window.

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/clock.ts';
import { openLedger } from '../src/ledger/sqlite.ts';
import { silentLog } from '../src/log.ts';
import { GatewayProcess } from '../test/harness/gateway-process.ts';
import { type LegacyClient, legacyClient } from '../test/harness/legacy-client.ts';
import type { LegacyServer, ServerKind } from '../test/harness/legacy-server.ts';
import { type Mosquitto, startMosquitto } from '../test/harness/mosquitto.ts';
import { servers } from '../test/harness/servers.ts';
import { type Benchmark, type Figure, figure, type Options, type Result } from './benchmark.ts';
import { median, quantile } from './statistics.ts';

const host = 'example.com';
/** Moved users, and contacts of each, all of them moved as well. */
const [users, contacts] = [1000, 20];
const unbounded = 10_000;
/** As migration.attachWindow is by default. */
const window = 2;
/** Between an answer and the next ping (ms). */
const pauseMs = 5;

interface Storm {
  server: string;
  window: number;
  seconds: number;
  pings: number;
  medianMs: number;
  p99Ms: number;
}

export const attachStorm: Benchmark = {
  name: 'attach-storm',
  about:
    "1,000 users attached at once through a real Prosody, then a real ejabberd: a legacy client's ping, with the gateway's window and without",
  minutes: 8,
  needs: ['prosody', 'ejabberd', 'erlang-base'],
  run: attachStormRun,
};

async function attachStormRun({ server, ...options }: Options): Promise<Result> {
  const results: Result[] = [];
  for (const kind of servers)
    if (server === undefined || kind.name === server) results.push(await runOn(kind, options));
  return { figures: results.flatMap(({ figures }) => figures), rounds: results.flatMap(({ rounds }) => rounds) };
}

async function runOn(kind: ServerKind, { runs, tell }: Options): Promise<Result> {
  const stage = await openStage(kind);
  const storms: Storm[] = [];
  try {
    for (let run = 0; run < runs; run += 1) {
      for (const size of run % 2 === 0 ? [window, unbounded] : [unbounded, window]) {
        const storm = await stage.storm(size);
        storms.push(storm);
        tell(lineOf(storm));
      }
    }
  } finally {
    await stage.close();
  }
  return { figures: figuresOf(kind.name, storms), rounds: storms };
}

function figuresOf(server: string, storms: Storm[]): Figure[] {
  const of = (size: number, value: (storm: Storm) => number) =>
    storms.filter(({ window }) => window === size).map(value);
  const ping = (size: number) => of(size, ({ medianMs }) => medianMs);
  const without = ping(unbounded);
  return [
    figure('ping, with the window', 'ms', ping(window)),
    figure('ping, without', 'ms', without),
    figure(
      'with / without',
      '×',
      ping(window).map((ms, run) => ms / without[run]!),
    ),
    figure(
      'p99 of the ping, with the window',
      'ms',
      of(window, ({ p99Ms }) => p99Ms),
    ),
    figure(
      'all attached after, with the window',
      's',
      of(window, ({ seconds }) => seconds),
    ),
  ].map((one) => ({ ...one, name: `${server}: ${one.name}` }));
}

function lineOf({ server, window, seconds, pings, medianMs, p99Ms }: Storm): string {
  const name = window === unbounded ? 'no window' : `window ${window}`;
  return `${server.padEnd(8)} ${name.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s to attach all, ${pings} pings: median ${medianMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
}

/** Server, broker and accounts; the gateway is started anew for each storm, since the window is read at its start. */
async function openStage(kind: ServerKind) {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-storm-'));
  const [password, secret] = [randomBytes(12).toString('hex'), randomBytes(12).toString('hex')];
  const names = Array.from({ length: users }, (_, at) => `u${at}`);
  const server = await kind.start({
    dir,
    accounts: Object.fromEntries([...names, 'prober'].map((name) => [name, password])),
    contacts: contactsOf(names),
    components: [{ domain: 'gw.example.com', secret }],
  });
  const mosquitto = await startMosquitto({ accounts: {}, gateway: { username: 'crossfade', password } });
  await mkdir(join(dir, 'gateway'));
  const gateway = new GatewayProcess(join(dir, 'gateway'));
  await seed(join(dir, 'gateway', 'crossfade.sqlite'), names);
  return {
    storm: (size: number) => storm({ kind, server, mosquitto, gateway, password, secret }, size),
    async close() {
      await gateway.stop();
      await Promise.all([server.stop(), mosquitto.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Everybody is subscribed to the next ones of a ring, both ways. */
function contactsOf(names: string[]): Record<string, string[]> {
  const near = (at: number) =>
    Array.from({ length: contacts }, (_, step) => {
      const distance = step < contacts / 2 ? step + 1 : contacts / 2 - step - 1;
      return names[(at + distance + names.length) % names.length]!;
    });
  return Object.fromEntries(names.map((name, at) => [name, near(at)]));
}

/** Users that were moved long ago. */
async function seed(path: string, names: string[]): Promise<void> {
  const ledger = await openLedger({ path, clock: systemClock, log: silentLog });
  const rows = names.map((name) => ({
    jid: `${name}@${host}`,
    phase: 'mqtt',
    version: 1,
    acks: false,
    changedAt: Date.now(),
  }));
  await Promise.all(rows.map((row) => ledger.do('putUser', { row })));
  await ledger.close();
}

interface Parts {
  kind: ServerKind;
  server: LegacyServer;
  mosquitto: Mosquitto;
  gateway: GatewayProcess;
  password: string;
  secret: string;
}

async function storm(parts: Parts, size: number): Promise<Storm> {
  const { kind, server, mosquitto, gateway, password, secret } = parts;
  await gateway.stop();
  await server.restart();
  const component = { host: '127.0.0.1', port: server.componentPort, domain: 'gw.example.com', secret };
  await gateway.configure({
    xmpp: { domain: host, component },
    mqtt: { url: mosquitto.url, username: 'crossfade', password },
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
    migration: { attachWindow: size },
  });
  const prober = await legacyClient({ user: 'prober', password, port: server.c2sPort });
  const from = gateway.log.items.length;
  await gateway.start('component.online');
  const isAttached = ({ event }: { event: string }) => event === 'user.attached';
  await gateway.log.until((lines) => lines.slice(from).find(isAttached), 'the first session', 60_000);
  const begun = performance.now();
  const all = gateway.log.until(
    (lines) => (lines.slice(from).filter(isAttached).length >= users ? true : undefined),
    'all sessions',
    300_000,
  );
  const pings = await pingUntil(prober, all);
  const seconds = (performance.now() - begun) / 1000;
  await prober.stop();
  return {
    ...{ server: kind.name, window: size, seconds, pings: pings.length, medianMs: median(pings) },
    p99Ms: quantile(pings, 0.99),
  };
}

/** One after the other, with a short rest, as long as the promise is open; in ms. */
async function pingUntil(client: LegacyClient, done: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const ended = done.finally(() => {
    isOver = true;
  });
  const times: number[] = [];
  while (!isOver) {
    const sent = performance.now();
    await client.iq(`<iq type='get' to='${host}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    times.push(performance.now() - sent);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await ended;
  return times;
}
