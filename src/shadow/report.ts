// What was compared so far, counted: in memory and bounded, with samples that have structure only.

import type { Comparison } from './compare.ts';
import type { Loss, LossKind } from './difference.ts';
import { shown, shownNamespace } from './outline.ts';
import { type Rule, rules } from './rules.ts';

export type Direction = 'in' | 'out';

export interface Sample {
  /** ms since 1970. */
  at: number;
  user: string;
  /** See outline.ts. */
  outline: string;
}

export interface LossCount {
  path: string;
  namespace: string;
  kind: LossKind;
  dir: Direction;
  stanzas: number;
  samples: Sample[];
}

/** Each list with the greatest count first. */
export interface ShadowView {
  since: number;
  stanzas: { in: number; out: number };
  equal: number;
  different: number;
  /** The comparison itself failed; the log has `shadow.failed`. */
  failed: number;
  copies: { published: number; dropped: number };
  mappings: { mapping: string; channel: string; stanzas: number; equal: number }[];
  elements: { namespace: string; name: string; stanzas: number; kept: number }[];
  losses: LossCount[];
  rules: { rule: Rule; about: string; stanzas: number }[];
  users: { user: string; stanzas: number; different: number; lastAt: number }[];
  /** Names and users that found no room in the lists, or had to leave them. */
  beyond: number;
}

const maxNames = 500;
const maxUsers = 1000;
const maxSamples = 3;
const maxPath = 256;

/** A table that has an end: when it is full, what was seen only once goes first, so that made-up names cannot keep real ones out. */
class Counts<Row extends { stanzas: number }> {
  readonly rows = new Map<string, Row>();
  readonly #max: number;
  beyond = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Null where there is no room. */
  row(key: string, make: () => Row): Row | null {
    const known = this.rows.get(key);
    if (known) return known;
    if (this.rows.size >= this.#max) {
      this.beyond++;
      const single = this.#single();
      if (single === undefined) return null;
      this.rows.delete(single);
    }
    const made = make();
    this.rows.set(key, made);
    return made;
  }

  /** One that was seen only once. Not by a copy of the table: a stanza may bring thousands of new names. */
  #single(): string | undefined {
    for (const [key, { stanzas }] of this.rows) if (stanzas <= 1) return key;
    return undefined;
  }

  sorted(): Row[] {
    return [...this.rows.values()].sort((one, other) => other.stanzas - one.stanzas);
  }
}

/** One message that was compared. */
export interface Compared {
  comparison: Comparison;
  user: string;
  dir: Direction;
  at: number;
  /** Asked for only where a sample is kept. */
  outline: () => string;
}

export class Report {
  #since: number;
  #stanzas = { in: 0, out: 0 };
  #equal = 0;
  #failed = 0;
  #copies = { published: 0, dropped: 0 };
  #mappings = new Counts<ShadowView['mappings'][number]>(maxNames);
  #elements = new Counts<ShadowView['elements'][number]>(maxNames);
  #losses = new Counts<LossCount>(maxNames);
  #rules = new Map<Rule, number>();
  #users = new Counts<ShadowView['users'][number]>(maxUsers);

  constructor(now: number) {
    this.#since = now;
  }

  /** Forgets everything. */
  reset(now: number): void {
    this.#since = now;
    this.#stanzas = { in: 0, out: 0 };
    this.#copies = { published: 0, dropped: 0 };
    this.#equal = 0;
    this.#failed = 0;
    this.#mappings = new Counts(maxNames);
    this.#elements = new Counts(maxNames);
    this.#losses = new Counts(maxNames);
    this.#rules = new Map();
    this.#users = new Counts(maxUsers);
  }

  add({ comparison, user, dir, at, outline }: Compared): void {
    const { channel, mapping, elements, losses } = comparison;
    const isEqual = losses.length === 0;
    this.#stanzas[dir]++;
    if (isEqual) this.#equal++;
    const byMapping = this.#mappings.row(`${mapping} ${channel}`, () => ({ mapping, channel, stanzas: 0, equal: 0 }));
    if (byMapping) {
      byMapping.stanzas++;
      if (isEqual) byMapping.equal++;
    }
    const byUser = this.#users.row(user, () => ({ user, stanzas: 0, different: 0, lastAt: at }));
    if (byUser) {
      byUser.stanzas++;
      byUser.lastAt = at;
      if (!isEqual) byUser.different++;
    }
    for (const rule of comparison.rules) this.#rules.set(rule, (this.#rules.get(rule) ?? 0) + 1);
    this.#addElements(elements);
    if (isEqual) return;
    const sample: Sample = { at, user, outline: outline() };
    for (const loss of onceEach(losses, ({ kind, path }) => `${kind} ${path}`)) this.#addLoss(loss, dir, sample);
  }

  failed(): void {
    this.#failed++;
  }

  /** What became of the copy on the broker. */
  copied(isPublished: boolean): void {
    this.#copies[isPublished ? 'published' : 'dropped']++;
  }

  /** `namespace`: only elements and losses of it. `user`: only that user's row and samples; the counts are everybody's. */
  view({ user, namespace }: { user?: string; namespace?: string } = {}): ShadowView {
    const isIn = (row: { namespace: string }) => namespace === undefined || row.namespace === namespace;
    const isOf = (row: { user: string }) => user === undefined || row.user === user;
    const lists = [this.#mappings, this.#elements, this.#losses, this.#users];
    return {
      since: this.#since,
      stanzas: { ...this.#stanzas },
      equal: this.#equal,
      different: this.#stanzas.in + this.#stanzas.out - this.#equal,
      failed: this.#failed,
      copies: { ...this.#copies },
      mappings: this.#mappings.sorted(),
      elements: this.#elements.sorted().filter(isIn),
      losses: this.#losses
        .sorted()
        .filter(isIn)
        .map((loss) => ({ ...loss, samples: loss.samples.filter(isOf) })),
      rules: [...this.#rules].map(([rule, stanzas]) => ({ rule, about: rules[rule], stanzas })),
      users: this.#users.sorted().filter(isOf),
      beyond: lists.reduce((sum, { beyond }) => sum + beyond, 0),
    };
  }

  /** A stanza with several of one kind counts once, and as kept only if all of them were. */
  #addElements(elements: Comparison['elements']): void {
    const keyOf = ({ namespace, name }: Comparison['elements'][number]) => `${namespace} ${name}`;
    const unkept = new Set(elements.filter(({ kept }) => !kept).map(keyOf));
    for (const element of onceEach(elements, keyOf)) {
      const [namespace, name] = [shownNamespace(element.namespace), shown(element.name)];
      const row = this.#elements.row(`${namespace} ${name}`, () => ({ namespace, name, stanzas: 0, kept: 0 }));
      if (!row) continue;
      row.stanzas++;
      if (!unkept.has(keyOf(element))) row.kept++;
    }
  }

  #addLoss(loss: Loss, dir: Direction, sample: Sample): void {
    const [path, namespace] = [shown(loss.path, maxPath), shownNamespace(loss.namespace)];
    const { kind } = loss;
    const make = (): LossCount => ({ path, namespace, kind, dir, stanzas: 0, samples: [] });
    const row = this.#losses.row(`${dir} ${kind} ${path}`, make);
    if (!row) return;
    row.stanzas++;
    // The newest of each kind of stanza: three that look the same would say no more than one.
    row.samples = [sample, ...row.samples.filter(({ outline }) => outline !== sample.outline)].slice(0, maxSamples);
  }
}

function onceEach<Item>(items: readonly Item[], keyOf: (item: Item) => string): Iterable<Item> {
  return new Map(items.map((item) => [keyOf(item), item])).values();
}
