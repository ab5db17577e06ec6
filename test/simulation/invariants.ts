// What must be true, whatever happened. Each check says in its comment what it promises and which exceptions it knows.

import { bare } from './chat.ts';
import { checkPromised, checkTold, seqOf, wasReturned } from './invariants-archive.ts';
import { checkServer } from './invariants-server.ts';
import { checkTrouble, isGivenUp } from './invariants-trouble.ts';
import type { Scene } from './scenario.ts';
import type { Sight } from './witness.ts';

interface Row {
  seq: number;
  custody: number;
  state: number;
  app_acked_at: number | null;
}

/** A rollback returns only what was `sole` and no app had acknowledged. */
export function checkReturned({ world, witness, gateway }: Scene, key: string, name: string): void {
  const row = gateway.db.prepare('SELECT * FROM entry WHERE seq = ?').get(seqOf(key)) as unknown as Row | undefined;
  if (!row) return world.broke(`${name} was returned and is no entry`);
  // The app's word, or the server's that it has taken it back itself, may come while the stanza is on its way.
  if (row.custody !== 0 && !witness.rerouted.has(name)) world.broke(`${name} was returned and is a copy`);
}

/**
 * What is handed back because the app of a user in `dual` has gone is still for the app, also where a way back has come meanwhile and has
 * handed back nothing yet; what an operator hands back is not.
 */
export function staysForApp({ gateway }: Scene, key: string): boolean {
  const row = gateway.db
    .prepare('SELECT phase, moving, condition FROM user JOIN entry ON user = jid WHERE seq = ?')
    .get(seqOf(key));
  if (!row || row.condition === 'returning') return false;
  const { step, hasReturned } = row.moving === null ? {} : JSON.parse(String(row.moving));
  if (row.phase === 'legacy' || row.phase === 'shadow') return step !== undefined && !hasReturned;
  return step === undefined || step === 'arrange';
}

/**
 * What was returned or discarded, or is just being handed back by an operator, is not published any more: where the answer to the return was
 * lost, unless the app's word came before it was asked again, which leaves the entry with the app.
 */
export function checkPublished({ world, witness, gateway }: Scene, key: string): void {
  if (!witness.published.has(key)) witness.published.set(key, world.now);
  const row = gateway.db
    .prepare('SELECT id, user, state, condition, app_acked_at FROM entry WHERE seq = ?')
    .get(seqOf(key));
  if (!row) return world.broke(`${key} was published and is not on disk`);
  if (
    Number(row.state) > 5 ||
    row.condition === 'returning' ||
    (witness.returnedKeys.has(key) && row.app_acked_at === null)
  )
    world.broke(`${row.id} was published after it was returned or discarded`);
  const user = gateway.db.prepare('SELECT phase, moving FROM user WHERE jid = ?').get(row.user!);
  if (user && !user.moving && (user.phase === 'legacy' || user.phase === 'shadow'))
    world.broke(`${row.id} was published to ${row.user} in ${user.phase}`);
}

/** A rollback returns all that was `sole` and unacknowledged: nothing of it is left when it is done. */
export function checkMoved({ world, gateway, moves }: Scene, user: string, phase: string): void {
  if (phase !== 'legacy' && phase !== 'shadow') return;
  if (moves.get(user)?.at(-1)?.phase !== phase) return;
  const left = gateway.db
    .prepare('SELECT id FROM entry WHERE user = ? AND lane = 0 AND state <= 4 AND custody = 0 AND app_acked_at IS NULL')
    .all(user);
  if (left.length > 0) world.broke(`the rollback of ${user} left ${left.map(({ id }) => id).join(', ')}`);
}

/** Record, then answer: what the server may forget is on disk. Of copies nobody here wants there is no record. */
export function checkAcknowledged({ world, witness, gateway, server }: Scene, epoch: string, h: number): void {
  let last = 0;
  for (const { n, load, dir } of server.link!.queue.frames.values()) {
    if (n > h || !('chat' in load)) continue;
    const isCopy = dir !== undefined || load.carbon !== undefined || load.result !== undefined;
    if (!isCopy || witness.served.has(`${epoch}:${n}`)) last = Math.max(last, n);
  }
  const row = gateway.db.prepare('SELECT epoch, n FROM link').get();
  if (last > 0 && (row?.epoch !== epoch || Number(row.n) < last))
    world.broke(`n=${last} was acknowledged and is not on disk`);
}

/** Record, then answer: what `in/ack` names is on disk. */
export function checkInAck({ world, gateway }: Scene, ids: string[]): void {
  const find = gateway.db.prepare('SELECT 1 FROM entry WHERE lane = 1 AND id = ?');
  for (const id of ids) if (!find.get(id)) world.broke(`in/ack names ${id}, which is not on disk`);
}

/** At the end, when nothing fails any more and everybody was there for long enough. */
export function checkEnd(scene: Scene): void {
  checkBooks(scene);
  checkPhases(scene);
  checkServer(scene);
  for (const user of scene.users) checkReceived(scene, user);
  for (const user of scene.users) {
    checkExpected(scene, user);
    checkPromised(scene, user, new Set(sightsOf(scene, user).map(({ name }) => name)));
  }
  checkTold(scene);
  checkTrouble(scene);
  for (const contact of scene.contacts) checkSent(scene, contact);
  for (const device of scene.devices) {
    checkOrder(scene, device.place);
    checkKeys(scene, device.place);
  }
}

/** accepted = settled + waiting + parked + dead + returned + discarded, and nothing is left waiting. */
function checkBooks({ world, gateway }: Scene): void {
  const rows = gateway.db.prepare('SELECT lane, state, count(*) AS n FROM entry GROUP BY lane, state').all();
  const tally = gateway.db.prepare('SELECT lane, state, n FROM tally WHERE n > 0').all();
  const text = (list: typeof rows) =>
    list
      .map(({ lane, state, n }) => `${lane}:${state}:${n}`)
      .sort()
      .join(' ');
  if (text(rows) !== text(tally)) world.broke(`the tally says ${text(tally)}, the entries ${text(rows)}`);
}

/** Every user stands where the operator was told, or where a later request without an answer would have put it. */
function checkPhases({ world, gateway, moves }: Scene): void {
  for (const [jid, asked] of moves) {
    const lastDone = asked.findLastIndex(({ done }) => done);
    const possible = asked.slice(Math.max(0, lastDone)).map(({ phase }) => phase);
    if (lastDone < 0) possible.push('legacy');
    const user = gateway.core.users.get(jid);
    if (!possible.includes(user?.phase ?? 'legacy'))
      world.broke(`${jid} is in ${user?.phase}, not in ${possible.join(' or ')}`);
    if (user?.moving) world.broke(`the move of ${jid} hangs in ${user.moving.step}`);
  }
}

/** All that the user's devices have seen, their own words included. */
function sightsOf({ devices, witness }: Scene, user: string): Sight[] {
  const local = user.slice(0, user.indexOf('@'));
  const mine = devices.filter(({ parts }) => parts.user === local);
  return mine.flatMap(({ place }) => [...witness.at(place), ...witness.at(`${place}/sent`)]);
}

/**
 * Nothing the server took for a user is lost; and it is seen in one world only, unless the server gave it to both, or it
 * was handed back while the app's word for it was not on disk, or the server forgot its epoch and with it what we had said.
 */
function checkReceived(scene: Scene, user: string): void {
  const { world, witness, server } = scene;
  if (!server.accounts.has(user)) return;
  // What a user writes to itself comes back as a repeat of what the devices were told already.
  const inApp = new Set(sightsOf(scene, user).map(({ name }) => name));
  const inClient = new Map<string, number>();
  for (const { name } of witness.at(user)) inClient.set(name, (inClient.get(name) ?? 0) + 1);
  for (const { name, from, to, accepted } of witness.messages.values()) {
    if (to !== user || !accepted) continue;
    const times = inClient.get(name) ?? 0;
    const backs = witness.handedBack.get(name) ?? 0;
    if (!inApp.has(name) && times === 0) {
      if (isGivenUp(scene, user, name)) continue;
      const isStored = server.accounts.get(user)!.offline.some(({ message }) => message.name === name);
      // There an operator has put it: for the legacy client, or for the next session.
      if (isStored && witness.byHand.has(name)) continue;
      // It lies there for the next session; or it is in the archive at best, and checkPromised says whether the apps should have it.
      if ((isStored && witness.overflowed.has(name)) || witness.lost.has(name)) continue;
      world.broke(`${name} is lost${isStored ? ': it lies in offline storage' : ''}`);
    }
    const isOwn = from.startsWith(`${user.slice(0, user.indexOf('@'))}@`);
    if (inApp.has(name) && times > 0 && backs === 0 && !witness.toBoth.has(name) && !isOwn) {
      world.broke(`${name} was seen by the app and by the legacy client without having been handed back`);
    }
    // What the server was asked to take back before its epoch ended it may be asked again.
    const forgotten = server.epochs > 1 ? backs : (witness.rerouted.get(name) ?? 0);
    if (times > 1 + forgotten + (from.includes('/phone') ? server.epochs - 1 : 0))
      world.broke(`the legacy client of ${user} saw ${name} ${times} times`);
  }
}

/** What came to the gateway for a user whose apps are served, and was not rolled back since, an app has seen: what others sent, and the user's own. */
function checkExpected(scene: Scene, user: string): void {
  const { world, witness, server } = scene;
  if (!server.accounts.has(user)) return;
  const seen = new Set(sightsOf(scene, user).map(({ name }) => name));
  for (const name of witness.expected.get(user) ?? [])
    if (!seen.has(name) && !witness.byHand.has(name) && !wasReturned(scene, name) && !isGivenUp(scene, user, name))
      world.broke(`the gateway had ${name} for the apps of ${user}, and none has seen it`);
}

/**
 * What the gateway took from an app reaches the contact, in the order of the ledger; once in an epoch, see server-link.ts.
 * Exception: what the server refused lies dead in the ledger, `in/error` said so once and may have been lost; and what has expired.
 */
function checkSent(scene: Scene, contact: string): void {
  const { world, witness, gateway, devices } = scene;
  const seen = witness.at(contact).map(({ name }) => name);
  const rows = gateway.db
    .prepare("SELECT id, state, condition FROM entry WHERE lane = 1 AND peer = ? AND channel <> 'error' ORDER BY seq")
    .all(contact);
  const isGone = ({ state, condition }: (typeof rows)[number]) => state === 4 || condition === 'expired';
  const gone = new Set(rows.filter(isGone).map(({ id }) => String(id)));
  const bySeq = rows.filter(({ state }) => state === 5).map(({ id }) => String(id));
  for (const id of bySeq) if (!seen.includes(id)) world.broke(`${id} is settled, and ${contact} never saw it`);
  for (const { pending, accepted, refused } of devices) {
    for (const id of pending.keys()) world.broke(`nobody ever said what became of ${id}`);
    for (const id of accepted) {
      if (!refused.has(id) && !gone.has(id) && witness.messages.get(id)?.to === contact && !seen.includes(id))
        world.broke(`${id} was accepted, and ${contact} never saw it`);
    }
  }
  for (const user of scene.users) {
    const order = bySeq.filter((name) => bare(witness.messages.get(name)!.from) === user);
    const first = [...new Set(seen)].filter((name) => order.includes(name));
    if (order.join() !== first.join())
      world.broke(`${contact} saw ${first.join(' ')} where the ledger has ${order.join(' ')}`);
  }
}

/**
 * An app sees a contact's messages in the order they were sent (an app's own order is that of its repeats). Exceptions:
 * what was stored or handed back on its way, or is brought from the archive, comes late, with its original time; a device is promised nothing published
 * before its session with the broker, and what died with the broker comes to it again only if no other device has it; of what was published
 * twice and has expired the broker, which counts in whole seconds from each, may have the second one left.
 */
function checkOrder({ world, witness, broker, gateway }: Scene, place: string): void {
  const expires = gateway.db.prepare('SELECT expires_at FROM entry WHERE seq = ?');
  const last = new Map<string, { n: number; name: string }>();
  for (const { name, key, at } of witness.at(place)) {
    const message = witness.messages.get(name)!;
    if (message.from.includes('/phone') || witness.stored.has(name)) continue;
    const published = witness.published.get(key!)!;
    if (witness.fromArchive.get(name)! <= published) continue;
    if (published <= witness.subscribed.get(place)!) continue;
    if (Number(expires.get(seqOf(key!))?.expires_at ?? Number.POSITIVE_INFINITY) <= at) continue;
    if (broker.deaths.some((death) => published <= death && death <= at)) continue;
    const before = last.get(message.from);
    if (before && before.n > message.n) world.broke(`${place} saw ${name} after ${before.name}`);
    last.set(message.from, message);
  }
}

/**
 * No repeat that an app honouring `key` would show: never the same content under two keys. Exceptions: neither id nor archive, and handed
 * back by the server or copied (nothing tells it from a second message); the first went with a rollback and came again, the app's
 * word for it not being on disk when the return was decided, or the server having kept a copy of its own; what an app
 * sent again after the server had refused it, or it had expired, since such an id leaves no key; what an app sent to a user of ours twice,
 * the server having forgotten the key of the first with its epoch.
 */
function checkKeys({ world, witness, gateway, server }: Scene, place: string): void {
  const { db } = gateway;
  const find = db.prepare(
    'SELECT coalesce(app_acked_at, 9e15) >= ended_at AS free FROM entry WHERE seq = ? AND state > 5',
  );
  const isRefused = db.prepare(
    "SELECT 1 FROM entry WHERE lane = 1 AND id = ? AND (state = 4 OR condition = 'expired')",
  );
  const isExcepted = (name: string, first: string, where: string) => {
    const { id, from } = witness.messages.get(name)!;
    const ended = find.get(seqOf(first));
    if (ended && (ended.free === 1 || witness.returned.has(name) || witness.rerouted.has(name))) return true;
    if (id === undefined && !server.settings.hasArchive)
      return witness.handedBack.has(name) || witness.toBoth.has(name) || where !== place;
    return from.includes('/phone') && (server.epochs > 1 || isRefused.get(id ?? null) !== undefined);
  };
  for (const where of [place, `${place}/sent`]) {
    const keys = new Map<string, string>();
    for (const { name, key } of witness.at(where)) {
      const first = keys.get(name);
      if (first !== undefined && !isExcepted(name, first, where)) world.broke(`${where} saw ${name} under two keys`);
      keys.set(name, key!);
    }
  }
}
