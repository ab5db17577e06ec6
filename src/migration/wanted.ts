// The table of DESIGN §5 as code: what a user should have on the legacy server, from phase and app alone. Pure.

import type { Phase } from './phase.ts';

/**
 * Whether any device of a user is online. `none`: no device is known; `unknown`: right after a start, or after a restart of the
 * broker, before the devices had time to speak.
 */
export type AppStatus = 'none' | 'away' | 'here' | 'unknown';

/** Whether a user in phase `mqtt` may still log in with a legacy client; `notify`: it may, and is told once that it has moved. */
export type LegacyLogin = 'allow' | 'notify' | 'deny';
export const legacyLogins: readonly LegacyLogin[] = ['allow', 'notify', 'deny'];

export interface Situation {
  phase: Phase;
  app: AppStatus;
  /** Entries towards the legacy server wait. */
  hasToSend: boolean;
  legacyLogin: LegacyLogin;
}

/**
 * The session: absent; there for sending only, without presence, so that it gets nothing that is for the bare JID; available as
 * the app says; `xa`; or as it is. Copies without a session: wanted, not wanted, or as it is.
 */
export interface Wanted {
  session: 'none' | 'silent' | 'here' | 'away' | 'unchanged';
  observe: boolean | 'unchanged';
  lock: boolean;
}

/** What a user in this situation should have on the legacy server. */
export function wanted({ phase, app, hasToSend, legacyLogin }: Situation): Wanted {
  if (phase === 'legacy') return { session: 'none', observe: false, lock: false };
  if (phase === 'shadow') return { session: 'none', observe: true, lock: false };
  const lock = phase === 'mqtt' && legacyLogin === 'deny';
  if (app === 'unknown') return { session: 'unchanged', observe: phase === 'dual' ? 'unchanged' : false, lock };
  if (app === 'here') return { session: 'here', observe: false, lock };
  if (phase === 'mqtt') return { session: 'away', observe: false, lock };
  return { session: hasToSend ? 'silent' : 'none', observe: true, lock };
}
