// The benchmark: the gateway, durable, against a bridge of thirty lines that is not; see README.md for what its numbers mean.

import { parseArgs } from 'node:util';
import { processors } from './load.ts';
import { openRig } from './rig.ts';
import { type Direction, type Round, runRound } from './round.ts';
import { type Side, stanzaBytes, users } from './traffic.ts';

const help = `node bench/throughput.ts [options]

Sends ${stanzaBytes}-byte chat messages to ${users} users through the gateway and, in turn, through a bridge of stock
@xmpp/component and mqtt.js without a ledger, over a real Mosquitto. Needs Linux and Mosquitto.

  --runs N         measured runs of each, after one that is discarded (5)
  --messages N     messages per run (50000)
  --direction D    toMqtt, toXmpp or both (both)
  --json           one JSON object instead of tables
  --profile DIR    write CPU profiles of the gateway there (bench/profile.ts reads them)
  --help`;

const sides: Side[] = ['gateway', 'bridge'];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '5' },
      messages: { type: 'string', default: '50000' },
      direction: { type: 'string', default: 'both' },
      json: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  const [runs, messages] = [positive('runs', values.runs), positive('messages', values.messages)];
  const directions: Direction[] = (['toMqtt', 'toXmpp'] as const).filter(
    (d) => values.direction === d || values.direction === 'both',
  );
  if (directions.length === 0) throw new Error('--direction is toMqtt, toXmpp or both');
  const tell = values.json ? () => {} : (round: Round, run: number) => console.log(lineOf(round, run));
  const rig = await openRig({ profileDir: values.profile });
  const rounds: Round[] = [];
  try {
    for (const direction of directions) {
      if (!values.json) console.log(`\n${direction}\n${head}`);
      for (let run = 0; run <= runs; run += 1) {
        // Now the one first, now the other, so that neither has the better half of what the machine does meanwhile.
        for (const side of run % 2 === 0 ? sides : sides.toReversed()) {
          const round = await runRound(rig, side, direction, { tag: `${direction}${side}${run}`, count: messages });
          tell(round, run);
          if (run > 0) rounds.push(round);
        }
      }
    }
  } finally {
    await rig.stop();
  }
  const results = directions.map((direction) => summaryOf(direction, rounds));
  if (values.json)
    console.log(JSON.stringify({ runs, messages, users, stanzaBytes, processors, results, rounds }, null, 2));
  else for (const result of results) console.log(textOf(result));
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} is a positive number`);
  return number;
}

interface Summary {
  direction: Direction;
  /** The gateway's messages per second over the bridge's, each run by itself: the median and the ends. */
  ratio: { median: number; lowest: number; highest: number };
  perSecond: Record<Side, number>;
  cpuUs: Record<Side, number>;
  lost: Record<Side, number>;
  damaged: Record<Side, number>;
}

function summaryOf(direction: Direction, rounds: Round[]): Summary {
  const of = (side: Side) => rounds.filter((round) => round.direction === direction && round.side === side);
  const bridge = of('bridge');
  const ratios = of('gateway').map(({ perSecond }, run) => perSecond / bridge[run]!.perSecond);
  const perSide = (value: (rounds: Round[]) => number) => ({ gateway: value(of('gateway')), bridge: value(bridge) });
  const sum = (field: 'lost' | 'damaged') => perSide((all) => all.reduce((total, round) => total + round[field], 0));
  return {
    direction,
    ratio: { median: median(ratios), lowest: Math.min(...ratios), highest: Math.max(...ratios) },
    perSecond: perSide((all) => Math.round(median(all.map(({ perSecond }) => perSecond)))),
    cpuUs: perSide((all) => median(all.map(({ cpuUs }) => cpuUs.subject))),
    lost: sum('lost'),
    damaged: sum('damaged'),
  };
}

function median(values: number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const columns = [
  'run',
  'side',
  'msg/s',
  'CPU µs',
  'broker',
  'server',
  'apps',
  'RSS MB',
  'loop p50',
  'p99',
  'max',
  'foreign',
  'faults',
];
const head = columns.map((name, at) => pad(name, at)).join('');

function pad(text: string, at: number): string {
  return at === 1 ? `  ${text.padEnd(8)}` : text.padStart(at === 0 ? 4 : 9);
}

function lineOf(round: Round, run: number): string {
  const { side, perSecond, cpuUs, peakRssMb, delayMs, foreign, lost, repeated, late, damaged } = round;
  const faults = Object.entries({ lost, repeated, late, damaged }).filter(([, count]) => count > 0);
  const cells = [
    run === 0 ? '–' : String(run),
    side,
    perSecond.toFixed(0),
    ...[cpuUs.subject, cpuUs.broker, cpuUs.server, cpuUs.app].map((us) => us.toFixed(1)),
    peakRssMb.toFixed(0),
    ...[delayMs.p50, delayMs.p99, delayMs.max].map((ms) => ms.toFixed(1)),
    foreign.toFixed(2),
    ` ${faults.map(([name, count]) => `${count} ${name}`).join(', ') || 'none'}`,
  ];
  return cells.map(pad).join('');
}

function textOf({ direction, ratio, perSecond, cpuUs }: Summary): string {
  const two = (number: number) => number.toFixed(2);
  return (
    `\n${direction}: the gateway reaches ${two(ratio.median)} of the bridge (${two(ratio.lowest)} to ${two(ratio.highest)}), ` +
    `${perSecond.gateway} to ${perSecond.bridge} messages/s; ` +
    `${cpuUs.gateway.toFixed(0)} to ${cpuUs.bridge.toFixed(0)} µs of processor time each.`
  );
}

await main();
