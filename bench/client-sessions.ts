// What 2,000 client sessions cost (attach: client): memory of this process for each, and how fast they are made and found again, on a real Prosody.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '../src/clock.ts';
import { memoryIn } from '../src/gateway-xmpp.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openLedger } from '../src/ledger/sqlite.ts';
import { silentLog } from '../src/log.ts';
import { ClientLink } from '../src/xmpp/client-link.ts';
import type { ClientTarget } from '../src/xmpp/client-stream.ts';
import { startProsody } from '../test/harness/prosody.ts';
import { type Benchmark, figure, type Options, type Result } from './benchmark.ts';

const users = 2_000;
const host = 'example.com';
const password = 'a-password';
const presence = '<presence><priority>0</priority></presence>';
const atOnce = 8;
/** Presence of all and buffers come to rest. */
const settleMs = 3_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export const clientSessions: Benchmark = {
  name: 'client-sessions',
  about:
    '2,000 client sessions in one process, on a real Prosody without our module, without TLS and with it: memory of each, logins a second',
  minutes: 8,
  needs: ['prosody'],
  run,
};

interface Round {
  security: string;
  rssKiB: number;
  heapKiB: number;
  madePerSecond: number;
  resumedPerSecond: number;
}

async function run({ tell }: Options): Promise<Result> {
  const names = Array.from({ length: users }, (_, at) => `u${at}`);
  const accounts = Object.fromEntries(names.map((name) => [name, password]));
  const prosody = await startProsody({
    accounts,
    components: [{ domain: 'gw.example.com', secret: 's' }],
    attach: false,
    archive: true,
    tls: true,
  });
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-bench-'));
  const ledger = await openLedger({ path: join(dir, 'ledger.sqlite'), clock: systemClock, log: silentLog });
  const rounds: Round[] = [];
  try {
    const plain: ClientTarget = { host: '127.0.0.1', port: prosody.c2sPort, domain: host, security: 'none' };
    const ca = await readFile(prosody.ca!, 'utf8');
    for (const target of [plain, { ...plain, security: 'starttls' as const, ca }]) {
      const round = await measure(target, ledger, names, tell);
      rounds.push(round);
      tell(JSON.stringify(round));
    }
  } finally {
    await ledger.close();
    await prosody.stop();
    await rm(dir, { recursive: true, force: true });
  }
  const figures = rounds.flatMap(({ security, ...round }) => [
    figure(`memory of a session (RSS), ${security}`, 'KiB', [round.rssKiB]),
    figure(`of that on the heap, ${security}`, 'KiB', [round.heapKiB]),
    figure(`made, ${security}`, '1/s', [round.madePerSecond]),
    figure(`found again after a restart, ${security}`, '1/s', [round.resumedPerSecond]),
  ]);
  return { figures, rounds };
}

/** Made, weighed, left as by a process that ends, and found again by the next. */
async function measure(
  target: ClientTarget,
  ledger: Ledger,
  names: string[],
  tell: (line: string) => void,
): Promise<Round> {
  const first = await linkTo(target, ledger);
  const before = weight();
  const madePerSecond = await attachAll(first, names, tell);
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const after = weight();
  await first.stop();
  const second = await linkTo(target, ledger);
  const resumedPerSecond = await attachAll(second, names, tell);
  await Promise.all(names.map((name) => second.detach(`${name}@${host}/mqtt`)));
  await second.stop();
  const each = (what: 'rss' | 'heapUsed') => Math.round((after[what] - before[what]) / 1024 / names.length);
  return { security: target.security, rssKiB: each('rss'), heapKiB: each('heapUsed'), madePerSecond, resumedPerSecond };
}

async function linkTo(target: ClientTarget, ledger: Ledger): Promise<ClientLink> {
  const link = new ClientLink({
    ...{ target, resource: 'mqtt', perSecond: 10_000, archiveEveryMs: 300_000, limits: {}, memory: memoryIn(ledger) },
    ...{ clock: systemClock, log: silentLog },
    credentialOf: async () => ({ kind: 'found', credential: { password } }),
  });
  link.onStanza = (_stanza, _arrival, accepted) => accepted();
  link.onMissed = (_user, accepted) => accepted();
  await new Promise<void>((resolve) => {
    link.onUp = () => resolve();
    link.start();
  });
  return link;
}

/** As many at once as reconcile would with a wide window; gives how many in a second. */
async function attachAll(link: ClientLink, names: string[], tell: (line: string) => void): Promise<number> {
  const since = performance.now();
  const rest = [...names];
  let made = 0;
  const one = async () => {
    for (let user = rest.pop(); user !== undefined; user = rest.pop()) {
      const [answer] = await link.attach([{ user, resource: 'mqtt', carbons: true, presence }]);
      if (answer?.kind !== 'attached') throw new Error(`${user}: ${JSON.stringify(answer)}`);
      made += 1;
      if (made % 500 === 0) tell(`${made} sessions after ${((performance.now() - since) / 1000).toFixed(0)} s`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return Math.round((names.length / (performance.now() - since)) * 1000);
}

function weight(): NodeJS.MemoryUsage {
  collect();
  return process.memoryUsage();
}
