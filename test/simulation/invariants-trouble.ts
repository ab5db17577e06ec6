// What must be true of messages that cannot come to anybody: those that expire, those that a receiver refuses or dies of, and stanzas that become none.

import type { Scene } from './scenario.ts';
import type { Message } from './witness.ts';

interface Row {
  id: string;
  lane: number;
  user: string;
  state: number;
  condition: string | null;
}

/** Ends of a way back, and of an account: a poisonous entry has them as any other. */
const otherEnds = ['expired', 'rolled back', 'taken-back', 'the account is gone'];

/** The message is for nobody any more: it has expired, lies dead with its body, or has gone where nobody was. */
export function isGivenUp(scene: Scene, user: string, name: string): boolean {
  const row = scene.gateway.db.prepare(
    `SELECT 1 FROM entry LEFT JOIN body USING (seq) WHERE lane = 0 AND user = ? AND id = ?
       AND (condition = 'expired' OR (state = 4 AND body.seq IS NOT NULL))`,
  );
  return row.get(user, name) !== undefined || wentToNobody(scene, user, name);
}

/**
 * It was published before any device had its session with the broker, which had died with those of before and does not say that nobody
 * is subscribed (MQTT 3.1.1). Apps that have acknowledged before get it again; for those that never have, the broker's word is all there is.
 */
function wentToNobody({ gateway, broker, witness, devices }: Scene, user: string, name: string): boolean {
  const { db } = gateway;
  if (broker.reasonCodes || broker.deaths.length === 0) return false;
  if (db.prepare('SELECT 1 FROM acking WHERE user = ?').get(user)) return false;
  const row = db.prepare('SELECT seq FROM entry WHERE lane = 0 AND user = ? AND id = ?').get(user, name);
  const published = row && witness.published.get(`k-${Number(row.seq).toString(36)}`);
  if (published === undefined) return false;
  const mine = devices.filter(({ parts }) => `${parts.user}@example.com` === user);
  return mine.every(({ place }) => published <= witness.subscribed.get(place)!);
}

/** Nothing is sent beyond its time, unless the server may have it since before. */
export function checkInTime({ world, gateway }: Scene, key: string): void {
  const seq = Number.parseInt(key.slice(2), 36);
  const row = gateway.db.prepare('SELECT * FROM entry WHERE seq = ?').get(seq);
  if (!row?.expires_at || Number(row.expires_at) > world.now) return;
  const wasSent =
    row.lane === 1 && row.state === 1 && (Number(row.attempts) > 1 || Number(row.sent_at) < Number(row.expires_at));
  if (!wasSent) world.broke(`${row.id} was sent after it had expired`);
}

/** A stanza that can become no entry for the apps is acknowledged only with a dead one in its place. */
export function checkForged({ world, gateway, server }: Scene, epoch: string, h: number): void {
  const find = gateway.db.prepare(
    "SELECT 1 FROM entry WHERE n = ? AND link = (SELECT id FROM link WHERE epoch = ?) AND condition = 'policy-violation'",
  );
  for (const { n, load } of server.link!.queue.frames.values())
    if (n <= h && 'noise' in load && load.noise === 'forged' && !find.get(n, epoch))
      world.broke(`the forged stanza n=${n} was acknowledged without a trace`);
}

/** At the end. */
export function checkTrouble(scene: Scene): void {
  const { world, gateway, witness, server } = scene;
  const find = gateway.db.prepare('SELECT 1 FROM entry WHERE lane = ? AND user = ? AND id = ? AND channel = ?');
  const expired = gateway.db.prepare(
    "SELECT seq, id, lane, user FROM entry WHERE condition = 'expired' AND channel = 'message' AND (lane = 1 OR (custody = 0 AND late = 0))",
  );
  // Whoever waits for an answer is told by an entry, which stands whether it was heard or not.
  for (const { seq, id, lane, user } of expired.all() as unknown as (Row & { seq: number })[]) {
    if (!find.get(1 - lane, user, id, 'error')) world.broke(`${id} has expired, and its sender was told nothing`);
    if (lane === 1 && witness.processed.has(seq)) world.broke(`${id} is called expired, and the server had it`);
  }
  const rows = gateway.db.prepare("SELECT id, lane, user, state, condition FROM entry WHERE channel = 'message'").all();
  const hasBody = gateway.db.prepare(
    'SELECT 1 FROM entry JOIN body USING (seq) WHERE lane = ? AND id = ? AND state = 4',
  );
  for (const row of rows as unknown as Row[]) {
    const message = witness.messages.get(row.id);
    if (!message) continue;
    if (isPoison(scene, message, row.lane)) checkPoison(scene, row);
    // Nothing is called dead that only had bad luck.
    else if (
      row.state === 4 &&
      hasBody.get(row.lane, row.id) &&
      server.accounts.has(row.user) &&
      !isRefused(message, row)
    )
      world.broke(`${row.id} is dead (${row.condition}), and nothing was wrong with it`);
  }
}

function isPoison({ broker }: Scene, { poison }: Message, lane: number): boolean {
  return poison === 'deadly' || (poison === 'refused' && lane === 0 && broker.reasonCodes);
}

/** It is kept for an operator, unless it has ended as others do. */
function checkPoison({ world }: Scene, { id, state, condition }: Row): void {
  if (state === 4 || state === 6 || (state === 7 && otherEnds.includes(condition ?? ''))) return;
  world.broke(`${id} can come to nobody, and is in state ${state} (${condition})`);
}

/** The server refuses one of them, see server-link.ts; and an operator may be handing one back. */
function isRefused({ from, n }: Message, { lane, condition }: Row): boolean {
  return condition === 'returning' || (lane === 1 && from.startsWith('carol@') && n === 3);
}
