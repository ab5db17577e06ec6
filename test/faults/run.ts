// One run of the fault suite: everybody talks, one fault follows the other, and at the end everything must be there and settled.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Stage, setStage } from '../harness/stage.ts';
import { faults, pause, type Scene } from './faults.ts';
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
  onFault?: (done: number, name: string, recoveredMs: number) => void;
}

export interface Outcome {
  isKept: boolean;
  verdict: Verdict;
  /** By fault: how often, and how long until words went both ways again, at most. */
  faults: Map<string, { count: number; longestMs: number }>;
  /** What was not over in the end: entries that wait, what the ledger's account says. Empty: all is settled. */
  unsettled: string[];
}

const patienceMs = 90_000;
const preload = pathToFileURL(fileURLToPath(new URL('./preload.mjs', import.meta.url))).href;

export async function runFaults({ seed, loses, ...rest }: FaultsRun): Promise<Outcome> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-faults-'));
  const controlFile = join(dir, 'control.json');
  await writeFile(controlFile, '{"clockMs":0,"commitMs":0}');
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
  { count, only, onFault, settlingMs = patienceMs }: Omit<FaultsRun, 'seed' | 'loses'>,
): Promise<Outcome> {
  const { talk, between } = scene;
  const names = only ?? shuffled(Object.keys(faults), between);
  const told: Outcome['faults'] = new Map();
  talk.start();
  for (let done = 1; done <= count; done++) {
    await pause(between(100, 600));
    // Each once before any comes again.
    const name = names[done <= names.length ? done - 1 : between(0, names.length - 1)]!;
    await faults[name]!(scene);
    const recoveredMs = await talk.recovers();
    const before = told.get(name) ?? { count: 0, longestMs: 0 };
    told.set(name, { count: before.count + 1, longestMs: Math.max(before.longestMs, recoveredMs) });
    onFault?.(done, name, recoveredMs);
  }
  talk.stop();
  const unsettled = await settles(scene, settlingMs);
  const verdict = judge(await talk.heard());
  return { isKept: isKept(verdict) && unsettled.length === 0, verdict, faults: told, unsettled };
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
