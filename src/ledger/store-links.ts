// Links to legacy servers: which epoch each is in, and how far it has been read (DESIGN §8, rule 1). Kept in memory beside the
// rows, and written once for each commit.

import type { DatabaseSync } from 'node:sqlite';
import type { Draft, Operations } from './ledger.ts';
import type { Marks } from './store-marks.ts';

interface Link {
  id: number;
  name: string;
  epoch: string;
  n: number;
}

export class Links {
  readonly operations: Pick<Operations, 'position' | 'epochBegan'>;
  readonly #replace;
  readonly #advance;
  #links: Link[];
  #written: Link[];

  constructor(db: DatabaseSync, marks: Marks) {
    this.#replace = db.prepare('INSERT OR REPLACE INTO link (name, epoch, n) VALUES (?, ?, ?)');
    this.#advance = db.prepare('UPDATE link SET n = ? WHERE id = ?');
    const rows = db.prepare('SELECT id, name, epoch, n FROM link').all();
    this.#links = rows.map(({ id, name, epoch, n }) => ({
      id: Number(id),
      name: String(name),
      epoch: String(epoch),
      n: Number(n),
    }));
    this.#written = this.save();
    this.operations = {
      position: ({ link }) => {
        const found = this.#find(link);
        return found ? { epoch: found.epoch, h: found.n } : null;
      },
      epochBegan: ({ link, epoch, h, at }) => {
        if (this.#find(link)?.epoch === epoch) return;
        this.#begin(link, epoch, h);
        marks.allOpened(at);
      },
    };
  }

  /** A number the link has carried before in this epoch is `replayed`. Otherwise notes it, and gives the link's id for the entry. */
  place(position: Draft['position']): number | null | 'replayed' {
    if (!position) return null;
    const link = this.#find(position.link);
    if (link?.epoch !== position.epoch) return this.#begin(position.link, position.epoch, position.n);
    if (position.n <= link.n) return 'replayed';
    link.n = position.n;
    return link.id;
  }

  save(): Link[] {
    return this.#links.map((link) => ({ ...link }));
  }

  restore(saved: Link[]): void {
    this.#links = saved;
  }

  /** Writes what has changed into the open transaction. `committed` must follow the commit. */
  write(): void {
    for (const { id, n } of this.#links) {
      if (this.#written.find((link) => link.id === id)?.n !== n) this.#advance.run(n, id);
    }
  }

  committed(): void {
    this.#written = this.save();
  }

  #find(name: string): Link | undefined {
    return this.#links.find((link) => link.name === name);
  }

  /** The row is replaced at once: its new id stands for link and epoch. */
  #begin(name: string, epoch: string, n: number): number {
    const id = Number(this.#replace.run(name, epoch, n).lastInsertRowid);
    this.#links = [...this.#links.filter((link) => link.name !== name), { id, name, epoch, n }];
    return id;
  }
}
