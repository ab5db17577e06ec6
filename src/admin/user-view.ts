// One user in full on the admin side: where it stands, what is under way, what waits and why.

import type { AuditRow, Lane, Ledger, Mark, Pile } from '../ledger/ledger.ts';
import type { Devices } from '../migration/devices.ts';
import type { Work } from '../migration/reconcile.ts';
import type { LegacyServer } from '../migration/server.ts';
import { nameOfShown } from '../migration/shown.ts';
import type { Kept, User } from '../migration/users.ts';
import { type OwnViewParts, viewOwn } from './own-view.ts';
import { rfc3339 } from './route.ts';
import { lastDepth, maxConversations, maxCounted } from './user-shape.ts';

/** Why entries of a conversation are not on their way, as flow/road has it. */
interface Holdup {
  kind: string;
  since?: number;
  until?: number;
  obstacle?: string;
  reason?: string;
  attempts?: number;
}

export interface UserViewParts extends OwnViewParts {
  devices: Devices;
  ledger: Ledger;
  server: Pick<LegacyServer, 'up' | 'epoch'>;
  workOn(user: User): Work;
  holdup(conversation: { lane: Lane; user: string; peer: string }): Holdup | null;
}

const maxAudit = 50;
const waitingStates = ['accepted', 'sent', 'acked'];

/** In lists, and while a move is waited for: costs the ledger nothing. */
export function summarize({ devices }: { devices: Devices }, user: User) {
  const { jid, phase, version, moving = null, attached, legacyLogin = null, acks, changedAt } = user;
  return {
    jid,
    phase,
    version,
    moving,
    // Without an epoch it is only what the last session was shown as.
    attached:
      attached && attached.epoch !== ''
        ? { jid: attached.jid, shown: attached.shown === undefined ? null : nameOfShown(attached.shown) }
        : null,
    app: devices.statusOf(jid),
    legacyLogin,
    acks,
    changedAt: changedAt === 0 ? null : rfc3339(changedAt),
  };
}

export async function viewUser(parts: UserViewParts, user: User) {
  const { ledger, devices } = parts;
  const [{ piles, more }, last, audit, mark] = await Promise.all([
    ledger.do('piles', { user: user.jid, limit: maxCounted }),
    ledger.do('lastEntries', { user: user.jid, depth: lastDepth }),
    ledger.do('audit', { user: user.jid, limit: maxAudit }),
    // What the gateway itself decides by is not answered while the disk is full.
    ledger.writable ? ledger.do('mark', { user: user.jid }) : null,
  ]);
  const waitingIn = (wanted: Lane) =>
    piles.reduce(
      (sum, { lane, state, count }) => sum + (lane === wanted && waitingStates.includes(state) ? count : 0),
      0,
    );
  const ofOwn = parts.own.get(user.jid);
  const timeOf = (at: number | undefined) => (at === undefined ? null : rfc3339(at));
  return {
    // After the await: as the user stands when the answer leaves.
    ...summarize(parts, user),
    linkUp: parts.server.up,
    ledgerFault: ledger.trouble,
    observed: isKept(parts, user.observed),
    locked: isKept(parts, user.locked),
    notifiedAt: timeOf(user.notifiedAt),
    work: viewWork(parts.workOn(user)),
    lastMove: lastMoveIn(audit, user),
    own: ofOwn ? viewOwn(parts, ofOwn) : null,
    archive: mark && viewMark(mark),
    devices: devices.list(user.jid).map(({ client, online, seenAt }) => ({ client, online, seenAt: rfc3339(seenAt) })),
    waiting: { toMqtt: waitingIn('toMqtt'), toXmpp: waitingIn('toXmpp') },
    conversations: conversationsOf(parts, user.jid, piles).slice(0, maxConversations),
    more,
    lastEntries: { toMqtt: timeOf(last.toMqtt), toXmpp: timeOf(last.toXmpp) },
  };
}

/** Asked for and not answered yet counts as not there. */
function isKept({ server }: UserViewParts, kept: Kept | undefined): boolean {
  return kept !== undefined && kept.epoch === server.epoch && !kept.asked;
}

function viewMark({ at, gapAt, missed }: Mark) {
  return {
    at: rfc3339(at),
    gapSince: gapAt === undefined ? null : rfc3339(gapAt),
    missed: missed ? { from: rfc3339(missed.from), to: rfc3339(missed.to), reason: missed.reason } : null,
  };
}

function viewWork(work: Work) {
  const setback = 'setback' in work ? work.setback : undefined;
  if (!setback) return { state: work.kind };
  const { attempt, condition, text, failedAt, retryAt } = setback;
  return { state: work.kind, attempt, condition, text, failedAt: rfc3339(failedAt), retryAt: rfc3339(retryAt) };
}

/** `rows`: the newest first. */
function lastMoveIn(rows: AuditRow[], user: User) {
  const asked = rows.findIndex(({ what }) => what === 'user.move');
  const move = rows[asked];
  if (!move) return null;
  const end = rows.slice(0, asked).findLast(({ what }) => what === 'move.done' || what === 'move.failed');
  // Where nothing had to be done on the legacy server, the move was its own end.
  const outcome = user.moving ? 'under way' : end?.what === 'move.failed' ? 'failed' : 'done';
  return {
    to: move.detail ?? user.phase,
    at: rfc3339(move.at),
    who: move.who,
    reason: move.reason,
    outcome,
    ...(end && !user.moving && { endedAt: rfc3339(end.at), why: end.reason }),
  };
}

function conversationsOf(parts: UserViewParts, user: string, piles: Pile[]) {
  const found = new Map<string, Pile[]>();
  for (const pile of piles) {
    const name = JSON.stringify([pile.lane, pile.peer]);
    found.set(name, [...(found.get(name) ?? []), pile]);
  }
  return [...found.values()].map((ofOne) => {
    const { lane, peer } = ofOne[0]!;
    const inState = (state: string) => ofOne.find((pile) => pile.state === state)?.count ?? 0;
    const isToGo = ofOne.some(({ state }) => ['accepted', 'sent', 'parked'].includes(state));
    const held = isToGo ? parts.holdup({ lane, user, peer }) : null;
    return {
      ...{ lane, peer, accepted: inState('accepted'), sent: inState('sent'), acked: inState('acked') },
      ...{ parked: inState('parked'), dead: inState('dead') },
      sole: ofOne.reduce((sum, { sole }) => sum + sole, 0),
      since: rfc3339(Math.min(...ofOne.map(({ since }) => since))),
      condition: ofOne.find(({ condition }) => condition !== undefined)?.condition,
      why: held && viewHoldup(held),
    };
  });
}

function viewHoldup({ since, until, ...rest }: Holdup) {
  return {
    ...rest,
    ...(since !== undefined && { since: rfc3339(since) }),
    ...(until !== undefined && { until: rfc3339(until) }),
  };
}
