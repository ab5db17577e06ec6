// Where a user stands, in sentences: made of what the admin API tells, and of nothing else.

import type { ConversationItem, OwnView, UserView } from './user-view.ts';
import { ago, ahead, counted, listed } from './words.ts';

const phases: Record<string, string> = {
  legacy: 'everything is on XMPP, and the gateway does nothing for this user',
  shadow: 'everything is on XMPP; the gateway watches and compares, and nobody notices',
  dual: 'the app has the conversation beside the legacy clients',
  mqtt: 'the app has the conversation',
};
const steps: Record<string, string> = {
  drain: 'what the apps have sent goes to the legacy server',
  stop: 'what is on its way to the broker is awaited',
  return: 'what no app has acknowledged is handed back',
  detach: 'the session on the legacy server is ended',
  discard: 'what somebody else has is ended',
  arrange: 'the legacy server is brought to what the phase wants',
};
const obstacles: Record<string, string> = {
  'broker-down': 'the broker is not connected',
  'broker-unknown': 'the broker has not told yet since when it runs, at most 12 seconds after it was connected',
  'not-published': 'nothing is published to the apps in this phase, or while a move to it is under way',
  'offline-window': 'the broker holds as many as it may while no device is online (mqtt.offlineWindow)',
  'link-down': 'the link to the legacy server is down',
  'no-session': 'the user has no session on the legacy server at the moment',
  stopping: 'the gateway is being stopped',
};

/** Without line ends; the first says the most. */
export function explainUser(user: UserView, now = Date.now()): string[] {
  const { jid, phase, own } = user;
  const sentences = [
    own ? `${jid} lives on the gateway's own domain.` : `${jid} is in phase ${phase}: ${phases[phase] ?? phase}.`,
    own && explainOwn(own),
    user.ledgerFault &&
      `The gateway's ledger cannot be written, so that nothing can be done for this user: ${user.ledgerFault}.`,
    explainMove(user, now),
    explainWork(user, now),
    own ? null : explainServer(user),
    explainLogins(user, now),
    explainApp(user, now),
    explainWaiting(user),
    explainLast(user, now),
    explainArchive(user, now),
  ];
  return sentences.filter((sentence) => sentence !== null);
}

/** Who sees the user, and what becomes of others that want to. */
function explainOwn({ added, name, subscriptions, listed, contacts }: OwnView): string {
  const { see, asking, seen, asked } = contacts;
  const waits = [
    ...(asking > 0 ? [`${asking} more ${asking === 1 ? 'waits' : 'wait'} for an answer`] : []),
    ...(asked > 0 ? [`it waits for the answer of ${asked}`] : []),
  ];
  const rest = waits.length > 0 ? `; ${waits.join('; ')}` : '';
  const policy = subscriptions === 'accept' ? 'granted at once' : 'given to its app';
  const origin = added ? 'It was added by an operator' : 'The configuration declares it';
  const place = listed ? ' and listed' : '';
  return `${origin}${place}; contacts know it as "${name}". ${counted(see, 'contact sees it', 'contacts see it')}, and it sees ${seen}${rest}. A request is ${policy}.`;
}

function explainMove({ lastMove, moving, phase }: UserView, now: number): string | null {
  if (!lastMove) return null;
  const { to, at, who, reason, outcome, endedAt, why } = lastMove;
  const asked = `${ago(at, now)} by ${who}${reason === undefined ? '' : ` (${reason})`}`;
  if (moving) {
    const step = steps[moving.step] ?? '';
    return `A move from ${moving.from} to ${phase}, asked for ${asked}, is under way, at the step ${moving.step}${step && `: ${step}`}.`;
  }
  if (outcome === 'failed')
    return `The last move, to ${to}, asked for ${asked}, failed ${ago(endedAt ?? at, now)}: ${why ?? 'the audit has no reason'}.`;
  return `The last move, to ${to}, was asked for ${asked}, and is done.`;
}

function explainWork({ work }: UserView, now: number): string | null {
  const { state, attempt, condition, text, failedAt, retryAt } = work;
  if (state === 'link-down')
    return 'The link to the legacy server is down; it goes on by itself when the link is back.';
  if (state === 'in-line') return 'It is in line: a few users are worked on at a time.';
  if (attempt === undefined || failedAt === undefined) return null;
  const failed = `The legacy server did not do it ${ago(failedAt, now)}, at attempt ${attempt} (${[condition, text].filter(Boolean).join(': ')})`;
  return state === 'running'
    ? `${failed}; it is being tried again.`
    : `${failed}; it is tried again ${ahead(retryAt ?? failedAt, now)}.`;
}

function explainServer({ attached, observed, locked, linkUp, phase }: UserView): string | null {
  const parts: string[] = [];
  if (attached) {
    const shown =
      attached.shown === null
        ? 'its presence is being changed, or it is out of sight while it hands back'
        : `shown as ${attached.shown}`;
    parts.push(`the gateway holds the session ${attached.jid} (${shown})`);
  }
  if (observed) parts.push('the gateway gets copies of what the user sends and receives');
  if (locked) parts.push('legacy clients may not log in');
  if (parts.length > 0)
    return `On the legacy server ${listed(parts)}${linkUp ? '' : ', as far as is known: the link to it is down'}.`;
  if (phase === 'legacy') return null;
  return linkUp
    ? 'On the legacy server there is nothing for this user at the moment.'
    : 'The link to the legacy server is down.';
}

const logins: Record<string, string> = {
  allow: 'may log in',
  notify: 'may log in, and are told once that the user has moved',
  deny: 'may not log in while the user is in phase mqtt',
};

/** What was set for this user alone; the rest is in the configuration. */
function explainLogins({ legacyLogin, notifiedAt }: UserView, now: number): string | null {
  const parts: string[] = [];
  if (legacyLogin !== null) parts.push(`Legacy clients of this user ${logins[legacyLogin] ?? legacyLogin}.`);
  if (notifiedAt !== null) parts.push(`One was told of the move ${ago(notifiedAt, now)}.`);
  return parts.length === 0 ? null : parts.join(' ');
}

function explainApp({ app, devices, acks }: UserView, now: number): string {
  const online = devices.filter((device) => device.online).map(({ client }) => client);
  const last = devices.toSorted((one, other) => (one.seenAt < other.seenAt ? 1 : -1))[0];
  const acknowledge = acks ? 'its apps acknowledge what they get' : 'its apps have never acknowledged anything';
  if (online.length > 0) return `Online: ${listed(online)}; ${acknowledge}.`;
  if (app === 'unknown')
    return 'Which devices are online is not known yet: the gateway, or the broker, was started a moment ago.';
  if (!last) return 'No device is known.';
  return `No device is online; the last, ${last.client}, was seen ${ago(last.seenAt, now)}; ${acknowledge}.`;
}

function explainWaiting({ conversations, more }: UserView): string {
  const sum = (of: (one: ConversationItem) => number) => conversations.reduce((total, one) => total + of(one), 0);
  const open = sum(openIn);
  if (open === 0) return 'Nothing waits.';
  const parts = [
    [sum(({ accepted, sent }) => accepted + sent), 'to be sent'],
    [sum(({ acked }) => acked), 'with the broker'],
    [sum(({ parked }) => parked), 'parked'],
    [sum(({ dead }) => dead), 'refused for good'],
  ] as const;
  const each = parts.flatMap(([n, what]) => (n > 0 ? [`${n} ${what}`] : []));
  const sole = sum((one) => (one.lane === 'toMqtt' ? one.sole : 0));
  const ours = sole > 0 ? `; ${sole} of them nobody else has` : '';
  return `${more ? 'More than ' : ''}${counted(open, 'message is', 'messages are')} open: ${listed(each)}${ours}.`;
}

function explainLast({ lastEntries: { toMqtt, toXmpp } }: UserView, now: number): string | null {
  if (toMqtt === null && toXmpp === null) return null;
  const parts = [
    ...(toMqtt === null ? [] : [`to the apps ${ago(toMqtt, now)}`]),
    ...(toXmpp === null ? [] : [`from the apps ${ago(toXmpp, now)}`]),
  ];
  return `The last message came ${listed(parts)}.`;
}

const missedReasons: Record<string, string> = {
  'no-archive': 'there is no archive',
  'mark-unknown': 'the archive has forgotten where we were',
  'archive-refused': 'the archive does not answer',
};

function explainArchive({ archive }: UserView, now: number): string | null {
  if (!archive) return null;
  const { gapSince, missed } = archive;
  const parts: string[] = [];
  if (gapSince !== null) parts.push(`What came since ${gapSince} may be missing, and is asked for from the archive.`);
  if (missed !== null)
    parts.push(
      `Messages between ${missed.from} and ${missed.to} may be missing for good: ${missedReasons[missed.reason] ?? missed.reason} (${ago(missed.to, now)}).`,
    );
  return parts.length === 0 ? null : parts.join(' ');
}

const openIn = ({ accepted, sent, acked, parked, dead }: ConversationItem) => accepted + sent + acked + parked + dead;

/** One conversation: who, how much, and why it waits. */
export function explainConversation(one: ConversationItem, now = Date.now()): { head: string; why: string | null } {
  const { lane, peer, since, condition, dead } = one;
  const parts = (
    [
      [one.accepted + one.sent, 'to be sent'],
      [one.acked, 'with the broker'],
      [one.parked, 'parked'],
      [dead, `refused for good${condition === undefined ? '' : ` (${condition})`}`],
    ] as const
  ).flatMap(([n, what]) => (n > 0 ? [`${n} ${what}`] : []));
  return {
    head: `${lane === 'toMqtt' ? 'from' : 'to'} ${peer}: ${listed(parts)}, the oldest came ${ago(since, now)}`,
    why: whyOf(one, now),
  };
}

function whyOf({ why, acked, dead, accepted, sent, parked }: ConversationItem, now: number): string | null {
  if (why?.kind === 'in-flight') return `one is on its way since ${ago(why.since ?? '', now)}, and not answered yet`;
  if (why?.kind === 'parked')
    return `nobody has subscribed; parked ${ago(why.since ?? '', now)}, tried again when a device comes online, at the latest 10 minutes later`;
  if (why?.kind === 'retrying')
    return `not taken at attempt ${why.attempts}: ${why.reason}; tried again ${ahead(why.until ?? '', now)}`;
  if (why?.kind === 'closed') return obstacles[why.obstacle ?? ''] ?? why.obstacle ?? null;
  if (why?.kind === 'in-line') return 'it is about to go';
  if (parked > 0)
    return 'nobody has subscribed; tried again when a device comes online, at the latest 10 minutes later';
  if (acked > 0) return 'settled when the broker has it safely and an app has it';
  if (dead > 0 && accepted + sent === 0) return 'an operator decides: crossfade ledger retry, return or discard';
  return null;
}
