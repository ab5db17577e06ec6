// One run of the fault suite: everybody talks, one fault follows the other, and at the end everything must be there and settled.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Stage, setStage } from '../harness/stage.ts';
import { control, faults, NotMade, pause, type Scene } from './faults.ts';
import { isKept, judge, type Verdict } from './judge.ts';
import { FaultProxy } from './proxy.ts';
import { splitMqtt, splitXmpp } from './splitters.ts';
import { contacts, Talk, users } from './talk.ts';

export interface FaultsRun {
  seed: number;
  count: number;
  /** Only these, by name. */
  only?: readonly string[];
  /** To prove that the suite can fail: a message with these words never reaches the first user's app. */
  loses?: string;
  settlingMs?: number;
  /** The same: amid this fault the ledger's commits lie, and at its end the gateway is killed. */
  lies?: boolean;
  onFault?: (done: number, name: string, recoveredMs: number) => void;
}

export interface Outcome {
  isKept: boolean;
  verdict: Verdict;
  faults: Map<string, Told>;
  /** Faults that could not be made, with the reason: they prove nothing. */
  notMade: string[];
  /** What was not over in the end: entries that wait, what the ledger's account says. Empty: all is settled. */
  unsettled: string[];
}

/** What became of one kind of fault. */
export interface Told {
  /** How often it was made. */
  count: number;
  /** Messages said from its beginning until words went both ways again. */
  said: number;
  /** Of these. */
  lost: number;
  repeated: number;
  disordered: number;
  /** From its end until words went both ways again in every conversation, at most. */
  longestMs: number;
  /** From its end until the last of its messages had ended in the ledger, at most. */
  settledMs: number;
}

/** One fault that was made. */
interface Made {
  name: string;
  /** When it was over, ms since 1970. */
  endedAt: number;
  recoveredMs: number;
}

const patienceMs = 90_000;
const preload = pathToFileURL(fileURLToPath(new URL('./preload.mjs', import.meta.url))).href;

export async function runFaults({ seed, loses, ...rest }: FaultsRun): Promise<Outcome> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-faults-'));
  const controlFile = join(dir, 'control.json');
  await control(controlFile, {});
  const proxies: FaultProxy[] = [];
  const proxy = async (port: number, split: () => ReturnType<typeof splitMqtt>) => {
    const one = await FaultProxy.open(port, split);
    proxies.push(one);
    return one;
  };
  let stage: Stage | undefined;
  try {
    stage = await setStage({
      accounts: [...contacts, ...users],
      legacy: { archive: true },
      // Apps that go on saying what nobody has acknowledged for a minute would be too fast; that limit is tested elsewhere.
      config: { mqtt: { messagesPerSecond: 10_000, messagesBurst: 100_000 } },
      env: { NODE_OPTIONS: `--import=${preload}`, CROSSFADE_FAULTS: controlFile },
      async between(ports) {
        const [link, broker] = [await proxy(ports.component, splitXmpp), await proxy(ports.broker, splitMqtt)];
        return { component: link.port, broker: broker.port };
      },
    });
    const app = await proxy(stage.mosquitto.port, splitMqtt);
    if (loses !== undefined) app.eat((piece, way) => way === 'down' && piece.includes(loses));
    const talk = await Talk.begin(stage, app.port);
    for (const user of users) await stage.gateway.move(`${user}@example.com`, 'mqtt');
    await stage.gateway.logged({ event: 'broker.restarted' });
    const [link, broker] = proxies as [FaultProxy, FaultProxy];
    const between = chance(seed);
    return await play({ stage, talk, link, broker, app, controlFile, between }, rest);
  } finally {
    await stage?.strike();
    for (const one of proxies) await one.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function play(
  scene: Scene,
  { count, only, onFault, settlingMs = patienceMs, lies = false }: Omit<FaultsRun, 'seed' | 'loses'>,
): Promise<Outcome> {
  const { talk, between } = scene;
  const names = only ?? shuffled(Object.keys(faults), between);
  const made: Made[] = [];
  const notMade: string[] = [];
  const notOver: string[] = [];
  talk.start();
  for (let done = 1; done <= count; done++) {
    await pause(between(100, 600));
    // Each once before any comes again.
    const name = names[done <= names.length ? done - 1 : between(0, names.length - 1)]!;
    talk.fault = made.length + 1;
    try {
      await (lies ? lyingCommits(scene) : faults[name]!(scene));
    } catch (error) {
      if (!(error instanceof NotMade)) throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
      notMade.push(`${name}: ${error.message}`);
      continue;
    }
    const endedAt = Date.now();
    const recoveredMs = await talk.recovers().catch((error: Error) => error);
    if (recoveredMs instanceof Error) {
      notOver.push(`${name} is not over: ${recoveredMs.message.split('\n')[0]}`);
      break;
    }
    made.push({ name, endedAt, recoveredMs });
    talk.fault = 0;
    onFault?.(done, name, recoveredMs);
  }
  talk.stop();
  const unsettled = [...notOver, ...(await settles(scene, settlingMs))];
  const verdict = judge(await talk.heard());
  const told = byKind(made, talk, verdict, await ends(scene));
  const isGood = isKept(verdict) && unsettled.length === 0 && notMade.length === 0;
  return { isKept: isGood, verdict, faults: told, notMade, unsettled };
}

/** To prove that the judge finds it: what is acknowledged meanwhile is on no disk, and the broker cannot pass it on before the kill. */
async function lyingCommits({ stage, controlFile }: Scene): Promise<void> {
  process.kill(stage.mosquitto.pid, 'SIGSTOP');
  await control(controlFile, { lies: true });
  await pause(1_500);
  await stage.gateway.kill9();
  await control(controlFile, {});
  process.kill(stage.mosquitto.pid, 'SIGCONT');
  await stage.gateway.start();
}

/** By message, when it ended in the ledger. An id is the body here. */
async function ends({ stage }: Scene): Promise<Map<string, number>> {
  const at = new Map<string, number>();
  for (const user of users)
    for (const { id, endedAt } of await stage.gateway.entries(`${user}@example.com`))
      if (endedAt) at.set(String(id), Date.parse(String(endedAt)));
  return at;
}

function byKind(made: Made[], talk: Talk, verdict: Verdict, endOf: Map<string, number>): Outcome['faults'] {
  const told: Outcome['faults'] = new Map();
  const none = { count: 0, said: 0, lost: 0, repeated: 0, disordered: 0, longestMs: 0, settledMs: 0 };
  for (const { name, recoveredMs } of made) {
    const row = told.get(name) ?? { ...none };
    told.set(name, row);
    row.count++;
    row.longestMs = Math.max(row.longestMs, recoveredMs);
  }
  const now = Date.now();
  for (const [body, { fault }] of talk.during) {
    const one = made[fault - 1];
    if (!one) continue;
    const row = told.get(one.name)!;
    row.said++;
    const end = endOf.get(body);
    // Later than now: its end was noted while the gateway's clock was ahead.
    if (end !== undefined && end <= now) row.settledMs = Math.max(row.settledMs, end - one.endedAt);
  }
  for (const kind of ['lost', 'repeated', 'disordered'] as const) {
    for (const found of verdict[kind]) {
      const one = made[(talk.during.get(found.slice(found.indexOf(': ') + 2))?.fault ?? 0) - 1];
      if (one) told.get(one.name)![kind]++;
    }
  }
  return told;
}

/** Waits until nothing waits, and holds the ledger's account against its rows. */
async function settles({ stage, talk }: Scene, settlingMs: number): Promise<string[]> {
  const { gateway } = stage;
  for (const deadline = Date.now() + settlingMs; ; await pause(200)) {
    const { body } = await gateway.api('GET', '/api/v1/ledger/counts');
    const open = Object.entries(body as Record<string, Record<string, number>>).flatMap(([lane, states]) =>
      ['accepted', 'sent', 'acked', 'parked', 'dead'].flatMap((state) =>
        states[state] ? [`${lane}: ${states[state]} ${state}`] : [],
      ),
    );
    if (open.length === 0 && talk.isAnswered) break;
    if (Date.now() > deadline) return [...open, ...(talk.isAnswered ? [] : ['apps wait for in/ack'])];
  }
  const { body } = await gateway.api('GET', '/api/v1/ledger/verify');
  return body.ok ? [] : [`ledger verify: ${JSON.stringify(body.faults)}`];
}

function shuffled(names: string[], between: Scene['between']): string[] {
  const rest = [...names];
  return names.map(() => rest.splice(between(0, rest.length - 1), 1)[0]!);
}

/** Whole numbers from a seed (mulberry32). */
function chance(seed: number): Scene['between'] {
  let state = seed >>> 0;
  return (low, high) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return low + (((t ^ (t >>> 14)) >>> 0) % (high - low + 1));
  };
}
