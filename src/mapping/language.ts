// The mapping language (docs/mappings.md): paths into a stanza, what a mapping file may say, and the faults found in one.

import { NS_CLIENT } from '../xmpp/namespaces.ts';

/** Of paths without prefix. */
export const clientNamespace = NS_CLIENT;

/** How the place at the end of a path becomes a JSON value. */
export const kinds = ['text', 'flag', 'integer', 'time', 'name', 'list', 'xml'] as const;
export type Kind = (typeof kinds)[number];

/** One step: an element; `names` has more than one entry only in the last step of a path with alternatives, `c:{a,b}`. */
export interface Step {
  namespace: string;
  names: string[];
}

/** From the stanza down: elements, then an attribute or else the last element's text. No steps: an attribute of the stanza. */
export interface Path {
  steps: Step[];
  attribute?: string;
}

export interface Place {
  file: string;
  line: number;
}

export interface FieldRule extends Place {
  name: string;
  path: Path;
  as: Kind;
  /** Only the server may state it: refused from apps. */
  onlyIn: boolean;
  about: string;
}

/** The stanza belongs on `channel` when one of the paths in `when` is there, and no rule that comes earlier holds. */
export interface ChannelRule extends Place {
  channel: string;
  when: Path[];
  qos: 0 | 1;
  after: string[];
}

export interface Example extends Place {
  stanza: string;
  publish: { topic: string; qos: 0 | 1; payload: Record<string, unknown> };
}

/** What a mapping is about. Presence knows neither channels nor, among stanzas, messages: it has fields of its own. */
export const stanzaKinds = ['message', 'presence'] as const;
export type StanzaKind = (typeof stanzaKinds)[number];

export interface MappingFile extends Place {
  stanza: StanzaKind;
  /** The file's name without `.yaml`; it is what the ledger notes as an entry's mapping. */
  name: string;
  /** `RFC 6121` or `XEP-0184`. */
  source: string;
  title: string;
  /** The version of the XEP that was followed. */
  version?: string;
  channels: ChannelRule[];
  fields: FieldRule[];
  /** Elements that servers add and that say nothing to an app. */
  drop: (Place & { path: Path })[];
  examples: Example[];
}

export interface Fault extends Place {
  reason: string;
}

/** Thrown with everything that is wrong with a set of mapping files; the message has one `file:line: reason` per line. */
export class MappingFault extends Error {
  readonly faults: Fault[];

  constructor(faults: Fault[]) {
    const lines = faults.map((fault) => `${fault.file}:${fault.line}: ${fault.reason}`);
    super(`the mappings cannot be used:\n${lines.join('\n')}`);
    this.name = 'MappingFault';
    this.faults = faults;
  }
}

/** Names that the gateway itself writes into payloads; no mapping may use them. */
export const reservedFields = ['id', 'key', 'from', 'to', 'type', 'at', 'direction', 'copy', 'xml'];
/** Of these, what an app may send. */
export const appFields = ['id', 'to', 'type', 'xml'];
/** Channels with a meaning of their own; no mapping may serve them. */
export const reservedChannels = ['presence', 'roster', 'room', 'request', 'reply', 'ack', 'error', 'stanza'];
/** RFC 6121 §5.2.2, without `error`: a contact's error is told on in/error. */
export const messageTypes = ['chat', 'groupchat', 'normal', 'headline'];
/** RFC 6121 §4.7.1: what an app may say of somebody's subscription, or needs an answer to; each is an entry of its own. */
export const subscriptionTypes = ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed'];
/** The same without `probe`, which is the server's, and `error`; none means available. */
export const presenceTypes = ['unavailable', ...subscriptionTypes];

const name = '[A-Za-z_][A-Za-z0-9_.-]*';
const stepPattern = new RegExp(`^(?:(${name}):)?(?:(${name})|\\{(${name}(?:,${name})*)\\})$`);
const attributePattern = new RegExp(`^(?:xml:lang|${name})$`);

/** Reads `prefix:name/prefix:name@attribute`; a name without prefix is in jabber:client. Gives the reason where it is no path. */
export function parsePath(text: string, namespaces: ReadonlyMap<string, string>): Path | string {
  const [way = '', attribute, ...more] = text.split('@');
  if (more.length > 0 || (attribute !== undefined && !attributePattern.test(attribute))) {
    return `bad path '${text}': after @ comes one attribute, a plain name or xml:lang`;
  }
  if (way === '' && attribute === undefined) return 'bad path: it is empty';
  const steps: Step[] = [];
  for (const part of way === '' ? [] : way.split('/')) {
    const match = stepPattern.exec(part);
    if (!match) return `bad path '${text}': '${part}' is no element (prefix:name)`;
    const [, prefix, single, several] = match;
    const namespace = prefix === undefined ? clientNamespace : namespaces.get(prefix);
    if (namespace === undefined) return `bad path '${text}': the prefix '${prefix}' is not declared under namespaces`;
    steps.push({ namespace, names: single === undefined ? (several ?? '').split(',') : [single] });
  }
  const open = steps.findIndex((step) => step.names.length > 1);
  if (open >= 0 && (open < steps.length - 1 || attribute !== undefined)) {
    return `bad path '${text}': {…} may only stand at its end`;
  }
  return attribute === undefined ? { steps } : { steps, attribute };
}

/** For people: `<received xmlns='urn:xmpp:receipts'>`. */
export function showElement(namespace: string, elementName: string): string {
  return namespace === clientNamespace ? `<${elementName}>` : `<${elementName} xmlns='${namespace}'>`;
}
