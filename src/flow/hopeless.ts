// What a user's apps were promised and nobody can ever be sent: it is dead, and they are told.

import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { AppNotices } from './app-notices.ts';
import type { Deliver } from './deliver.ts';
import type { Fault } from './road.ts';

const page = 1_000;

export interface HopelessParts {
  ledger: Ledger;
  notices: AppNotices;
  deliver: Deliver;
  clock: Clock;
}

export async function endHopeless(user: string, { condition, text }: Fault, parts: HopelessParts): Promise<void> {
  const { ledger, notices, deliver, clock } = parts;
  for (const state of ['accepted', 'sent'] as const) {
    for (;;) {
      const entries = await ledger.do('entries', { lane: 'toXmpp', user, state, limit: page });
      if (entries.length === 0) break;
      const at = clock.now();
      await Promise.all(entries.map(({ seq }) => ledger.do('refused', { seq, at, condition, text })));
      for (const { id } of entries) notices.error(user, { id, condition, text });
    }
  }
  deliver.forget('toXmpp', user);
}
