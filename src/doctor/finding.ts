// What the doctor says: one thing that was looked at, how it is, why it matters, and what to type.

/** `fault`: it does not work, or loses messages. `warning`: it works, and will hurt one day. `unknown`: it could not be found out. */
export type Level = 'ok' | 'warning' | 'fault' | 'unknown';

export interface Finding {
  /** What was looked at, in a stable name: `server.module`. */
  id: string;
  level: Level;
  what: string;
  why?: string;
  /** Lines to type or to write into a configuration. */
  todo?: string;
}

export const ok = (id: string, what: string): Finding => ({ id, level: 'ok', what });
