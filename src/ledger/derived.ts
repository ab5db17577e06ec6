// The indexes that live as long as the process (sql/derived.sql): filled when it opens, kept up with each entry.

import { readFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { Draft } from './ledger.ts';

export interface Derived {
  added(seq: number, draft: Draft): void;
  ended(user: string, seq: number): void;
  /** A key that an entry had lost is its own again. */
  known(key: string, seq: number): void;
}

/** Builds them; takes about a second for a million entries with keys. */
export function derive(db: DatabaseSync): Derived {
  db.exec(readFileSync(new URL('./sql/derived.sql', import.meta.url), 'utf8'));
  const open = db.prepare('INSERT INTO open (user, seq) VALUES (?, ?)');
  const close = db.prepare('DELETE FROM open WHERE user = ? AND seq = ?');
  const know = db.prepare('INSERT INTO known (key, seq) VALUES (substr(?, 1, 11), ?)');
  return {
    added(seq, draft) {
      open.run(draft.user, seq);
      if (draft.refused) return;
      for (const key of [draft.archiveKey, draft.contentKey, draft.requestKey]) if (key) know.run(key, seq);
    },
    ended(user, seq) {
      close.run(user, seq);
    },
    known(key, seq) {
      know.run(key, seq);
    },
  };
}
