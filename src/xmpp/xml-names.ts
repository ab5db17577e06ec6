// Namespaces of one start tag (Namespaces in XML 1.0), resolved into the canonical form all parts above work with.

import { isNcName } from './name-chars.ts';
import { NS_CLIENT, NS_COMPONENT, NS_XML, NS_XMLNS } from './namespaces.ts';

/** What the inside of an element inherits: the element's own namespace, the default one, the prefixes. */
export interface Scope {
  readonly ns: string;
  readonly defaultNs: string;
  readonly prefixes: ReadonlyMap<string, string>;
}

export interface StartTag {
  /** Without prefix. */
  name: string;
  /** `xmlns` first, and only where it differs from the parent's; prefixed attributes with their prefix's declaration. */
  attrs: Record<string, string>;
  scope: Scope;
}

/** Names of RFC 6120 §4.9.3 that a reader can end a stream with. */
export type StreamCondition =
  | 'bad-format'
  | 'bad-namespace-prefix'
  | 'invalid-namespace'
  | 'not-well-formed'
  | 'policy-violation'
  | 'restricted-xml';

const prefixes: ReadonlyMap<string, string> = new Map([['xml', NS_XML]]);
export const outermost: Scope = { ns: '', defaultNs: '', prefixes };
/** The inside of a stream: stanzas have no `xmlns` attribute there. */
export const insideStream: Scope = { ns: NS_CLIENT, defaultNs: NS_CLIENT, prefixes };

/** The names in a tag, as they stand there, and what can be said of them wherever it stands. */
export interface TagNames {
  readonly rawName: string;
  readonly attributes: readonly string[];
  /** Where among the attributes `xmlns` is, or -1. */
  readonly xmlnsAt: number;
  /** Some name has a colon. */
  readonly prefixed: boolean;
}

export function tagNames(rawName: string, attributes: readonly string[]): TagNames {
  const prefixed = rawName.includes(':') || attributes.some((name) => name.includes(':'));
  return { rawName, attributes, xmlnsAt: attributes.indexOf('xmlns'), prefixed };
}

/**
 * Resolves a start tag. jabber:component:accept is read as jabber:client (XEP-0114: the same stanzas under another name), so
 * that what comes on the stream and what comes inside an envelope look alike. A condition instead of a tag: it is not allowed.
 */
export function resolveTag(tag: TagNames, values: readonly string[], outer: Scope): StartTag | StreamCondition {
  return tag.prefixed ? resolvePrefixed(tag, values, outer) : resolvePlain(tag, values, outer);
}

function resolvePlain(tag: TagNames, values: readonly string[], outer: Scope): StartTag | StreamCondition {
  const { rawName: name, attributes, xmlnsAt } = tag;
  const defaultNs = xmlnsAt < 0 ? outer.defaultNs : values[xmlnsAt]!;
  if (xmlnsAt >= 0 && !isNamespaceName(defaultNs)) return 'bad-namespace-prefix';
  const ns = defaultNs === NS_COMPONENT ? NS_CLIENT : defaultNs;
  const attrs: Record<string, string> = {};
  if (ns !== outer.ns) attrs.xmlns = ns;
  for (let at = 0; at < attributes.length; at += 1) if (at !== xmlnsAt) put(attrs, attributes[at]!, values[at]!);
  return { name, attrs, scope: scopeOf(ns, defaultNs, outer.prefixes, outer) };
}

function resolvePrefixed(tag: TagNames, values: readonly string[], outer: Scope): StartTag | StreamCondition {
  const { rawName, attributes: names } = tag;
  const declared = declarations(names, values, outer);
  if (typeof declared === 'string') return declared;
  const colon = rawName.indexOf(':');
  let name = rawName;
  let uri: string | undefined = declared.defaultNs;
  if (colon >= 0) {
    name = rawName.slice(colon + 1);
    if (colon === 0 || !isNcName(name)) return 'not-well-formed';
    uri = declared.prefixes.get(rawName.slice(0, colon));
    // An element of `xml:` cannot be written without its prefix, which the canonical form has not.
    if (uri === undefined || uri === NS_XML) return 'bad-namespace-prefix';
  }
  const ns = uri === NS_COMPONENT ? NS_CLIENT : uri;
  const attrs: Record<string, string> = {};
  if (ns !== outer.ns) attrs.xmlns = ns;
  let expanded: Set<string> | undefined;
  for (let at = 0; at < names.length; at += 1) {
    const attribute = names[at]!;
    const mark = attribute.indexOf(':');
    if (mark < 0) {
      if (attribute !== 'xmlns') put(attrs, attribute, values[at]!);
    } else if (!attribute.startsWith('xmlns:')) {
      const prefix = attribute.slice(0, mark);
      const local = attribute.slice(mark + 1);
      if (mark === 0 || !isNcName(local)) return 'not-well-formed';
      const bound = declared.prefixes.get(prefix);
      if (bound === undefined) return 'bad-namespace-prefix';
      expanded ??= new Set();
      if (expanded.size === expanded.add(`${bound} ${local}`).size) return 'not-well-formed';
      if (prefix !== 'xml') put(attrs, `xmlns:${prefix}`, bound);
      put(attrs, attribute, values[at]!);
    }
  }
  return { name, attrs, scope: scopeOf(ns, declared.defaultNs, declared.prefixes, outer) };
}

/** The outer scope itself where nothing has changed. */
function scopeOf(ns: string, defaultNs: string, prefixes: Scope['prefixes'], outer: Scope): Scope {
  const isSame = ns === outer.ns && defaultNs === outer.defaultNs && prefixes === outer.prefixes;
  return isSame ? outer : { ns, defaultNs, prefixes };
}

/** What can be said of a tag that does not resolve: its local name, cut, and the attributes without a prefix. */
export function plainTag(
  rawName: string,
  names: readonly string[],
  values: readonly string[],
  outer: Scope,
  maxName: number,
): StartTag {
  const attrs: Record<string, string> = {};
  for (const [at, name] of names.entries()) {
    if (!name.startsWith('xmlns') && !name.includes(':')) put(attrs, name, values[at]!);
  }
  return { name: rawName.slice(rawName.lastIndexOf(':') + 1).slice(0, maxName), attrs, scope: outer };
}

/** The default namespace and the prefixes inside the tag. */
function declarations(
  names: readonly string[],
  values: readonly string[],
  outer: Scope,
): Pick<Scope, 'defaultNs' | 'prefixes'> | StreamCondition {
  let { defaultNs } = outer;
  let added: Map<string, string> | undefined;
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at]!;
    if (!name.startsWith('xmlns')) continue;
    const uri = values[at]!;
    if (name === 'xmlns') {
      if (!isNamespaceName(uri)) return 'bad-namespace-prefix';
      defaultNs = uri;
    } else if (name[5] === ':') {
      const prefix = name.slice(6);
      if (!isNcName(prefix)) return 'not-well-formed';
      if (!mayBind(prefix, uri)) return 'bad-namespace-prefix';
      added ??= new Map(outer.prefixes);
      added.set(prefix, uri);
    }
  }
  return { defaultNs, prefixes: added ?? outer.prefixes };
}

/** Namespaces in XML §2.2 and §3: `xml` is bound for good, `xmlns` never, a prefix not to nothing. */
export function mayBind(prefix: string, uri: string): boolean {
  if (prefix === 'xml') return uri === NS_XML;
  return prefix !== 'xmlns' && uri !== '' && isNamespaceName(uri);
}

const notInUri = /[\s<>"{}|\\^`]/;
/** All in ASCII: `\s` has so many ranges that each character costs a search in a list. */
const plainUri = /^[!#-;=?-[\]_a-z~]*$/;

/**
 * May this be a default namespace? Not the two that are reserved (Namespaces in XML §3), and none with a character that no URI
 * has: expat joins namespace and name with one of those, and refuses a namespace that has it (CVE-2022-25236).
 */
export function isNamespaceName(uri: string): boolean {
  return uri !== NS_XML && uri !== NS_XMLNS && (plainUri.test(uri) || !notInUri.test(uri));
}

/** Sets an own property even for `__proto__`, which is a legal XML name. */
function put(attrs: Record<string, string>, name: string, value: string): void {
  if (name === '__proto__')
    Object.defineProperty(attrs, name, { value, enumerable: true, writable: true, configurable: true });
  else attrs[name] = value;
}
