// `crossfade user set`: moves a user to another phase, or back, and waits for the hand-over.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type Client, Unreachable } from './client.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples, positive } from './options.ts';
import { note, print, printJson } from './output.ts';
import type { GatewayOptions } from './settings.ts';
import { type UserView, userPath } from './user-view.ts';

const pollMs = 200;

interface Options extends GatewayOptions {
  reason: string;
  /** Unless it is false, we wait. */
  wait?: boolean;
  timeout: number;
  json?: boolean;
}

const about =
  'Moves a user to a phase (legacy or mqtt), or back. The phase counts from the moment the gateway has written it down; the command waits until the hand-over is done, too. The same phase again changes nothing.';

export function addUserSet(user: Command): void {
  asksGateway(user.command('set <jid> <phase>'))
    .summary('move a user to a phase')
    .description(about)
    .requiredOption('--reason <text>', 'why; kept in the audit')
    .option('--no-wait', 'do not wait until the move is done')
    .option('--wait', 'wait until the move is done (default)')
    .option('--timeout <seconds>', 'how long to wait', positive, 60)
    .addHelpText(
      'after',
      examples([
        'crossfade user set bob@example.com mqtt --reason "pilot group"',
        'crossfade user set bob@example.com legacy --reason "back: app crashes" --no-wait',
      ]),
    )
    .action(set);
}

async function set(jid: string, phase: string, options: Options): Promise<void> {
  const client = clientOf(options);
  const waits = options.wait !== false;
  const { body: asked } = await client.put<UserView>(`${userPath(jid)}/phase`, { phase, reason: options.reason });
  const user = waits && asked.moving ? await settled(client, asked, phase, options.timeout) : asked;
  if (options.json) printJson(user);
  if (user.phase !== phase) throw new CliFault(exitCodes.failed, await whyNot(client, user, phase));
  if (!user.moving) return options.json ? undefined : print(`${user.jid} is in phase ${phase}`);
  const text = `${user.jid} is in phase ${phase}; the hand-over goes on in the gateway (step ${user.moving.step})`;
  if (waits) throw new CliFault(exitCodes.moving, `${text}; look with \`crossfade user show ${user.jid}\``);
  if (!options.json) print(text);
}

/** The user when its move has ended, or another has taken its place; or as it is after the time is up. */
async function settled(client: Client, asked: UserView, phase: string, timeoutS: number): Promise<UserView> {
  const progress = showProgress();
  const until = Date.now() + timeoutS * 1000;
  let user = asked;
  try {
    while (user.moving && user.phase === phase && Date.now() < until) {
      progress.step(user);
      await sleep(pollMs);
      user = (await askAgain(client, user.jid)) ?? user;
    }
    return user;
  } finally {
    progress.end();
  }
}

/** A gateway that restarts meanwhile goes on with the move, so we go on waiting. */
async function askAgain(client: Client, jid: string): Promise<UserView | null> {
  try {
    return await client.get<UserView>(userPath(jid));
  } catch (error) {
    if (error instanceof Unreachable) return null;
    throw error;
  }
}

/** One line that changes in place, on a terminal only. Ctrl-C ends the waiting, not the move. */
function showProgress(): { step(user: UserView): void; end(): void } {
  const { stderr } = process;
  const clear = () => (stderr.isTTY ? void stderr.write('\r\x1b[K') : undefined);
  const interrupted = () => {
    clear();
    note('the move goes on in the gateway');
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  return {
    step({ jid, moving, phase }) {
      if (stderr.isTTY) stderr.write(`\r\x1b[K${jid}: ${moving?.from} → ${phase}, ${moving?.step} …`);
    },
    end() {
      process.off('SIGINT', interrupted);
      clear();
    },
  };
}

interface AuditItem {
  what: string;
  reason?: string;
  detail?: string;
}

/** The move is gone and the phase is not the one asked for. */
async function whyNot(client: Client, user: UserView, phase: string): Promise<string> {
  if (user.moving) return `another move has taken over: ${user.jid} moves to ${user.phase}`;
  const path = `/api/v1/audit?${new URLSearchParams({ user: user.jid, limit: '10' })}`;
  const { items } = await client.get<{ items: AuditItem[] }>(path);
  const last = items.find(({ what }) => what === 'move.failed' || what === 'move.done');
  if (last?.what === 'move.failed') {
    return `${user.jid} could not be moved to ${phase}: ${last.reason ?? 'the audit has no reason'}. The phase is ${user.phase}, as before.`;
  }
  return `another move has taken over: ${user.jid} is in phase ${user.phase}`;
}
