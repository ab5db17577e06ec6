// What must be true of what the server keeps for the users: sessions, copies, locks.

import { shownOf } from '../../src/migration/shown.ts';
import type { Account } from './legacy-server.ts';
import type { Scene } from './scenario.ts';

interface Row {
  phase: string;
  moving: string | null;
}

/** A user at rest is never without eyes: copies begin before a session ends, and end after one has begun. (Of a session that was kicked we may not know yet.) */
export function checkCovered({ world, gateway }: Scene, { jid, session, observer, isKicked }: Account): void {
  const row = gateway.db.prepare('SELECT phase, moving FROM user WHERE jid = ?').get(jid) as unknown as Row | undefined;
  if (!row || row.moving !== null || isKicked) return;
  const isCovered = {
    legacy: true,
    shadow: observer !== null,
    dual: Boolean(session?.shown) || observer !== null,
    mqtt: Boolean(session?.shown),
  }[row.phase];
  if (!isCovered) world.broke(`nobody sees what comes for ${jid} in ${row.phase}`);
}

/** While the app of a user in `dual` is away the legacy side has all of it: nothing is with us alone, unless it came in `mqtt`. */
export function checkAway({ world, gateway, server, users, moves }: Scene): void {
  const waiting = gateway.db.prepare('SELECT 1 FROM entry WHERE user = ? AND lane = 1 AND state <= 1');
  for (const jid of users) {
    const user = gateway.core.users.get(jid);
    const account = server.accounts.get(jid);
    const isAway = ['away', 'none'].includes(gateway.core.devices.statusOf(jid));
    if (!account || user?.phase !== 'dual' || user.moving || !isAway) continue;
    if (gateway.core.workOn(user).kind !== 'idle') continue;
    // One without presence is there while something of an app's cannot be sent.
    const isSilent = account.session?.shown === null && waiting.get(jid) !== undefined;
    if (account.session && !isSilent) world.broke(`${jid} has no app online and a session`);
    if (!account.observer) world.broke(`${jid} has no app online and is not observed`);
    // What is for its full JID comes to it all the same; handed back when it ends.
    if (isSilent || moves.get(jid)?.some(({ phase }) => phase === 'mqtt')) continue;
    const sole = gateway.db
      .prepare(
        'SELECT id FROM entry WHERE user = ? AND lane = 0 AND state <= 4 AND custody = 0 AND app_acked_at IS NULL',
      )
      .all(jid);
    if (sole.length > 0)
      world.broke(`${jid} has no app online, and ${sole.map(({ id }) => id).join(', ')} is here alone`);
  }
}

/** At the end every app is online, and the server has exactly what the phase wants. */
export function checkServer(scene: Scene): void {
  const { world, gateway, server, users, devices, legacyLogin } = scene;
  for (const jid of users) {
    const account = server.accounts.get(jid);
    if (!account) continue;
    const phase = gateway.core.users.get(jid)?.phase ?? 'legacy';
    const isOpen = phase === 'dual' || phase === 'mqtt';
    const { session, observer, isLocked } = account;
    const shown = session === null ? 'none' : JSON.stringify(session.shown);
    const mine = devices.filter(({ parts }) => `${parts.user}@example.com` === jid);
    const wanted = isOpen ? mine.map((device) => JSON.stringify(shownOf([device.stated]))) : ['none'];
    // Of several that state something the last one counts.
    const stating = wanted.filter((one) => one !== '{}');
    if (!(stating.length > 0 ? stating : wanted).includes(shown))
      world.broke(`${jid} in ${phase} is shown as ${shown}, not as ${wanted.join(' or ')}`);
    if ((observer !== null) !== (phase === 'shadow'))
      world.broke(`${jid} in ${phase} is ${observer ? '' : 'not '}observed`);
    if (isLocked !== (phase === 'mqtt' && legacyLogin === 'deny'))
      world.broke(`${jid} in ${phase} is ${isLocked ? '' : 'not '}locked out`);
  }
}
