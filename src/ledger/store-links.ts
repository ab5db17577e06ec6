// The store's rows about links to legacy servers: which epoch each is in, and how far it has been read (DESIGN §8, rule 1).

import type { DatabaseSync } from 'node:sqlite';
import type { Draft, Operations } from './ledger.ts';

export interface Links {
  /** A number the link has carried before in this epoch is `replayed`. Otherwise notes it, and gives the link's id for the entry. */
  place(position: Draft['position']): number | null | 'replayed';
  readonly operations: Pick<Operations, 'position' | 'epochBegan'>;
}

export function links(db: DatabaseSync): Links {
  const read = db.prepare('SELECT id, epoch, n FROM link WHERE name = ?');
  const advance = db.prepare('UPDATE link SET n = ? WHERE id = ?');
  const replace = db.prepare('INSERT OR REPLACE INTO link (name, epoch, n) VALUES (?, ?, ?)');
  return {
    place(position) {
      if (!position) return null;
      const row = read.get(position.link);
      if (row?.epoch !== position.epoch) {
        return Number(replace.run(position.link, position.epoch, position.n).lastInsertRowid);
      }
      if (position.n <= Number(row.n)) return 'replayed';
      advance.run(position.n, row.id!);
      return Number(row.id);
    },
    operations: {
      position({ link }) {
        const row = read.get(link);
        return row ? { epoch: String(row.epoch), h: Number(row.n) } : null;
      },
      epochBegan({ link, epoch, h }) {
        if (read.get(link)?.epoch !== epoch) replace.run(link, epoch, h);
      },
    },
  };
}
