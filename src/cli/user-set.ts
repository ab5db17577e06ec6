// `crossfade user set`: moves a user to another phase, or back, and waits for the hand-over; or many, with a dry run first.

import { type Command, Option } from 'commander';
import { phases } from '../migration/phase.ts';
import { CliFault, exitCodes } from './exit.ts';
import { Mover } from './mover.ts';
import { asksGateway, clientOf, examples, positive } from './options.ts';
import { note, print, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import type { GatewayOptions } from './settings.ts';
import { targetsOf } from './targets.ts';
import { loginChoices, setLogins } from './user-set-login.ts';
import { moveMany, planMany } from './user-set-many.ts';
import { commandLine, counted } from './words.ts';

export interface SetOptions extends GatewayOptions {
  reason: string;
  file?: string;
  match?: string;
  yes?: boolean;
  legacyLogin?: string;
  /** Unless it is false, we wait. */
  wait?: boolean;
  timeout: number;
  concurrency: number;
  json?: boolean;
}

const phaseWords: Record<string, string> = {
  legacy: 'all on XMPP, as if there were no gateway',
  shadow: 'the gateway watches and compares, nobody notices',
  dual: 'app and legacy client side by side',
  mqtt: 'the app has the conversation',
};
const about = `Moves users to a phase, or back: ${phases.map((phase) => `${phase} (${phaseWords[phase]})`).join(', ')}. The phase counts from the moment the gateway has written it down; the command waits until the hand-over is done, too. The same phase again changes nothing.

Users are named as words, in a file (one JID on each line, # begins a comment), on standard input (-) or by a pattern over the known users, those that were moved once (* any text, ? one character). More than one are only listed, with what would happen, unless --yes is given.`;

export function addUserSet(user: Command): void {
  asksGateway(user.command('set'))
    .argument('<jid...>', 'users, and as the last word the phase (with --legacy-login it may be left out)')
    .usage('[options] JID... [PHASE]')
    .summary('move users to a phase')
    .description(about)
    .requiredOption('--reason <text>', 'why; kept in the audit (required)')
    .option('--file <file>', 'a file with one JID on each line')
    .option('--match <pattern>', 'every known user whose JID fits')
    .addOption(
      new Option(
        '--legacy-login <policy>',
        'what becomes of their legacy clients in phase mqtt, in place of migration.legacyLogin',
      ).choices(loginChoices),
    )
    .option('--yes', 'do it; without, more than one user is only listed')
    .option('--no-wait', 'do not wait until the move is done')
    .option('--wait', 'wait until the move is done (default)')
    .option('--timeout <seconds>', 'how long to wait for each user', positive, 60)
    .option('--concurrency <n>', 'so many moves under way at once', positive, 16)
    .addHelpText(
      'after',
      examples([
        'crossfade user set bob@example.com mqtt --reason "pilot group"',
        'crossfade user set bob@example.com legacy --reason "back: app crashes" --no-wait',
        'crossfade user set mqtt --file cohort.txt --reason "week 2"',
        'crossfade user set bob@example.com --legacy-login deny --reason "phone is stolen"',
        'crossfade user set legacy --match \'*@example.com\' --reason "all back" --yes',
      ]),
    )
    .action(set);
}

async function set(words: string[], options: SetOptions): Promise<void> {
  const { file, match, reason, wait, timeout } = options;
  const isPhase = (word: string) => (phases as readonly string[]).includes(word);
  if (options.legacyLogin !== undefined && !words.some(isPhase)) return steer(words, options);
  const phase = words.at(-1) ?? '';
  const named = words.slice(0, -1);
  if (!isPhase(phase) && named.some(isPhase))
    throw new CliFault(exitCodes.usage, 'the phase is the last word: crossfade user set JID... PHASE');
  if (named.length === 0 && file === undefined && match === undefined)
    throw new CliFault(
      exitCodes.usage,
      'name the users, and as the last word the phase: crossfade user set JID... PHASE',
    );
  const client = clientOf(options);
  const jids = await targetsOf({ words: named, file, match }, client);
  const mover = new Mover(client, { phase, reason, waitMs: wait === false ? 0 : timeout * 1000 });
  if (jids.length === 0) {
    if (options.json) printJson([]);
    throw new CliFault(exitCodes.failed, 'no users were named');
  }
  const { legacyLogin, yes, json } = options;
  if (legacyLogin !== undefined && (jids.length === 1 || yes))
    await setLogins(client, jids, { legacyLogin, reason, json, isQuiet: json });
  if (jids.length === 1) return setOne(mover, jids[0] ?? '', phase, options);
  return options.yes ? moveMany(mover, jids, phase, options) : planMany(mover, jids, phase, options);
}

/** No phase was named: only the legacy clients. */
async function steer(words: string[], options: SetOptions): Promise<void> {
  const { file, match, reason, yes, json, legacyLogin = 'default' } = options;
  const client = clientOf(options);
  const jids = await targetsOf({ words, file, match }, client);
  if (jids.length === 0) throw new CliFault(exitCodes.failed, 'no users were named');
  if (jids.length === 1 || yes) return setLogins(client, jids, { legacyLogin, reason, json });
  if (json) printJson({ legacyLogin, dryRun: true, users: jids });
  else print(`Legacy login would be set to ${legacyLogin} for ${counted(jids.length, 'user')}.`);
  note(`Nothing was changed. To do it:\n  ${commandLine('--yes')}`);
}

async function setOne(mover: Mover, jid: string, phase: string, { wait, json }: SetOptions): Promise<void> {
  const progress = showProgress(() => 'the move goes on in the gateway');
  const ending = await mover
    .move(jid, ({ jid, moving }) => progress.show(`${jid}: ${moving?.from} → ${phase}, ${moving?.step} …`))
    .finally(() => progress.end());
  const { user } = ending;
  if (json) printJson(user);
  if (ending.kind === 'failed') throw new CliFault(exitCodes.failed, ending.text);
  if (ending.kind !== 'moving') return json ? undefined : print(`${user.jid} is in phase ${phase}`);
  const text = `${user.jid} is in phase ${phase}; the hand-over goes on in the gateway (step ${user.moving?.step})`;
  if (wait !== false) throw new CliFault(exitCodes.moving, `${text}; look with \`crossfade user show ${user.jid}\``);
  if (!json) print(text);
}
