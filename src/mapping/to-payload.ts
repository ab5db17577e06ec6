// XMPP → MQTT: the payload of one stanza, in one pass over its children (DESIGN §6).

import type { Element } from 'ltx';
import { valueFrom } from './kinds.ts';
import type { FieldRule, Path } from './language.ts';
import type { Claim, Level, Shape, Slot, Table } from './table.ts';
import { isNamespaceAttribute, namespaceOf, writeXml } from './xml.ts';

export interface Payload {
  channel: string;
  qos: 0 | 1;
  fields: Record<string, unknown>;
  mapping: string;
}

/** See Mappings.toPayload. */
export function toPayload(table: Table, stanza: Element): Payload {
  const fields: Record<string, unknown> = {};
  const { attrs } = stanza;
  if (attrs.id !== undefined) fields.id = attrs.id;
  if (attrs.from !== undefined) fields.from = attrs.from;
  if (attrs.to !== undefined) fields.to = attrs.to;
  if (attrs.type !== undefined) fields.type = attrs.type;
  for (const [name, field] of table.attributes) {
    const text = attrs[name];
    const value = text === undefined ? undefined : valueFrom(field.as, text);
    if (value !== undefined) fields[field.name] = value;
  }
  const slots = slotsOf(table, stanza);
  const chosen = choose(stanza, slots);
  let xml = '';
  for (const [index, child] of stanza.children.entries()) {
    if (typeof child === 'string') continue;
    const slot = slots[index];
    if (slot?.drop !== undefined) continue;
    const { claim, shape } = slot ?? {};
    const mine = claim !== undefined && (claim.many || chosen.get(claim) === child);
    // What the fields cannot say in full is not lost: the whole element also stands in xml.
    if (!mine || !shape || !take(shape, claim.many, child, fields)) xml += writeXml(child);
  }
  if (xml !== '') fields.xml = xml;
  const { channel, mapping } = table.ranks[rankOf(stanza, slots)] ?? { channel: 'stanza', mapping: 'stanza' };
  return { channel, qos: table.channels.get(channel) ?? 1, fields, mapping };
}

/** The channel a stanza belongs on. */
export function channelOf(table: Table, stanza: Element): string {
  return table.ranks[rankOf(stanza, slotsOf(table, stanza))]?.channel ?? 'stanza';
}

/** What the table knows of an element; the stanza's own namespace is jabber:client whatever the stream's is. */
export function slotOf(level: Level, element: Element): Slot | undefined {
  return level.slots.get(namespaceOf(element))?.get(element.name);
}

/** The slots of an element's children, each in its child's place. */
function slotsOf(level: Level, parent: Element): (Slot | undefined)[] {
  return parent.children.map((child) => (typeof child === 'string' ? undefined : slotOf(level, child)));
}

/** The lowest rank of a rule that holds; Infinity if none does. */
function rankOf(stanza: Element, slots: (Slot | undefined)[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (const [index, slot] of slots.entries()) {
    for (const { rank, rest } of slot?.rules ?? []) {
      if (rank < best && holds(stanza.children[index] as Element, rest, 0)) best = rank;
    }
  }
  return best;
}

function holds(element: Element, path: Path, depth: number): boolean {
  const step = path.steps[depth];
  if (!step) return path.attribute === undefined || element.attrs[path.attribute] !== undefined;
  return element.children.some(
    (child) =>
      typeof child !== 'string' &&
      namespaceOf(child) === step.namespace &&
      step.names.includes(child.name) &&
      holds(child, path, depth + 1),
  );
}

/** Of several occurrences the first, but rather one in the stanza's language than one in another (RFC 6121 §5.2.3). */
function choose(parent: Element, slots: (Slot | undefined)[]): Map<Claim, Element> {
  const chosen = new Map<Claim, Element>();
  const language = parent.attrs['xml:lang'];
  const isForeign = (element: Element) => (element.attrs['xml:lang'] ?? language) !== language;
  for (const [index, slot] of slots.entries()) {
    if (!slot?.claim) continue;
    const child = parent.children[index] as Element;
    const first = chosen.get(slot.claim);
    if (!first || (isForeign(first) && !isForeign(child))) chosen.set(slot.claim, child);
  }
  return chosen;
}

/** Reads an element's fields. False where it holds more than they say, or something that does not fit them. */
function take(shape: Shape, many: boolean, element: Element, fields: Record<string, unknown>): boolean {
  if (shape.whole) return put(fields, shape.whole, false, writeXml(element));
  let complete = true;
  let taken = false;
  const keep = (field: FieldRule | undefined, text: string) => {
    const value = field && valueFrom(field.as, text);
    if (field === undefined || value === undefined) complete = false;
    else taken = put(fields, field, many, value);
  };
  for (const name in element.attrs) {
    if (!isNamespaceAttribute(name)) keep(shape.attributes.get(name), element.attrs[name] ?? '');
  }
  let text = '';
  const chosen = shape.claims.length > 0 ? choose(element, slotsOf(shape, element)) : undefined;
  for (const child of element.children) {
    if (typeof child === 'string') {
      text += child;
      continue;
    }
    const { claim, shape: inner } = slotOf(shape, child) ?? {};
    const mine = claim !== undefined && (claim.many || chosen?.get(claim) === child);
    if (mine && inner && take(inner, claim.many, child, fields)) taken = true;
    else complete = false;
  }
  if (shape.text && (text !== '' || !shape.text.onlyIn)) keep(shape.text, text);
  else if (text.trim() !== '') complete = false;
  if (shape.named) taken = put(fields, shape.named, many, shape.name);
  if (shape.flag) taken = put(fields, shape.flag, many, true);
  return complete && taken;
}

function put(fields: Record<string, unknown>, field: FieldRule, many: boolean, value: unknown): true {
  if (!many) fields[field.name] = value;
  else if (Array.isArray(fields[field.name])) (fields[field.name] as unknown[]).push(value);
  else fields[field.name] = [value];
  return true;
}

/** A copy of a stanza's children without what only servers state: what a translation there and back must keep. */
export function withoutServerParts(table: Table, stanza: Element): Element[] {
  return stanza.children.filter((child): child is Element => {
    if (typeof child === 'string') return false;
    const slot = slotOf(table, child);
    return slot?.drop === undefined && slot?.claim?.onlyIn !== true;
  });
}
