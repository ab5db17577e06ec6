// What becomes of a message from the legacy server, by the user's phase and the way it came (DESIGN §5, "to the app"). Pure.

import { isOpenToApps } from '../migration/phase.ts';
import type { User } from '../migration/users.ts';
import type { AppStatus } from '../migration/wanted.ts';

/**
 * To our session itself; as `observe` sees it; as a client session that nobody sees reads it later, for `shadow` only; in a carbon; as a
 * result of a query to the archive. All but the first are copies.
 */
export type Way = 'direct' | 'observed' | 'late' | 'carbon' | 'archive';

/**
 * `accept`: an entry, for the apps. `shadow`: compared, and nothing else. `count`: somebody else has it and nobody here wants it.
 * `refuse`: it is for a session that should not be.
 */
export type Route = 'accept' | 'shadow' | 'count' | 'refuse';

/**
 * Follows the phase from the commit of a move on. What still comes to the session while a rollback is under way is accepted: if it
 * came to us alone it is handed back, and a move in the other direction finds it. `app` counts for copies only.
 */
export function routeOf(user: Pick<User, 'phase' | 'moving'> | undefined, way: Way, app: AppStatus): Route {
  if (way === 'late') return user?.phase === 'shadow' ? 'shadow' : 'count';
  const isOpen = user !== undefined && isOpenToApps(user.phase);
  if (!isOpen && way === 'observed') return user?.phase === 'shadow' ? 'shadow' : 'count';
  if (!isOpen && !user?.moving) return way === 'direct' ? 'refuse' : 'count';
  return user?.phase === 'dual' && app === 'none' && way !== 'direct' ? 'count' : 'accept';
}
