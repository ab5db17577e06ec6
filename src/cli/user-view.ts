// A user as the admin API gives it, and where it is asked.

export interface UserSummary {
  jid: string;
  phase: string;
  version: number;
  moving: { from: string; step: string } | null;
  /** `shown` is null while it is being changed. */
  attached: { jid: string; shown: string | null } | null;
  app: string;
  acks: boolean;
  /** Null for addresses that the configuration declares. */
  changedAt: string | null;
}

export interface UserView extends UserSummary {
  devices: { client: string; online: boolean; seenAt: string }[];
  /** Counted up to 1000 each. */
  waiting: { toMqtt: number; toXmpp: number };
}

export function userPath(jid: string): string {
  return `/api/v1/users/${encodeURIComponent(jid)}`;
}
