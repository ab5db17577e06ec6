// MQTT → XMPP: the message or presence of one payload, and every reason not to make it (DESIGN §6).

import { Element } from 'ltx';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { isXmlText } from '../xmpp/xml-text.ts';
import { textOf } from './kinds.ts';
import {
  appFields,
  clientNamespace,
  type FieldRule,
  messageTypes,
  presenceTypes,
  reservedFields,
  showElement,
} from './language.ts';
import type { Claim, Shape, Table } from './table.ts';
import { channelOf, slotOf } from './to-payload.ts';
import { namespaceOf, parseAppXml } from './xml.ts';

/** Bytes of UTF-8 (DESIGN §6). */
const maxIdBytes = 256;

/** What stands in the stanza for each field of the payload: a text, several, an element, or only that it is there. */
type Values = Map<FieldRule, string | string[] | Element | true>;

/** See Mappings.toStanza. */
export function toStanza(table: Table, channel: string, payload: Record<string, unknown>): Element | Refusal {
  if (!table.channels.has(channel)) return refuse('item-not-found', `there is no channel '${channel}'`);
  const values = readValues(table, payload);
  if (isRefusal(values)) return values;
  const envelope = readEnvelope(payload, table.stanza === 'presence' ? presenceTypes : messageTypes);
  if (isRefusal(envelope)) return envelope;
  const stanza = new Element(table.stanza, envelope);
  for (const [attribute, field] of table.attributes) {
    const text = values.get(field);
    if (typeof text === 'string') stanza.attrs[attribute] = text;
  }
  const used = new Set<Claim | undefined>();
  for (const field of values.keys()) used.add(table.owners.get(field));
  const built = new Map<Claim, Element>();
  for (const claim of table.claims) {
    if (!used.has(claim)) continue;
    for (const element of build(claim, values, clientNamespace)) {
      stanza.append(element);
      built.set(claim, element);
    }
  }
  const rest = readXml(table, payload.xml, built, stanza.attrs['xml:lang']);
  if (isRefusal(rest)) return rest;
  stanza.append(...rest);
  if (table.stanza === 'presence') return stanza;
  const right = channelOf(table, stanza);
  return right === channel ? stanza : refuse('bad-request', `this belongs on out/${right}, not on out/${channel}`);
}

function readEnvelope(payload: Record<string, unknown>, types: string[]): Record<string, string> | Refusal {
  const { id, to, type } = payload;
  if (typeof to !== 'string' || to === '' || !isXmlText(to)) return refuse('bad-request', "'to' must be an address");
  if (type !== undefined && !types.includes(type as string)) {
    return refuse('bad-request', `'type' must be one of ${types.join(', ')}`);
  }
  if (
    id !== undefined &&
    (typeof id !== 'string' || id === '' || !isXmlText(id) || Buffer.byteLength(id) > maxIdBytes)
  ) {
    return refuse('bad-request', `'id' must be a string of 1 to ${maxIdBytes} bytes`);
  }
  const envelope: Record<string, string> = { to };
  if (typeof type === 'string') envelope.type = type;
  if (typeof id === 'string') envelope.id = id;
  return envelope;
}

function readValues(table: Table, payload: Record<string, unknown>): Values | Refusal {
  const values: Values = new Map();
  for (const name of Object.keys(payload)) {
    if (appFields.includes(name)) continue;
    const field = table.fields.get(name);
    if (reservedFields.includes(name) || field?.onlyIn) {
      return refuse('bad-request', `'${name}' is stated by the server, not by an app`);
    }
    if (!field) return refuse('bad-request', `there is no field '${name.slice(0, 64)}'`);
    const value = readValue(field, payload[name]);
    if (isRefusal(value)) return value;
    if (value !== false) values.set(field, value);
  }
  return values;
}

function readValue(field: FieldRule, value: unknown): string | string[] | Element | boolean | Refusal {
  const wanted = (what: string) => refuse('bad-request', `'${field.name}' must be ${what}`);
  if (field.as === 'flag') return typeof value === 'boolean' ? value : wanted('true or false');
  if (field.as === 'list') {
    if (!Array.isArray(value)) return wanted('a list of strings');
    const texts = value.map((item) => textOf('text', item));
    const bad = texts.find((text) => 'wanted' in text);
    return bad ? wanted(`a list, each item ${bad.wanted}`) : texts.map((text) => ('text' in text ? text.text : ''));
  }
  const text = textOf(field.as, value);
  if ('wanted' in text) return wanted(text.wanted);
  const last = field.path.steps.at(-1);
  if (field.as === 'name' && !last?.names.includes(text.text)) return wanted(`one of ${last?.names.join(', ')}`);
  if (field.as !== 'xml') return text.text;
  const elements = parseAppXml(field.name, text.text);
  if (isRefusal(elements) && elements.name !== 'bad-request') return elements;
  const [element, ...more] = isRefusal(elements) ? [] : elements;
  const fits =
    element && more.length === 0 && last?.names.includes(element.name) && namespaceOf(element) === last.namespace;
  return fits ? element : wanted(`one element ${showElement(last?.namespace ?? '', last?.names[0] ?? '')}`);
}

/** The elements of one claim: none if no field of it has a value. */
function build(claim: Claim, values: Values, outer: string): Element[] {
  return claim.shapes.flatMap((shape) => {
    const whole = shape.whole && values.get(shape.whole);
    if (whole instanceof Element) return [whole];
    if (shape.named) return values.get(shape.named) === shape.name ? [elementOf(shape, outer)] : [];
    if (!claim.many) return buildOne(shape, values, outer);
    const [attribute, field] = shape.attributes.entries().next().value ?? [undefined, shape.text];
    const items = field && values.get(field);
    return (Array.isArray(items) ? items : []).map((item) => {
      const element = elementOf(shape, outer);
      if (attribute === undefined) return element.t(item);
      element.attrs[attribute] = item;
      return element;
    });
  });
}

function buildOne(shape: Shape, values: Values, outer: string): Element[] {
  const element = elementOf(shape, outer);
  let used = shape.flag !== undefined && values.has(shape.flag);
  for (const [attribute, field] of shape.attributes) {
    const text = values.get(field);
    if (typeof text !== 'string') continue;
    element.attrs[attribute] = text;
    used = true;
  }
  const text = shape.text && values.get(shape.text);
  if (typeof text === 'string') {
    if (text !== '') element.t(text);
    used = true;
  }
  for (const inner of shape.claims) {
    for (const child of build(inner, values, shape.namespace)) {
      element.append(child);
      used = true;
    }
  }
  return used ? [element] : [];
}

function elementOf(shape: Shape, outer: string): Element {
  return new Element(shape.name, shape.namespace === outer ? {} : { xmlns: shape.namespace });
}

/** What only a server may say (a prefix of a namespace; top level only, where a server or client would act on it). */
const serverOwned = [
  'jabber:server',
  'jabber:component:',
  'jabber:iq:register',
  'jabber:x:delay',
  'http://etherx.jabber.org/streams',
  'urn:crossfade:',
  'urn:ietf:params:xml:ns:xmpp-',
  'urn:xmpp:carbons:',
  'urn:xmpp:delay',
  'urn:xmpp:delegation:',
  'urn:xmpp:mam:',
  'urn:xmpp:privilege:',
  'urn:xmpp:sid:0',
  'urn:xmpp:sm:',
];

function readXml(
  table: Table,
  xml: unknown,
  built: ReadonlyMap<Claim, Element>,
  language: string | undefined,
): Element[] | Refusal {
  if (xml === undefined) return [];
  if (typeof xml !== 'string') return refuse('bad-request', "'xml' must be a string");
  const elements = parseAppXml('xml', xml);
  if (isRefusal(elements)) return elements;
  for (const element of elements) {
    const namespace = namespaceOf(element);
    const shown = showElement(namespace, element.name);
    const slot = slotOf(table, element);
    const stated = slot?.claim && built.get(slot.claim);
    const own = element.attrs['xml:lang'];
    // One owner for each element; but the same text in a further language has no other place (RFC 6121 §5.2.3).
    if (stated && own !== undefined && own !== (stated.attrs['xml:lang'] ?? language)) continue;
    if (slot?.drop !== undefined || slot?.claim?.onlyIn || serverOwned.some((start) => namespace.startsWith(start))) {
      return refuse('forbidden', `${shown} in 'xml': only the server may say this`);
    }
    if (slot?.claim) return refuse('bad-request', `${shown} in 'xml': this has a field of its own`);
    if (namespace === clientNamespace) return refuse('bad-request', `${shown} in 'xml' is not known`);
  }
  return elements;
}
