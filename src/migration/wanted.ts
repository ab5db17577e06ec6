// The table of DESIGN §5 as code: what a user should have on the legacy server, from phase and app alone. Pure.

import type { Phase } from './phase.ts';

/** Whether any device of a user is online; `unknown` right after a start, before the devices had time to speak. */
export type AppStatus = 'here' | 'away' | 'unknown';

/** How the attached session shows itself to contacts: available with priority 0, or the same with `xa`. */
export type Shown = 'here' | 'away';

/** What the session should be: absent, shown so, or as it is. */
export type Wanted = { session: 'none' | Shown | 'unchanged' };

/** What a user in this phase should have on the legacy server. */
export function wanted(phase: Phase, app: AppStatus): Wanted {
  if (phase === 'legacy') return { session: 'none' };
  if (app === 'unknown') return { session: 'unchanged' };
  return { session: app };
}
