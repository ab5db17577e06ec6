// Makes one table of all mapping files, looked up by an element's namespace and name, from which both lanes work (DESIGN §7).

import type { Element } from 'ltx';
import type { Refusal } from '../refusal.ts';
import { NS_CLIENT } from '../xmpp/namespaces.ts';
import {
  type ChannelRule,
  type Fault,
  type FieldRule,
  MappingFault,
  type MappingFile,
  type Path,
  type StanzaKind,
  showElement,
  subscriptionTypes,
} from './language.ts';
import type { Claim, Level, Shape, Slot, Table } from './table.ts';
import { type Payload, toPayload } from './to-payload.ts';
import { toStanza } from './to-stanza.ts';

export interface Mappings {
  /** All channels that messages can be on, with their QoS: those of the mappings, and `stanza`. */
  readonly channels: ReadonlyMap<string, 0 | 1>;
  /** The namespaces an app can speak through fields, for disco#info (XEP-0030). */
  readonly features: readonly string[];
  /**
   * What the app gets of a stanza: `id`, `from`, `to`, `type` as far as they stand on it, the mapped fields, and `xml` for
   * the rest. `mapping` is the name of the one that gave the channel. Never throws on a stanza that xml-reader has read.
   */
  toPayload(stanza: Element): Payload;
  /**
   * The `<message/>` for what an app published on `channel`, without `from`; a refusal where the payload says what it
   * must not or cannot say. Never throws.
   */
  toStanza(channel: string, payload: Record<string, unknown>): Element | Refusal;
  readonly table: Table;
  /** The same for presence, which has a channel and fields of its own. */
  readonly presence: PresenceMappings;
}

export interface PresenceMappings {
  /** The channel is always `presence`; QoS 1 for what concerns a subscription, else 0. */
  toPayload(stanza: Element): Payload;
  toStanza(payload: Record<string, unknown>): Element | Refusal;
  readonly table: Table;
}

/** Throws a MappingFault where two mappings want the same thing, or the channels cannot be put in order. */
export function compile(files: MappingFile[]): Mappings {
  const faults: Fault[] = [];
  const of = (kind: StanzaKind) => files.filter(({ stanza }) => stanza === kind);
  const table = tableOf('message', of('message'), faults);
  addChannels(table, of('message'), faults);
  const presence = tableOf('presence', of('presence'), faults);
  if (faults.length > 0) throw new MappingFault(faults);
  return {
    channels: table.channels,
    features: featuresOf(of('message')),
    toPayload: (stanza) => toPayload(table, stanza),
    toStanza: (channel, payload) => toStanza(table, channel, payload),
    table,
    presence: {
      toPayload: (stanza) => presencePayload(presence, stanza),
      toStanza: (payload) => toStanza(presence, 'presence', payload),
      table: presence,
    },
  };
}

function tableOf(stanza: StanzaKind, files: MappingFile[], faults: Fault[]): Table {
  const table: Table = {
    stanza,
    slots: new Map(),
    claims: [],
    ranks: [],
    channels: new Map(stanza === 'presence' ? [['presence', 1]] : []),
    fields: new Map(),
    owners: new Map(),
    attributes: new Map(),
  };
  for (const file of files) {
    for (const field of file.fields) addField(table, field, faults);
    for (const { path, ...place } of file.drop) addDrop(table, path, place, faults);
  }
  return table;
}

function presencePayload(table: Table, stanza: Element): Payload {
  const qos = subscriptionTypes.includes(stanza.attrs.type ?? '') ? 1 : 0;
  return { ...toPayload(table, stanza), channel: 'presence', qos, mapping: 'presence' };
}

function featuresOf(files: MappingFile[]): string[] {
  const spoken = files.flatMap((file) => file.fields.filter((field) => !field.onlyIn));
  const namespaces = new Set(spoken.map((field) => field.path.steps[0]?.namespace ?? NS_CLIENT));
  namespaces.delete(NS_CLIENT);
  return [...namespaces];
}

function slotOf(level: Level, namespace: string, name: string): Slot {
  const names = level.slots.get(namespace) ?? new Map<string, Slot>();
  const slot = names.get(name) ?? { rules: [] };
  level.slots.set(namespace, names.set(name, slot));
  return slot;
}

function addField(table: Table, field: FieldRule, faults: Fault[]): void {
  const fault = (reason: string) => faults.push({ file: field.file, line: field.line, reason });
  const same = table.fields.get(field.name);
  if (same) {
    fault(`the field '${field.name}' is declared in ${same.file} already`);
    return;
  }
  table.fields.set(field.name, field);
  const { steps, attribute } = field.path;
  if (steps.length === 0) {
    const other = table.attributes.get(attribute ?? '');
    if (['id', 'from', 'to', 'type'].includes(attribute ?? ''))
      fault(`the attribute '${attribute}' is the gateway's own`);
    else if (other) fault(`the attribute '${attribute}' is the field '${other.name}' of ${other.file} already`);
    else table.attributes.set(attribute ?? '', field);
    return;
  }
  let level: Level = table;
  for (const [index, step] of steps.entries()) {
    const last = index === steps.length - 1;
    const claim = claimOf(level, step, field, last && field.as === 'list');
    if (typeof claim === 'string') {
      fault(claim);
      return;
    }
    if (index === 0) table.owners.set(field, claim);
    if (!last) level = claim.shapes[0] as Shape;
    else for (const shape of claim.shapes) settle(shape, field, fault);
  }
}

/** The claim on a step's element, made if nobody has one; the reason where another's stands in the way. */
function claimOf(level: Level, step: Path['steps'][number], field: FieldRule, many: boolean): Claim | string {
  const slots = step.names.map((name) => slotOf(level, step.namespace, name));
  const shown = `${showElement(step.namespace, step.names[0] ?? '')}`;
  const taken = slots.find((slot) => slot.claim || slot.drop);
  if (!taken) {
    const shapes = step.names.map(
      (name): Shape => ({ namespace: step.namespace, name, attributes: new Map(), slots: new Map(), claims: [] }),
    );
    const claim: Claim = { file: field.file, shapes, many, onlyIn: field.onlyIn };
    for (const [index, slot] of slots.entries()) Object.assign(slot, { claim, shape: shapes[index] });
    level.claims.push(claim);
    return claim;
  }
  const owner = taken.claim?.file ?? taken.drop;
  if (owner !== field.file) return `${shown} belongs to ${owner} already; an element has one owner`;
  if (!taken.claim) return `${shown} is dropped in the same file`;
  if (taken.claim.shapes.length > 1 || slots.length > 1) return `${shown} is one of the alternatives of another field`;
  if (taken.claim.many || many) return `${shown} is repeated by a list; it can carry no other field`;
  if (taken.claim.onlyIn !== field.onlyIn) return `the fields of ${shown} must all be 'only: in', or none`;
  return taken.claim;
}

/** Puts a field where its path ends. */
function settle(shape: Shape, field: FieldRule, fault: (reason: string) => void): void {
  const { attribute } = field.path;
  const used =
    shape.whole ??
    shape.named ??
    (attribute === undefined ? (shape.text ?? shape.flag) : shape.attributes.get(attribute));
  const full = shape.text || shape.flag || shape.attributes.size > 0 || shape.claims.length > 0;
  if (used) fault(`the field '${field.name}' stands where '${used.name}' stands already`);
  else if (field.as === 'xml' && full)
    fault(`the field '${field.name}' takes an element of which other fields take parts`);
  else if (field.as === 'xml') shape.whole = field;
  else if (field.as === 'name') shape.named = field;
  else if (field.as === 'flag') shape.flag = field;
  else if (attribute === undefined) shape.text = field;
  else shape.attributes.set(attribute, field);
}

function addDrop(table: Table, path: Path, place: { file: string; line: number }, faults: Fault[]): void {
  const [step, ...more] = path.steps;
  if (!step || more.length > 0 || path.attribute !== undefined) {
    faults.push({ ...place, reason: "'drop' names children of the stanza, such as p:name" });
    return;
  }
  for (const name of step.names) {
    const slot = slotOf(table, step.namespace, name);
    const owner = slot.claim?.file ?? slot.drop;
    if (owner === undefined) slot.drop = place.file;
    else faults.push({ ...place, reason: `${showElement(step.namespace, name)} belongs to ${owner} already` });
  }
}

function addChannels(table: Table, files: MappingFile[], faults: Fault[]): void {
  const rules = files.flatMap((file) => file.channels.map((rule) => ({ ...rule, mapping: file.name })));
  for (const { channel, qos, file, line } of rules) {
    if ((table.channels.get(channel) ?? qos) !== qos) {
      faults.push({ file, line, reason: `the channel '${channel}' has another qos in another mapping` });
    }
    table.channels.set(channel, qos);
  }
  for (const { after, file, line } of rules) {
    for (const name of after.filter((name) => !table.channels.has(name))) {
      faults.push({ file, line, reason: `after: there is no channel '${name}'` });
    }
  }
  table.channels.set('stanza', 1);
  for (const [rank, rule] of inOrder(rules, faults).entries()) {
    table.ranks.push({ channel: rule.channel, mapping: rule.mapping });
    for (const { steps, attribute } of rule.when) {
      const [first, ...rest] = steps;
      for (const name of first?.names ?? []) {
        slotOf(table, first?.namespace ?? '', name).rules.push({ rank, rest: { steps: rest, attribute } });
      }
    }
  }
}

/** The order of the files, as far as `after` leaves it free. */
function inOrder<Rule extends ChannelRule>(rules: Rule[], faults: Fault[]): Rule[] {
  const waiting = [...rules];
  const placed: Rule[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex((rule) => !waiting.some((other) => rule.after.includes(other.channel)));
    if (next < 0) {
      const names = [...new Set(waiting.map((rule) => rule.channel))].join(', ');
      const { file, line } = waiting[0] as Rule;
      faults.push({ file, line, reason: `after: the channels ${names} wait for each other in a circle` });
      return placed;
    }
    placed.push(...waiting.splice(next, 1));
  }
  return placed;
}
