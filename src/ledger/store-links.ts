// Links to legacy servers: which epoch each is in, and how far it has been read (DESIGN §8, rule 1). Kept in memory beside the
// rows, and written once for each commit. There is one for the server module, or one for each client session.

import type { DatabaseSync } from 'node:sqlite';
import type { Draft } from './ledger.ts';
import type { Operations } from './operations.ts';
import type { Marks } from './store-marks.ts';

interface Link {
  readonly id: number;
  readonly epoch: string;
  readonly n: number;
}

/** What a link was before the open transaction touched it; undefined: it was not there. */
type Undo = [name: string, before: Link | undefined];

export class Links {
  readonly operations: Pick<Operations, 'position' | 'epochBegan' | 'linkRead'>;
  readonly #replace;
  readonly #advance;
  readonly #links = new Map<string, Link>();
  /** Of the open transaction, in order: so a commit costs what it has touched, however many links there are. */
  #undo: Undo[] = [];

  constructor(db: DatabaseSync, marks: Marks) {
    this.#replace = db.prepare('INSERT OR REPLACE INTO link (name, epoch, n) VALUES (?, ?, ?)');
    this.#advance = db.prepare('UPDATE link SET n = ? WHERE id = ?');
    for (const { id, name, epoch, n } of db.prepare('SELECT id, name, epoch, n FROM link').all())
      this.#links.set(String(name), { id: Number(id), epoch: String(epoch), n: Number(n) });
    this.operations = {
      position: ({ link }) => {
        const found = this.#links.get(link);
        return found ? { epoch: found.epoch, h: found.n } : null;
      },
      epochBegan: ({ link, epoch, h, at }) => {
        if (this.#links.get(link)?.epoch === epoch) return;
        this.#begin(link, epoch, h);
        marks.allOpened(at);
      },
      linkRead: ({ link, epoch, h }) => {
        const found = this.#links.get(link);
        if (found?.epoch !== epoch) this.#begin(link, epoch, h);
        else if (h > found.n) this.#put(link, { ...found, n: h });
      },
    };
  }

  /** A number the link has carried before in this epoch is `replayed`. Otherwise notes it, and gives the link's id for the entry. */
  place(position: Draft['position']): number | null | 'replayed' {
    if (!position) return null;
    const link = this.#links.get(position.link);
    if (link?.epoch !== position.epoch) return this.#begin(position.link, position.epoch, position.n);
    if (position.n <= link.n) return 'replayed';
    this.#put(position.link, { ...link, n: position.n });
    return link.id;
  }

  /** How much of the open transaction is to stay, for `restore`. */
  save(): number {
    return this.#undo.length;
  }

  restore(kept: number): void {
    for (const [name, before] of this.#undo.splice(kept).reverse()) {
      if (before) this.#links.set(name, before);
      else this.#links.delete(name);
    }
  }

  /** Writes what has changed into the open transaction. `committed` must follow the commit. */
  write(): void {
    for (const name of new Set(this.#undo.map(([name]) => name))) {
      const { id, n } = this.#links.get(name)!;
      this.#advance.run(n, id);
    }
  }

  committed(): void {
    this.#undo = [];
  }

  #put(name: string, link: Link): void {
    this.#undo.push([name, this.#links.get(name)]);
    this.#links.set(name, link);
  }

  /** The row is replaced at once: its new id stands for link and epoch. */
  #begin(name: string, epoch: string, n: number): number {
    const id = Number(this.#replace.run(name, epoch, n).lastInsertRowid);
    this.#put(name, { id, epoch, n });
    return id;
  }
}
