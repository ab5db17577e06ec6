// The log: pino, JSON lines, a stable `event` name in each; ids and sizes, never bodies or secrets.

import { pino } from 'pino';

export interface Log {
  debug(fields: { event: string; [field: string]: unknown }, text?: string): void;
  info(fields: { event: string; [field: string]: unknown }, text?: string): void;
  warn(fields: { event: string; [field: string]: unknown }, text?: string): void;
  error(fields: { event: string; [field: string]: unknown }, text?: string): void;
}

/** Fields that must never reach the log, wherever in the first two levels they stand. */
const redacted = ['password', 'secret', 'token', 'body', 'payload', 'stanza', 'authorization'];

export function makeLog(level: string, destination?: { write(line: string): void }): Log {
  const paths = redacted.flatMap((name) => [name, `*.${name}`]);
  return pino({ level, redact: { paths, censor: '[hidden]' }, base: undefined }, destination ?? pino.destination(1));
}

const ignore = () => {};
export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
