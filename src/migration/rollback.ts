// The way back to `legacy`, step by step, each written down before the next: after a crash the move goes on where it stood.

import type { Parts } from './reconcile.ts';
import type { Failed } from './server.ts';
import type { Shown } from './shown.ts';
import { isReturning, type Step, type User } from './users.ts';

const pollMs = 50;
/** A drain holds a place among the users under way; so long, then others have their turn. */
const maxPolls = 20;
const returnPage = 200;
/** Live traffic may bring new stanzas while the last are handed back; so often we go round before detaching anyway. */
const maxRounds = 100;

/** What a step answers: null = done; a failure = try again later. */
type Done = Failed | null;

/**
 * DESIGN §5: the new phase has stopped the apps already. Send what is accepted · await what is in flight · return what no
 * app has acknowledged, in order · detach, which gives back what we have not acknowledged · end the rest.
 * `attach` makes the session again where it was lost and something must still be sent through it.
 */
export async function rollBack(
  user: User,
  parts: Parts,
  attach: (shown: Shown | null) => Promise<Done>,
): Promise<Done> {
  /** The step begins now: nothing of it has been asked of the server yet. */
  let isFresh = false;
  const run: Partial<Record<Step, () => Promise<Done>>> = {
    drain: () => drain(user, parts, attach),
    stop: async () => {
      await parts.deliveries.published(user.jid);
      return null;
    },
    return: () => giveBackAll(user, parts),
    detach: () => detach(user, parts, isFresh),
    discard: () => discard(user, parts),
  };
  for (const step of order) {
    if (!isWanted(user)) return null;
    if (!isAt(user, step)) continue;
    const failed = await run[step]!();
    if (failed) return failed;
    await goOn(user, step, parts);
    isFresh = true;
  }
  return null;
}

const order = ['drain', 'stop', 'return', 'detach', 'discard'] as const;

/** A move in the other direction ends a rollback that has returned nothing yet. */
function isWanted(user: User): boolean {
  return (user.phase === 'legacy' && user.moving !== undefined) || isReturning(user);
}

function isAt(user: User, step: Step): boolean {
  return user.moving?.step === step;
}

/** Writes the next step down, or the end; a move in the other direction that came meanwhile begins then. */
async function goOn(user: User, step: (typeof order)[number], { users, clock, log }: Parts): Promise<void> {
  const next = order[order.indexOf(step) + 1];
  const from = user.moving?.from;
  const change = (now: User) => {
    if (now.moving?.step !== step || !isWanted(now)) return null;
    const { from, hasReturned } = now.moving;
    if (next) return { moving: { from, step: next, hasReturned: next === 'return' || hasReturned } };
    return { moving: now.phase === 'legacy' ? undefined : { from, step: 'arrange' as const } };
  };
  const note = next ? undefined : { who: 'crossfade', what: 'move.done', detail: `${from} → legacy` };
  const changed = await users.change(user, change, clock.now(), note);
  if (changed && !user.moving) log.info({ event: 'user.moved', user: user.jid, from, phase: 'legacy' });
}

/** What the apps were promised is sent, while the session still stands. */
async function drain(user: User, parts: Parts, attach: (shown: Shown | null) => Promise<Done>): Promise<Done> {
  const { ledger, server, clock, deliveries } = parts;
  for (let poll = 0; poll < maxPolls; poll++) {
    if ((await ledger.do('toXmppWaiting', { user: user.jid })) === 0 || user.phase !== 'legacy') return null;
    if (!server.up) return { kind: 'lost' };
    if (user.attached?.epoch !== server.epoch) {
      const failed = await attach(null);
      if (failed?.kind === 'refused') await deliveries.hopeless(user.jid, failed.condition, failed.text);
      else if (failed) return failed;
    }
    await new Promise<void>((resolve) => clock.after(pollMs, resolve));
  }
  return { kind: 'wait', condition: 'resource-constraint', text: 'messages of the app wait for the legacy server' };
}

/** Hands back, one after the other, what came to us alone and no app has acknowledged. */
async function giveBackAll(user: User, { ledger, server, clock, log }: Parts): Promise<Done> {
  for (let page = returnPage; page === returnPage; ) {
    const entries = await ledger.do('toReturn', { user: user.jid, limit: returnPage });
    page = entries.length;
    for (const entry of entries) {
      const answer = await server.giveBack({ user: user.jid, key: entry.key, at: entry.at, stanza: entry.original });
      const at = clock.now();
      if (answer.kind === 'refused' && answer.condition === 'item-not-found') {
        log.error({ event: 'return.impossible', user: user.jid, key: entry.key, text: 'the account is gone' });
        await ledger.do('discard', { seqs: [entry.seq], at, reason: 'the account is gone' });
      } else if (answer.kind !== 'processed') {
        // Nobody but us has this message: the move waits here, and says so, until the server takes it.
        return answer;
      } else {
        await ledger.do('returned', { seqs: [entry.seq], at });
      }
    }
  }
  return null;
}

/**
 * Ends the session when nothing of the user's is left here that the server believes delivered: whatever arrives after
 * the detach was written has n > h, and the server takes it back itself, behind all that was returned before.
 */
async function detach(user: User, parts: Parts, isFresh: boolean): Promise<Done> {
  const { ledger, server, users, clock } = parts;
  // An attach whose answer was lost has left a session that we do not know of.
  const jid = user.attached?.epoch === server.epoch ? user.attached.jid : server.jidOf(user.jid);
  // Asked before, the server may have taken things back already: they must not be returned as well.
  for (let round = 0; isFresh && round < maxRounds; round++) {
    const before = user.arrivals;
    const failed = await giveBackAll(user, parts);
    if (failed) return failed;
    if (user.arrivals === before) break;
  }
  const answer = await server.detach(jid);
  if (answer.kind === 'lost' || answer.kind === 'wait') return answer;
  if (answer.kind === 'detached') {
    const { link, epoch } = server;
    await ledger.do('takenBack', { user: user.jid, link, epoch, h: answer.h, at: clock.now(), become: 'discarded' });
  }
  await users.change(user, () => ({ attached: undefined }), clock.now());
  return giveBackAll(user, parts);
}

async function discard(user: User, { ledger, clock, deliveries }: Parts): Promise<Done> {
  await ledger.do('discardRest', { user: user.jid, at: clock.now(), reason: 'rolled back' });
  deliveries.ended(user.jid);
  return null;
}
