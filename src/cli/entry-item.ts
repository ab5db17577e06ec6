// An entry of the ledger as the admin API gives it, and where it is asked.

import type { EntryView } from '../ledger/ledger.ts';

const timeNames = ['at', 'acceptedAt', 'sentAt', 'ackedAt', 'appAckedAt', 'endedAt', 'expiresAt'] as const;

/** Times are RFC 3339. */
export type EntryItem = Omit<EntryView, (typeof timeNames)[number]> &
  Record<'at' | 'acceptedAt', string> &
  Partial<Record<'sentAt' | 'ackedAt' | 'appAckedAt' | 'endedAt' | 'expiresAt', string>>;

/** What an operator did to it. */
export interface ActItem {
  at: string;
  who: string;
  what: string;
  reason?: string;
}

export const stateNames = [
  ...(['accepted', 'sent', 'acked', 'settled', 'parked', 'dead', 'returned', 'discarded'] as const),
];

export function entryPath(key: string): string {
  return `/api/v1/ledger/${encodeURIComponent(key)}`;
}
