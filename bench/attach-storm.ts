// What a mass attach costs legacy clients: a client's ping through a real Prosody while all users are attached, window against no window.

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/clock.ts';
import { openLedger } from '../src/ledger/sqlite.ts';
import { silentLog } from '../src/log.ts';
import { GatewayProcess } from '../test/harness/gateway-process.ts';
import { type LegacyClient, legacyClient } from '../test/harness/legacy-client.ts';
import { type Mosquitto, startMosquitto } from '../test/harness/mosquitto.ts';
import { type Prosody, startProsody } from '../test/harness/prosody.ts';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';
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
  window: number;
  seconds: number;
  pings: number;
  medianMs: number;
  p99Ms: number;
}

export const attachStorm: Benchmark = {
  name: 'attach-storm',
  about:
    "1,000 users attached at once through a real Prosody: a legacy client's ping, with the gateway's window and without",
  minutes: 4,
  needs: ['prosody'],
  run: attachStormRun,
};

async function attachStormRun({ runs, tell }: Options): Promise<Result> {
  const stage = await openStage(users, contacts);
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
  const of = (size: number, value: (storm: Storm) => number) =>
    storms.filter(({ window }) => window === size).map(value);
  const ping = (size: number) => of(size, ({ medianMs }) => medianMs);
  const without = ping(unbounded);
  const figures = [
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
  ];
  return { figures, rounds: storms };
}

function lineOf({ window, seconds, pings, medianMs, p99Ms }: Storm): string {
  const name = window === unbounded ? 'no window' : `window ${window}`;
  return `${name.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s to attach all, ${pings} pings: median ${medianMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
}

/** Server, broker and accounts; the gateway is started anew for each storm, since the window is read at its start. */
async function openStage(users: number, contacts: number) {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-storm-'));
  const [password, secret] = [randomBytes(12).toString('hex'), randomBytes(12).toString('hex')];
  const names = Array.from({ length: users }, (_, at) => `u${at}`);
  const prosody = await startProsody({
    dir,
    accounts: Object.fromEntries([...names, 'prober'].map((name) => [name, password])),
    components: [{ domain: 'gw.example.com', secret }],
  });
  await writeRosters(dir, names, contacts);
  const mosquitto = await startMosquitto({ accounts: {}, gateway: { username: 'crossfade', password } });
  await mkdir(join(dir, 'gateway'));
  const gateway = new GatewayProcess(join(dir, 'gateway'));
  await seed(join(dir, 'gateway', 'crossfade.sqlite'), names);
  return {
    storm: (size: number) => storm({ prosody, mosquitto, gateway, password, secret, users }, size),
    async close() {
      await gateway.stop();
      await Promise.all([prosody.stop(), mosquitto.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Everybody is subscribed to the next ones of a ring, both ways. */
async function writeRosters(dir: string, names: string[], contacts: number): Promise<void> {
  const folder = join(dir, 'data', 'example%2ecom', 'roster');
  await mkdir(folder, { recursive: true });
  for (const [at, name] of names.entries()) {
    const near = Array.from({ length: contacts }, (_, step) => {
      const distance = step < contacts / 2 ? step + 1 : contacts / 2 - step - 1;
      return names[(at + distance + names.length) % names.length];
    });
    const items = near.map((other) => `["${other}@${host}"] = { subscription = "both"; groups = {}; };`);
    await writeFile(join(folder, `${name}.dat`), `return { [false] = { version = 1; }; ${items.join(' ')} };\n`);
  }
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
  prosody: Prosody;
  mosquitto: Mosquitto;
  gateway: GatewayProcess;
  password: string;
  secret: string;
  users: number;
}

async function storm({ prosody, mosquitto, gateway, password, secret, users }: Parts, size: number): Promise<Storm> {
  await gateway.stop();
  await prosody.restart();
  const component = { host: '127.0.0.1', port: prosody.componentPort, domain: 'gw.example.com', secret };
  await gateway.configure({
    xmpp: { domain: host, component },
    mqtt: { url: mosquitto.url, username: 'crossfade', password },
    ledger: { path: './crossfade.sqlite' },
    admin: { listen: '127.0.0.1:0' },
    migration: { attachWindow: size },
  });
  const prober = await legacyClient({ user: 'prober', password, port: prosody.c2sPort });
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
    ...{ window: size, seconds, pings: pings.length, medianMs: median(pings) },
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
