// What must be true of catch-up: what is in a user's archive comes to the apps, and what can come from nowhere is said.

import { isGivenUp } from './invariants-trouble.ts';
import type { Account } from './legacy-server.ts';
import type { Scene } from './scenario.ts';

/** The number in a key of the simulation's. */
export function seqOf(key: string): number {
  return Number.parseInt(key.slice(key.indexOf('-') + 1), 36);
}

interface Row {
  phase: string;
  moving: string | null;
}

/** Whether the apps of this user are served, as the disk says it; the way there included, but no way back. */
function isServed({ gateway }: Scene, jid: string): Row | null {
  const row = gateway.db.prepare('SELECT phase, moving FROM user WHERE jid = ?').get(jid) as unknown as Row | undefined;
  if (!row || row.phase === 'legacy' || row.phase === 'shadow') return null;
  const { step, hasReturned } = row.moving === null ? {} : JSON.parse(row.moving);
  return row.moving === null || (step === 'arrange' && !hasReturned) ? row : null;
}

/**
 * What is archived from now on the apps get, whatever happens. Exceptions: in `dual` somebody must have shown us a device; while
 * a move is under way copies, or the session, must have begun; what is older the apps ask for themselves.
 */
export function notePromise(scene: Scene, { jid, observer, session }: Account, name: string): void {
  const row = isServed(scene, jid);
  if (!row || (row.moving !== null && !observer && !session?.shown)) return;
  const knowsDevice = scene.gateway.db.prepare('SELECT 1 FROM device WHERE user = ?').get(jid) !== undefined;
  if (row.phase === 'mqtt' || knowsDevice) scene.witness.promise(jid, name);
}

/** The server died with what only we were to have. Without an archive the gateway has to say so, unless the user goes back. */
export function noteLoss(scene: Scene, jid: string, name: string): void {
  const { witness, server, world } = scene;
  witness.lost.add(name);
  if (!server.settings.hasArchive && isServed(scene, jid)) witness.untold.push({ user: jid, name, at: world.now });
}

/** What a way back has returned, even one that was superseded, the legacy client has. */
export function wasReturned({ witness, gateway }: Scene, name: string): boolean {
  const key = witness.lastReturned.get(name);
  return (
    key !== undefined &&
    gateway.db.prepare('SELECT 1 FROM entry WHERE seq = ? AND state = 6').get(seqOf(key)) !== undefined
  );
}

/** `seen`: by any device of the user's. */
export function checkPromised(scene: Scene, user: string, seen: Set<string>): void {
  const { world, witness, server } = scene;
  const archive = server.accounts.get(user)?.archive;
  if (!archive) return;
  for (const name of witness.promised.get(user) ?? []) {
    if (seen.has(name) || !archive.has(name) || witness.byHand.has(name) || wasReturned(scene, name)) continue;
    if (isGivenUp(scene, user, name)) continue;
    world.broke(`${name} is in the archive of ${user}, and no app has seen it`);
  }
}

/** What is lost for ever was reported: its time lies in a gap that the gateway has told of. */
export function checkTold({ world, witness, server }: Scene): void {
  for (const { user, name, at } of witness.untold) {
    if (!server.accounts.has(user)) continue;
    const gaps = witness.gaps.filter((gap) => gap.user === user);
    if (!gaps.some(({ from, to }) => from <= at && at <= to))
      world.broke(`${name} was lost with the server, and nothing says that ${user} may miss something`);
  }
}
