// The command line as a whole: all commands, and how each of them ends.

import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { Command, CommanderError } from 'commander';
import { ConfigFault } from '../config/source.ts';
import { MappingFault } from '../mapping/language.ts';
import { addAudit } from './audit.ts';
import { addCheck } from './check.ts';
import { CliFault, exitCodes, exitCodesHelp } from './exit.ts';
import { addLedger } from './ledger.ts';
import { addMap } from './map.ts';
import { examples } from './options.ts';
import { endOnClosedPipe, note } from './output.ts';
import { addRun } from './run.ts';
import { addShadow } from './shadow.ts';
import { printable } from './table.ts';
import { addUser } from './user.ts';

/** All commands, ready to parse. */
export function makeProgram(): Command {
  const program = new Command('crossfade')
    .description('Moves a live XMPP chat to MQTT, one user at a time, without losing a message.')
    .version(version())
    .showHelpAfterError('(--help tells more)')
    .addHelpText(
      'after',
      examples([
        'crossfade run',
        'crossfade user set bob@example.com mqtt --reason "pilot group"',
        'crossfade ledger counts',
      ]),
    );
  for (const add of [addRun, addCheck, addUser, addLedger, addShadow, addAudit, addMap]) add(program);
  everyCommand(program, (command) => command.exitOverride().helpCommand(false).addHelpText('after', exitCodesHelp));
  return program;
}

function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) everyCommand(child, visit);
}

function version(): string {
  return JSON.parse(readFileSync(findPackageJSON('..', import.meta.url) ?? '', 'utf8')).version;
}

/** Runs one command; resolves to the exit code. Errors that are to be expected are told without a stack. */
export async function runCommand(argv: string[]): Promise<number> {
  endOnClosedPipe();
  try {
    await makeProgram().parseAsync(argv);
    return exitCodes.done;
  } catch (error) {
    // Commander has said by itself what was wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    note(`crossfade: ${textOf(error)}`);
    return exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CliFault) return error.exitCode;
  return error instanceof ConfigFault || error instanceof MappingFault ? exitCodes.configuration : exitCodes.failed;
}

function textOf(error: unknown): string {
  const { message } = error as Error;
  return message.split('\n').map(printable).join('\n');
}
