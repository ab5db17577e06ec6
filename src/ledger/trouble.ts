// What is said when the ledger's file cannot be opened, read or written: the reason, and what an operator can do. Pure.

/** Primary result codes, https://sqlite.org/rescode.html */
const codes = { busy: 5, readonly: 8, ioerr: 10, corrupt: 11, full: 13, cantopen: 14, notadb: 26 };
/** No room for the index of the write-ahead log, which is made at each opening: an extended code of `ioerr`. */
const shmSize = 10 | (19 << 8);
const { busy, readonly, ioerr, corrupt, full, cantopen, notadb } = codes;

export interface SqliteError extends Error {
  errcode?: number;
  code?: string;
}

const primary = (error: unknown) => ((error as SqliteError).errcode ?? 0) & 0xff;

export function isBusy(error: unknown): boolean {
  return primary(error) === busy;
}

export const restoreHint = (path: string) =>
  `Restore a backup (crossfade ledger restore FILE), or, where there is none, bring over what can be read: sqlite3 ${path} .recover | sqlite3 recovered.sqlite, then crossfade ledger restore recovered.sqlite. Keep the damaged file.`;

/** Of a fault while the file was being opened; what already is a text for people stays as it is. */
export function whyNotOpened(error: unknown, path: string): Error {
  const { message, code, errcode } = error as SqliteError;
  if (errcode === undefined && code === undefined) return error as Error;
  const cause = { cause: error };
  switch (errcode === shmSize ? full : primary(error)) {
    case busy:
      return new Error(
        `${path} is in use by another process: is the gateway running already? Stop that one first.`,
        cause,
      );
    case corrupt:
      return new Error(`the ledger ${path} is damaged: ${message}. ${restoreHint(path)}`, cause);
    case notadb:
      return new Error(
        `the ledger ${path} cannot be opened: file is not a database, or its beginning is damaged. If ledger.path names the right file: ${restoreHint(path)}`,
        cause,
      );
    case full:
      return new Error(
        `the ledger ${path} cannot be opened: the disk is full. Make room on its file system; nothing is lost.`,
        cause,
      );
    case readonly:
      return new Error(
        `the ledger ${path} cannot be written: its file system, folder or file is read-only. Mount it for writing, or mend the rights.`,
        cause,
      );
    case ioerr:
      return new Error(
        `the ledger ${path} cannot be opened: ${message}, the disk reports errors. See whether its file system has room, and the system's log (dmesg); else move the ledger to a disk that works.`,
        cause,
      );
    default:
      return new Error(
        `the ledger ${path} cannot be opened: ${message}. Check ledger.path, the folder and its rights.`,
        cause,
      );
  }
}

/** Of a commit that failed; the gateway tries again by itself until it succeeds. */
export function whyNotWritten(error: unknown, path: string): string {
  const { message } = error as SqliteError;
  switch (primary(error)) {
    case full:
      return `the disk is full: make room on the file system of ${path}; the gateway goes on by itself`;
    case ioerr:
      return `the disk reports an error (${message}): see the system's log (dmesg), and whether the file system of ${path} has room and is still mounted for writing; the gateway goes on by itself when it can write again`;
    case readonly:
      return `the file system of ${path} is read-only: mount it for writing; the gateway goes on by itself`;
    case corrupt:
    case notadb:
      return `the ledger ${path} is damaged (${message}): stop the gateway. ${restoreHint(path)}`;
    case cantopen:
      return `a file beside ${path} cannot be opened: check that its folder is there and can be written`;
    default:
      return message;
  }
}
