// `npm run demo`: Crossfade shown on real servers – starts all, tells the story, then stays up to be tried by hand.

import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { stay } from './by-hand.ts';
import type { Show } from './cast.ts';
import { Screen, seconds } from './screen.ts';
import { introduce, tell } from './story.ts';
import { Talk } from './talk.ts';
import { verdict } from './verdict.ts';
import { type BrokerKind, DemoFault, World } from './world.ts';

const help = `Usage: npm run demo -- [options]

Starts Prosody, an MQTT broker and Crossfade in a private temporary folder, on free ports of the loopback,
tells a short story on them, checks what it counts, and stays up to be tried by hand. Ctrl-C ends it.

Options:
  --once             end after the story: with 0, or with 1 if a count was wrong
  --broker <which>   mosquitto or embedded (default: Mosquitto if it is installed, else embedded)
  --help             show this

Without colours: NO_COLOR=1 npm run demo`;

const brokers: readonly string[] = ['mosquitto', 'embedded'] satisfies BrokerKind[];

interface Options {
  once: boolean;
  broker: BrokerKind | undefined;
}

/** A string is what to tell instead of starting. */
function readOptions(): Options | { text: string; exitCode: number } {
  try {
    const { values } = parseArgs({
      options: { once: { type: 'boolean' }, broker: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) return { text: help, exitCode: 0 };
    if (values.broker !== undefined && !brokers.includes(values.broker))
      return { text: `--broker is ${brokers.join(' or ')}, not "${values.broker}".`, exitCode: 2 };
    return { once: values.once ?? false, broker: values.broker as BrokerKind | undefined };
  } catch (error) {
    return { text: `${(error as Error).message}\n\n${help}`, exitCode: 2 };
  }
}

/** Resolves to the exit code at the first signal that asks us to end. */
function ended(screen: Screen): Promise<number> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  return new Promise((resolve) => {
    for (const signal of signals) {
      process.on(signal, () => {
        screen.end('Stopping …', true);
        screen.close();
        resolve(128 + constants.signals[signal]);
      });
    }
  });
}

/** Resolves to the exit code. Whatever happens, nothing is left behind. */
async function run(options: Options): Promise<number> {
  const screen = new Screen(process.stdout, process.env);
  const signal = ended(screen);
  const world = await World.make(['alice', 'bob']);
  const played = play(options, { world, screen, talk: new Talk(screen) });
  played.catch(() => {}); // after a signal nobody waits for it
  try {
    return await Promise.race([played, signal]);
  } finally {
    await world.stop();
  }
}

async function play({ once, broker }: Options, show: Show): Promise<number> {
  const { world, screen } = show;
  const startedAt = performance.now();
  screen.progress('starting the XMPP server, the broker and the gateway …');
  await world.start(broker);
  introduce(show, performance.now() - startedAt);
  const cast = await tell(show);
  const { exitCode, text } = verdict(screen.rows);
  screen.end(`${text} The story took ${seconds(performance.now() - startedAt)}.`, exitCode === 0);
  if (once) return exitCode;
  await stay(cast);
  return await new Promise<never>(() => {}); // until a signal
}

/** Where it happened concerns only faults of the program itself. */
function complain(error: unknown): void {
  const fault = error as Error;
  const foreseen = fault.constructor === Error || fault instanceof DemoFault;
  process.stderr.write(`\ndemo: ${foreseen ? fault.message : fault.stack}\n`);
}

const options = readOptions();
if ('text' in options) {
  (options.exitCode === 0 ? process.stdout : process.stderr).write(`${options.text}\n`);
  process.exitCode = options.exitCode;
} else {
  // what is set for a real gateway is not for this one
  for (const name of Object.keys(process.env)) if (name.startsWith('CROSSFADE_')) delete process.env[name];
  try {
    process.exit(await run(options));
  } catch (error) {
    complain(error);
    process.exit(1);
  }
}
