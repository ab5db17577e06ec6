// The way back from the apps, step by step, each written down before the next: after a crash the move goes on where it stood.

import type { Clock } from '../clock.ts';
import { giveBackSome, type HandBackParts, leave, type Pending } from './hand-back.ts';
import { isOpenToApps } from './phase.ts';
import type { Place } from './place.ts';
import type { Deliveries } from './reconcile.ts';
import type { Failed } from './server.ts';
import { isReturning, type Step, type User } from './users.ts';

/** What a step answers: null = done; else it is tried again later, and holds no place among the users under way until then. */
type Done = Failed | Pending | null;

export interface RollbackParts extends HandBackParts {
  place: Place;
  deliveries: Deliveries;
  clock: Clock;
}

const order = ['drain', 'stop', 'return', 'detach', 'discard'] as const;
type Back = (typeof order)[number];

const run: Record<Back, (user: User, parts: RollbackParts) => Promise<Done>> = {
  drain,
  stop: async ({ jid }, { deliveries }) =>
    deliveries.isPublishing(jid) ? { kind: 'pending', gotOn: false, text: 'the broker has not answered' } : null,
  return: (user, parts) => giveBackSome(user, 'returned', parts),
  detach,
  discard,
};

/** Is the user on the way back, or has that to be carried through before another move begins? */
export function isRollingBack({ moving }: User): boolean {
  return moving !== undefined && (order as readonly Step[]).includes(moving.step);
}

/**
 * DESIGN §5: the new phase has stopped the apps already. Legacy clients are let in · send what is accepted · await what is in flight ·
 * return what no app has acknowledged, in order · detach, which gives back what we have not acknowledged · end the rest.
 */
export async function rollBack(user: User, parts: RollbackParts): Promise<Done> {
  const { version } = user;
  for (const step of order) {
    if (user.moving?.step !== step) continue;
    const wasOpen = isOpenToApps(user.phase);
    const failed = (await prepare(user, step, parts)) ?? (await run[step](user, parts));
    if (failed) return failed;
    const isOver = step !== 'discard' || wasOpen || (await hasNothingToSend(user, parts));
    await goOn(user, step, { version, wasOpen, isOver }, parts);
    if (!isOver) return messagesWait(true);
    if (isSuperseded(user, version)) return null;
  }
  return null;
}

/** Another move has begun since, even if it is one to the same phase: unless this one has returned something, its steps are over. */
function isSuperseded(user: User, version: number): boolean {
  return user.version !== version && !isReturning(user);
}

/**
 * Writes the next step down; a move in the other direction that came meanwhile begins after the last one. Whether the last one ends
 * what is left depends on the direction: where that has changed under it, it is done again.
 */
async function goOn(
  user: User,
  step: Back,
  { version, wasOpen, isOver }: { version: number; wasOpen: boolean; isOver: boolean },
  { users, clock }: RollbackParts,
): Promise<void> {
  const next = order[order.indexOf(step) + 1];
  await users.change(
    user,
    (now) => {
      if (now.moving?.step !== step || isSuperseded(now, version)) return null;
      if (step === 'discard' && isOpenToApps(now.phase) !== wasOpen) return null;
      const { hasReturned, ...moving } = now.moving;
      if (!next) return { moving: { ...moving, step: isOver ? 'arrange' : 'drain' } };
      return { moving: { ...moving, step: next, hasReturned: next === 'return' || hasReturned } };
    },
    clock.now(),
  );
}

/** While a way back was carried through, another move may have let the apps send again, and a third one taken that away: drain once more. */
async function hasNothingToSend({ jid }: User, { ledger }: RollbackParts): Promise<boolean> {
  return (await ledger.do('toXmppWaiting', { user: jid })) === 0;
}

function messagesWait(gotOn: boolean): Pending {
  return { kind: 'pending', gotOn, text: 'messages of the app wait for the legacy server' };
}

async function prepare(user: User, step: Back, parts: RollbackParts): Promise<Done> {
  const failed = await parts.place.unlock(user);
  if (failed || step === 'detach' || step === 'discard') return failed;
  // A detach that another turn has begun: what the server took back then must not be returned as well.
  return user.attached?.pending === 'detach' ? leave(user, null, parts) : null;
}

/** What the apps were promised is sent; where the session is gone it is made again for that, without presence. */
async function drain(user: User, { ledger, deliveries, place }: RollbackParts): Promise<Done> {
  const { version } = user;
  const waiting = await ledger.do('toXmppWaiting', { user: user.jid });
  if (user.version !== version || waiting === 0) return null;
  if (!place.hasSession(user)) {
    const failed = await place.show(user, null);
    if (failed?.kind === 'refused') await deliveries.hopeless(user.jid, failed.condition, failed.text);
    else if (failed) return failed;
  }
  return messagesWait(false);
}

/** Copies begin before the session ends: the way to `shadow` leaves no gap. */
async function detach(user: User, parts: RollbackParts): Promise<Done> {
  const failed = user.phase === 'legacy' || isOpenToApps(user.phase) ? null : await parts.place.observe(user);
  if (failed && !isGone(failed)) return failed;
  // An attach without an answer: the name of the session has to be learned first.
  const unknown = user.attached?.pending === 'attach' ? await parts.place.show(user, null) : null;
  if (unknown && !isGone(unknown)) return unknown;
  return leave(user, 'returned', parts);
}

/** The account is no more, and with it all that the server kept. */
function isGone(failed: Failed): boolean {
  return failed.kind === 'refused' && failed.condition === 'item-not-found';
}

async function discard(user: User, { ledger, clock, deliveries }: RollbackParts): Promise<Done> {
  // A move the other way has come meanwhile: what others have, too, is still for the apps.
  if (isOpenToApps(user.phase)) return null;
  const discarded = ledger.do('discardRest', { user: user.jid, at: clock.now(), reason: 'rolled back' });
  // At once: what is accepted behind it belongs to another move.
  deliveries.ended(user.jid);
  await discarded;
  return null;
}
