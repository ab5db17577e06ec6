// The admin token: given in the configuration, or made once and kept in a file beside the ledger, readable by its owner only.

import { randomBytes } from 'node:crypto';
import { closeSync, constants, fchmodSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';

const least = 16;

/** Beside the ledger and named after it, so that two gateways in one folder have two. */
export function tokenFile(ledgerPath: string): string {
  return `${ledgerPath}.token`;
}

/** The token that the gateway answers to; the first call makes it. Throws with a text for the operator. */
export function adminToken({ token, ledgerPath }: { token?: string; ledgerPath: string }): string {
  if (token !== undefined) return token;
  const file = tokenFile(ledgerPath);
  try {
    writeFileSync(file, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw new Error(`the admin token cannot be written: ${message}`, { cause: error });
    closeToOthers(file);
  }
  return readToken(ledgerPath);
}

/** The token of a gateway that has run before. Throws with a text for the operator where there is none to be read. */
export function readToken(ledgerPath: string): string {
  const file = tokenFile(ledgerPath);
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw unreadable(file, error);
  }
  if (token.length < least) {
    throw new Error(
      `${file} holds no admin token: it is shorter than ${least} characters. Remove it, and the next start makes a new one.`,
    );
  }
  return token;
}

/** In a folder where others may write, a file or link that they put there would be a token that they know. */
function closeToOthers(file: string): void {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ELOOP' ? foreign(file) : unreadable(file, error);
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.uid !== process.geteuid?.()) throw foreign(file);
    fchmodSync(fd, 0o600);
  } finally {
    closeSync(fd);
  }
}

function foreign(file: string): Error {
  return new Error(
    `the admin token in ${file} cannot be trusted: it is not a regular file of the user who runs the gateway. Remove it, and the next start makes a new one.`,
  );
}

function unreadable(file: string, error: unknown): Error {
  return new Error(`the admin token cannot be read from ${file} (${(error as NodeJS.ErrnoException).code})`, {
    cause: error,
  });
}
