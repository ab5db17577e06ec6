// A user as the admin API gives it, and where it is asked.

export interface UserSummary {
  jid: string;
  phase: string;
  version: number;
  moving: { from: string; step: string } | null;
  /** `shown` is null while it is being changed. */
  attached: { jid: string; shown: string | null } | null;
  app: string;
  /** Null: what the configuration says. */
  legacyLogin: string | null;
  acks: boolean;
  /** Null for addresses that the configuration declares. */
  changedAt: string | null;
}

/** Open entries of one conversation in one direction. */
export interface ConversationItem {
  lane: string;
  peer: string;
  accepted: number;
  sent: number;
  acked: number;
  parked: number;
  dead: number;
  sole: number;
  since: string;
  condition?: string;
  why: {
    kind: string;
    obstacle?: string;
    reason?: string;
    attempts?: number;
    since?: string;
    until?: string;
  } | null;
}

/** What is kept of an address on the component's own domain. */
export interface OwnView {
  added: boolean;
  name: string;
  mqttUsername: string;
  subscriptions: string;
  listed: boolean;
  profile: {
    name?: string;
    about?: string;
    url?: string;
    email?: string;
    organization?: string;
    avatar?: { bytes: number };
  };
  contacts: { see: number; asking: number; seen: number; asked: number };
}

export interface UserView extends UserSummary {
  linkUp: boolean;
  ledgerFault: string | null;
  observed: boolean;
  locked: boolean;
  notifiedAt: string | null;
  work: {
    state: string;
    attempt?: number;
    condition?: string;
    text?: string;
    failedAt?: string;
    retryAt?: string;
  };
  lastMove: {
    to: string;
    at: string;
    who: string;
    reason?: string;
    outcome: string;
    endedAt?: string;
    why?: string;
  } | null;
  /** Null for everybody else. */
  own: OwnView | null;
  archive: {
    at: string;
    gapSince: string | null;
    missed: { from: string; to: string; reason: string } | null;
  } | null;
  devices: { client: string; online: boolean; seenAt: string }[];
  waiting: { toMqtt: number; toXmpp: number };
  conversations: ConversationItem[];
  /** There are more open entries than were counted. */
  more: boolean;
  lastEntries: { toMqtt: string | null; toXmpp: string | null };
}

export function userPath(jid: string): string {
  return `/api/v1/users/${encodeURIComponent(jid)}`;
}
