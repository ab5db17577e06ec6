// What a command is to read: a file, or standard input under the name -.

import { readFileSync } from 'node:fs';
import { CliFault, exitCodes } from './exit.ts';

/** Throws a CliFault where it cannot be read. */
export function readInput(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const name = file === '-' ? 'standard input' : file;
    throw new CliFault(exitCodes.usage, `${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
