// One message, translated to its payload and back, and what of it did not come back. Pure.

import { Element } from 'ltx';
import type { Mappings } from '../mapping/compile.ts';
import { forApp } from '../mapping/examples.ts';
import { slotOf } from '../mapping/to-payload.ts';
import { namespaceOf, parseXml } from '../mapping/xml.ts';
import { isRefusal, type Refusal } from '../refusal.ts';
import { NS_CLIENT, NS_STANZA_ERRORS } from '../xmpp/namespaces.ts';
import { readError } from '../xmpp/stanza-error.ts';
import { differencesOf, elementsIn, type Loss, matched, nameOf } from './difference.ts';
import { type Rule, ruleOf } from './rules.ts';

export interface Comparison {
  channel: string;
  mapping: string;
  /** In: what the app would get. Out: what an app would publish to say the same. */
  fields: Record<string, unknown>;
  /** The message's children, without those of a rule. */
  elements: { namespace: string; name: string; kept: boolean }[];
  /** Empty: equal. */
  losses: Loss[];
  rules: Rule[];
}

type Fields = Record<string, unknown>;

/** Stands where the app has to name somebody: which one makes no difference to a mapping. */
const somebody = 'somebody@example.com';
/** More children than that are not tried one by one. */
const maxTogether = 40;
const envelope = ['id', 'from', 'to', 'type'] as const;

/** `dir`: to the user (`in`), or from one of its clients (`out`). The stanza is as xml-reader reads it, and stays as it is. */
export function compare(mappings: Mappings, stanza: Element, dir: 'in' | 'out'): Comparison {
  const rules = new Set<Rule>();
  if (stanza.attrs.type === 'error') return dir === 'in' ? compareError(stanza, rules) : unsaidError(stanza);
  const own = elementsIn(stanza).filter((child) => {
    const rule = ruleOf(child);
    if (rule) rules.add(rule);
    return rule === undefined;
  });
  const compared = dir === 'in' ? compareIn(mappings, stanza, own, rules) : compareOut(mappings, stanza, own, rules);
  if (stanza.children.some((child) => typeof child === 'string' && child.trim() !== ''))
    compared.losses.push({ path: 'message#text', namespace: NS_CLIENT, kind: 'lost' });
  return compared;
}

function compareIn(mappings: Mappings, stanza: Element, own: Element[], rules: Set<Rule>): Comparison {
  const { table } = mappings;
  const { channel, mapping, fields } = mappings.toPayload(stanza);
  // What only servers state is in the payload, but no app may say it, so that way back is closed.
  const stated = own.filter((child) => slotOf(table, child)?.claim?.onlyIn !== true);
  const { xml, ...rest } = fields;
  const said: Fields = forApp(table, rest);
  for (const name of envelope) delete said[name];
  const back = new Element('message');
  const built = toAnyStanza(mappings, channel, { ...said, to: somebody });
  if (!isRefusal(built)) Object.assign(back.attrs, built.attrs);
  delete back.attrs.to;
  for (const name of envelope) if (fields[name] !== undefined) back.attrs[name] = String(fields[name]);
  const verbatim = typeof xml === 'string' ? parseXml(xml) : [];
  if (!verbatim) {
    // Written out it is larger than anybody reads.
    const losses: Loss[] = [{ path: 'message', namespace: NS_CLIENT, kind: 'refused' }];
    return { channel, mapping, fields, elements: [], losses, rules: [...rules] };
  }
  // Where a field says a part of an element, the whole of it is in `xml`: that part is no addition.
  const whole = new Set(verbatim.map(nameOf));
  const isPart = (child: Element) => whole.has(nameOf(child));
  back.children = [...(isRefusal(built) ? [] : elementsIn(built)), ...verbatim];
  return finish({ channel, mapping, fields }, { stanza, own: stated, back, rules, isPart });
}

function compareOut(mappings: Mappings, stanza: Element, own: Element[], rules: Set<Rule>): Comparison {
  const losses: Loss[] = [];
  const sayable = sayableOf(mappings, stanza, own);
  const isSayable = new Set(sayable);
  const unsaid = own.filter((child) => !isSayable.has(child));
  for (const child of unsaid) losses.push({ path: nameOf(child), namespace: namespaceOf(child), kind: 'refused' });
  const attrs: Record<string, string> = { ...stanza.attrs };
  if (attrs.to === undefined) rules.add('to');
  if (attrs.id === undefined) rules.add('id');
  for (const name of ['id', 'type'] as const) {
    if (attrs[name] === undefined) continue;
    const said = say(mappings, withChildren(stanza, { to: somebody, [name]: attrs[name] }, []));
    if (!isRefusal(said.back)) continue;
    losses.push({ path: `message@${name}`, namespace: NS_CLIENT, kind: 'refused' });
    delete attrs[name];
  }
  rules.add('from');
  const { back, ...payload } = say(mappings, withChildren(stanza, { ...attrs, to: attrs.to ?? somebody }, sayable));
  if (isRefusal(back)) losses.push({ path: 'message', namespace: NS_CLIENT, kind: 'refused' });
  const rest = withChildren(stanza, attrs, sayable);
  delete rest.attrs.from;
  const got = isRefusal(back) ? withChildren(stanza, { ...rest.attrs }, sayable) : back;
  if (rest.attrs.to === undefined) delete got.attrs.to;
  const compared = finish(payload, { stanza: rest, own: sayable, back: got, rules, isPart: () => false });
  const elements = unsaid.map((child) => ({ namespace: namespaceOf(child), name: child.name, kept: false }));
  return { ...compared, elements: [...compared.elements, ...elements], losses: [...losses, ...compared.losses] };
}

/** Children that an app can say: each by itself and, where all together are refused, each beside those before it. */
function sayableOf(mappings: Mappings, stanza: Element, own: Element[]): Element[] {
  const isSaid = (children: Element[]) =>
    !isRefusal(say(mappings, withChildren(stanza, { to: somebody }, children)).back);
  // Then the message is refused as a whole.
  if (own.length > maxTogether || isSaid(own)) return own;
  const each = own.filter((child) => isSaid([child]));
  if (isSaid(each)) return each;
  const together: Element[] = [];
  for (const child of each) if (isSaid([...together, child])) together.push(child);
  return together;
}

/** What an app would publish to say this, and what the server would then get. */
function say(
  mappings: Mappings,
  stanza: Element,
): Pick<Comparison, 'channel' | 'mapping' | 'fields'> & { back: Element | Refusal } {
  const { channel, mapping, fields } = mappings.toPayload(stanza);
  const said = forApp(mappings.table, fields);
  return { channel, mapping, fields: said, back: mappings.toStanza(channel, said) };
}

/** On another channel, if an element that is only in `xml` has chosen this one. */
function toAnyStanza(mappings: Mappings, channel: string, fields: Fields): Element | Refusal {
  const built = mappings.toStanza(channel, fields);
  if (!isRefusal(built)) return built;
  for (const other of mappings.channels.keys()) {
    const again = mappings.toStanza(other, fields);
    if (!isRefusal(again)) return again;
  }
  return built;
}

interface Ways {
  stanza: Element;
  own: Element[];
  back: Element;
  rules: Set<Rule>;
  /** Whether a child that came back beside another one is no addition. */
  isPart(child: Element): boolean;
}

function finish(payload: Pick<Comparison, 'channel' | 'mapping' | 'fields'>, ways: Ways): Comparison {
  const { stanza, own, back, rules, isPart } = ways;
  const losses: Loss[] = [];
  const bare = (attrs: Record<string, string>) => withChildren(stanza, attrs, []);
  for (const loss of differencesOf(bare(stanza.attrs), bare(back.attrs), { path: 'message', namespace: NS_CLIENT })) {
    if (loss.path === 'message@xml:lang' && loss.kind === 'lost') rules.add('lang');
    else losses.push(loss);
  }
  const { pairs, lost, added } = matched(own, elementsIn(back));
  const placeOf = (child: Element) => ({ path: nameOf(child), namespace: namespaceOf(child) });
  const failed = new Set<Element>(lost);
  for (const child of lost) losses.push({ ...placeOf(child), kind: 'lost' });
  for (const child of added) if (!isPart(child)) losses.push({ ...placeOf(child), kind: 'added' });
  for (const [was, is] of pairs) {
    failed.add(was);
    losses.push(...differencesOf(was, is, placeOf(was)));
  }
  const elements = own.map((child) => ({ namespace: namespaceOf(child), name: child.name, kept: !failed.has(child) }));
  return { ...payload, elements, losses, rules: [...rules] };
}

/** Apps are told the condition and the text, which stand for the error's type as well (RFC 6120 §8.3.3). */
function compareError(stanza: Element, rules: Set<Rule>): Comparison {
  const { condition, text } = readError(stanza);
  const { id, from, to } = stanza.attrs;
  const losses: Loss[] = [];
  const elements: Comparison['elements'] = [];
  for (const child of elementsIn(stanza)) {
    if (child.name !== 'error' || namespaceOf(child) !== NS_CLIENT) {
      rules.add(ruleOf(child) ?? 'bounced');
      continue;
    }
    const told = (inner: Element) => namespaceOf(inner) === NS_STANZA_ERRORS;
    const untold = elementsIn(child).filter((inner) => !told(inner));
    for (const inner of untold)
      losses.push({ path: `{${NS_CLIENT}}error/${nameOf(inner)}`, namespace: NS_CLIENT, kind: 'lost' });
    elements.push({ namespace: NS_CLIENT, name: 'error', kept: untold.length === 0 });
  }
  const fields = { id, from, to, condition, text };
  return { channel: 'error', mapping: 'error', fields, elements, losses, rules: [...rules] };
}

function unsaidError({ attrs: { id, to } }: Element): Comparison {
  return { channel: 'error', mapping: 'error', fields: { id, to }, elements: [], losses: [], rules: ['error'] };
}

/** A message with other attributes and children, which go on belonging to the first one. */
function withChildren(stanza: Element, attrs: Record<string, string>, children: Element[]): Element {
  const copy = new Element(stanza.name);
  copy.attrs = { ...attrs };
  copy.children = children;
  return copy;
}
