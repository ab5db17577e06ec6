// Handing back what only we have, and ending the session behind it, in the order that loses nothing.

import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { isOpenToApps } from './phase.ts';
import type { Failed, LegacyServer } from './server.ts';
import type { User, Users } from './users.ts';

export interface HandBackParts {
  users: Users;
  server: LegacyServer;
  ledger: Ledger;
  clock: Clock;
  metrics: Pick<Metrics, 'handedBack'>;
  log: Log;
}

/**
 * What becomes of an entry that was handed back: `returned`, it ends (a rollback); `copied`, it stays on its way to the app, as a copy
 * (`dual`, the app has gone).
 */
export type HandedBack = 'returned' | 'copied';

const page = 200;
const results = { processed: 'taken', refused: 'refused', wait: 'refused', lost: 'lost' } as const;
/** Live traffic may bring new stanzas while the last are handed back; so often we go round before detaching anyway. */
const maxRounds = 100;

/** Nothing has failed; it takes its time, in which other users have their turn. `gotOn`: it goes on as soon as they had it. */
export interface Pending {
  kind: 'pending';
  gotOn: boolean;
  text: string;
}

/** One page of it; what is handed back as `returned` is no more among what is to be returned, so that the next call goes on behind it. */
export async function giveBackSome(
  user: User,
  become: 'returned',
  parts: HandBackParts,
): Promise<Failed | Pending | null> {
  const entries = await parts.ledger.do('toReturn', { user: user.jid, after: 0, limit: page });
  for (const entry of entries) {
    const failed = await giveBack(user, entry, become, parts);
    if (failed) return failed;
  }
  return entries.length < page ? null : { kind: 'pending', gotOn: true, text: 'there is more to hand back' };
}

/** Hands back, one after the other, what came to us alone and no app has acknowledged. */
async function giveBackAll(user: User, become: HandedBack, parts: HandBackParts): Promise<Failed | null> {
  for (let after = 0; ; ) {
    const entries = await parts.ledger.do('toReturn', { user: user.jid, after, limit: page });
    for (const entry of entries) {
      const failed = await giveBack(user, entry, become, parts);
      if (failed) return failed;
    }
    if (entries.length < page) return null;
    after = entries.at(-1)!.seq;
  }
}

async function giveBack(
  user: User,
  entry: { seq: number; key: string; at: number; original: string },
  become: HandedBack,
  parts: HandBackParts,
): Promise<Failed | null> {
  const { server, ledger, clock, metrics, log } = parts;
  const { seq, key, at: when, original: stanza } = entry;
  await outOfSight(user, parts);
  const answer = await server.giveBack({ user: user.jid, key, at: when, stanza, ends: true });
  metrics.handedBack.inc({ result: results[answer.kind] });
  const at = clock.now();
  if (answer.kind === 'processed') {
    await ledger.do(become === 'returned' ? 'returned' : 'handedBack', { seqs: [seq], at });
    return null;
  }
  if (answer.kind === 'wait') return notTaken(answer);
  if (answer.kind !== 'refused') return answer;
  if (become === 'copied') {
    // It stays with us, for the app.
    log.warn({ event: 'return.refused', user: user.jid, key, condition: answer.condition, text: answer.text });
    return null;
  }
  // Nobody but us has this message: the move waits here, and says so, until the server takes it.
  if (answer.condition !== 'item-not-found') return notTaken(answer);
  log.error({ event: 'return.impossible', user: user.jid, key, text: 'the account is gone' });
  await ledger.do('discard', { seqs: [seq], at, reason: 'the account is gone' });
  return null;
}

/** How it is shown is not as the row has it any more: should it stay, since another move has come or the app is back, it is shown anew. */
async function outOfSight(user: User, { server, users, clock }: HandBackParts): Promise<void> {
  if (!user.attached?.shown || !server.lacks.has('return')) return;
  const hidden = ({ attached }: User) => (attached?.shown ? { attached: { ...attached, shown: undefined } } : null);
  await users.change(user, hidden, clock.now());
}

/** For the operator. */
function notTaken<Answer extends { text: string }>(answer: Answer): Answer {
  const said = answer.text && ` ("${answer.text}")`;
  const text = `the server does not take what is handed back${said}, so it waits here; its offline storage may be full, until a legacy client of this user logs in`;
  return { ...answer, text };
}

/**
 * Ends the session when nothing of the user's is left here that the server believes delivered: whatever arrives after
 * the detach was written has n > h, and the server takes it back itself, behind all that was handed back before. `become` null: what
 * came to us alone stays with us.
 */
export async function leave(user: User, become: HandedBack | null, parts: HandBackParts): Promise<Failed | null> {
  const { server, users, clock } = parts;
  // Asked to detach, the server may have taken things back already: they must not be handed back as well.
  const early = become && user.attached?.pending !== 'detach' ? await giveBackRounds(user, become, parts) : null;
  if (early) return early;
  if (user.attached && server.mayHold(user.attached.epoch)) {
    const failed = await detach(user, become, parts);
    if (failed) return failed;
  }
  await users.change(user, (now) => (now.attached ? { attached: undefined } : null), clock.now());
  return become && giveBackAll(user, become, parts);
}

/** Until nothing has come while the last was handed back: at that moment nothing is left here. */
async function giveBackRounds(user: User, become: HandedBack, parts: HandBackParts): Promise<Failed | null> {
  for (let round = 0; round < maxRounds; round++) {
    const before = user.arrivals;
    const failed = await giveBackAll(user, become, parts);
    if (failed) return failed;
    if (user.arrivals === before) break;
  }
  return null;
}

async function detach(user: User, become: HandedBack | null, parts: HandBackParts): Promise<Failed | null> {
  const { ledger, server, users, clock } = parts;
  const { link, epoch } = server;
  const leaving = ({ attached }: User) => (attached ? { attached: { ...attached, pending: 'detach' as const } } : null);
  if (user.attached?.pending !== 'detach') {
    await users.change(user, leaving, clock.now());
    // What has come while that was written would be handed back behind what comes to the server after the detach.
    const failed = become && (await giveBackRounds(user, become, parts));
    if (failed) return failed;
  }
  // Gone meanwhile, by itself or with its epoch: we have been told what was taken back.
  if (!user.attached || !server.mayHold(user.attached.epoch)) return null;
  const answer = await server.detach(user.attached.jid);
  if (answer.kind === 'lost' || answer.kind === 'wait') return answer;
  if (answer.kind === 'detached') {
    // With another move under way the apps are to have it as well.
    const ends = become === 'returned' && !isOpenToApps(user.phase) ? 'discarded' : 'copy';
    await ledger.do('takenBack', { user: user.jid, link, epoch, h: answer.h, at: clock.now(), become: ends });
  }
  return null;
}
