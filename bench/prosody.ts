// Through a real Prosody with the module: what a message costs it with the gateway behind the link, with nothing behind it, and in our Lua.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Benchmark, type Figure, figure, type Options, type Result } from './benchmark.ts';
import { friends, openProsodyRig, owners } from './prosody-rig.ts';
import type { Round } from './round.ts';
import { ratios, type Turn, takeTurns, valuesOf } from './versus.ts';

const count = 5_000;
const shownSources = 12;
const turns: Turn[] = (['gateway', 'bare'] as const).map((side) => ({ side, load: { owners, friends } }));

export const prosody: Benchmark = {
  name: 'prosody',
  about:
    "through a real Prosody: its processor time per message, with the gateway and with a bare end, and our Lua's share",
  minutes: 6,
  needs: ['prosody'],
  run: prosodyRun,
};

async function prosodyRun(options: Options): Promise<Result> {
  const rig = await openProsodyRig();
  try {
    const rounds = await takeTurns({ ...rig, restart: notHere }, turns, count, options);
    const figures = options.directions.flatMap((direction) => {
      const of = (side: string, value: (round: Round) => number) => valuesOf(rounds, side, direction, value);
      const cpu = (round: Round) => round.cpuUs.server;
      const sides = ['gateway', 'bare'];
      return [
        figure(
          `${direction}: Prosody's CPU per message, gateway / bare end`,
          '×',
          ratios(rounds, ['gateway', 'bare'], direction, cpu),
          { atMost: 1.1 },
        ),
        ...sides.map((side) => figure(`${direction}: Prosody's CPU per message, ${side}`, 'µs', of(side, cpu))),
        ...sides.map((side) =>
          figure(
            `${direction}: ${side}`,
            'msg/s',
            of(side, ({ perSecond }) => perSecond),
          ),
        ),
        ...sides.map((side) => figure(`${direction}: lost or damaged, ${side}`, '', of(side, faults), { atMost: 0 })),
      ];
    });
    await rig.stop();
    const profiled = await profile(options);
    return { figures: [...figures, ...profiled.figures], rounds: [...rounds, ...profiled.rounds] };
  } finally {
    await rig.stop();
  }
}

function faults({ lost, damaged, repeated, late }: Round): number {
  return lost + damaged + repeated + late;
}

const notHere = () => Promise.reject(new Error('nothing is started again here'));

/** Apart, because to look at every hundredth instruction makes Prosody slower: only the shares count. */
async function profile(options: Options): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'crossfade-profile-'));
  const file = join(dir, 'spent');
  const script = fileURLToPath(new URL('./lua-profile.lua', import.meta.url));
  const rig = await openProsodyRig({
    env: { LUA_INIT: `@${script}`, CROSSFADE_LUA_PROFILE: file },
    gatewayOnly: true,
  });
  try {
    const figures: Figure[] = [];
    const rounds: unknown[] = [];
    for (const direction of options.directions) {
      const own: number[] = [];
      const called: number[] = [];
      for (let run = 0; run < options.runs; run += 1) {
        const before = await read(file);
        // The one that takeTurns throws away is enough: what is wanted stands in the profile.
        const once = { ...options, runs: 0, directions: [direction], tell: () => {} };
        await takeTurns({ ...rig, restart: notHere }, [turns[0]!], count, once);
        const spent = minus(await read(file), before);
        const all = sum(spent, '');
        own.push((100 * sum(spent, 'own\t')) / all);
        called.push((100 * sum(spent, 'called\t')) / all);
        const sources = [...spent].sort(([, one], [, other]) => other - one).slice(0, shownSources);
        const shares = sources.map(([source, seconds]) => [source, Number(((100 * seconds) / all).toFixed(1))]);
        rounds.push({ direction, run, seconds: all, shares });
        options.tell(
          `${direction}, profiled: ${shares.map((pair) => pair.join(' ').replace('\t', ' ')).join(' %, ')} %`,
        );
      }
      figures.push(
        figure(`${direction}: our Lua's share of Prosody's CPU`, '%', own, { atMost: 20 }),
        figure(`${direction}: Prosody's functions that our Lua calls`, '%', called),
      );
    }
    return { figures, rounds };
  } finally {
    await rig.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Seconds of processor time, by share and source. */
async function read(file: string): Promise<Map<string, number>> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf('\t')), Number(line.slice(line.lastIndexOf('\t')))]),
  );
}

function minus(after: Map<string, number>, before: Map<string, number>): Map<string, number> {
  return new Map([...after].map(([key, seconds]) => [key, seconds - (before.get(key) ?? 0)]));
}

function sum(spent: Map<string, number>, share: string): number {
  return [...spent].reduce((total, [key, seconds]) => total + (key.startsWith(share) ? seconds : 0), 0);
}
