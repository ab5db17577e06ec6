// What all mapping files together say, looked up by an element's namespace and name: the table that compile makes and both lanes work from.

import type { FieldRule, Path, StanzaKind } from './language.ts';

/** One element that fields read: where in it their values stand. */
export interface Shape extends Level {
  namespace: string;
  name: string;
  attributes: Map<string, FieldRule>;
  text?: FieldRule;
  flag?: FieldRule;
  named?: FieldRule;
  whole?: FieldRule;
}

/** An element, or one out of several alternatives, that belongs to a mapping. */
export interface Claim {
  file: string;
  shapes: Shape[];
  /** Every occurrence is taken (as: list), not only one. */
  many: boolean;
  onlyIn: boolean;
}

/** What is known of an element by its namespace and name. */
export interface Slot {
  claim?: Claim;
  shape?: Shape;
  /** It belongs on a channel if the rest of the path is there; the lowest rank wins. */
  rules: { rank: number; rest: Path }[];
  drop?: string;
}

export interface Level {
  slots: Map<string, Map<string, Slot>>;
  /** In the order in which they are written. */
  claims: Claim[];
}

export interface Table extends Level {
  stanza: StanzaKind;
  /** By rank. */
  ranks: { channel: string; mapping: string }[];
  channels: Map<string, 0 | 1>;
  fields: Map<string, FieldRule>;
  /** The child of the stanza in which a field stands. */
  owners: Map<FieldRule, Claim>;
  attributes: Map<string, FieldRule>;
}
