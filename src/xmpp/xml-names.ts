// Namespaces of one start tag (Namespaces in XML 1.0), resolved into the canonical form all parts above work with.

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

/**
 * Resolves a start tag. jabber:component:accept is read as jabber:client (XEP-0114: the same stanzas under another name), so
 * that what comes on the stream and what comes inside an envelope look alike. A condition instead of a tag: it is not allowed.
 */
export function resolveTag(
  rawName: string,
  names: string[],
  values: string[],
  outer: Scope,
): StartTag | StreamCondition {
  const declared = declarations(names, values, outer);
  if (typeof declared === 'string') return declared;
  const colon = rawName.indexOf(':');
  let name = rawName;
  let uri: string | undefined = declared.defaultNs;
  if (colon >= 0) {
    name = rawName.slice(colon + 1);
    if (colon === 0 || !isNcName(name)) return 'not-well-formed';
    uri = declared.prefixes.get(rawName.slice(0, colon));
    if (uri === undefined) return 'bad-namespace-prefix';
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
  return { name, attrs, scope: { ns, defaultNs: declared.defaultNs, prefixes: declared.prefixes } };
}

/** The default namespace and the prefixes inside the tag. */
function declarations(
  names: string[],
  values: string[],
  outer: Scope,
): Pick<Scope, 'defaultNs' | 'prefixes'> | StreamCondition {
  let { defaultNs } = outer;
  let added: Map<string, string> | undefined;
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at]!;
    if (!name.startsWith('xmlns')) continue;
    const uri = values[at]!;
    if (name === 'xmlns') {
      if (uri === NS_XML || uri === NS_XMLNS) return 'bad-namespace-prefix';
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
  return prefix !== 'xmlns' && uri !== '' && uri !== NS_XML && uri !== NS_XMLNS;
}

// NCName, as far as UTF-16 code units go: expat, which both servers use, knows no names beyond them either.
const asciiName = /^[A-Za-z_][\w.-]*$/;
const start =
  'A-Z_a-z\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u02FF\\u0370-\\u037D\\u037F-\\u1FFF\\u200C-\\u200D\\u2070-\\u218F\\u2C00-\\u2FEF\\u3001-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFFD';
const anyName = new RegExp(`^[${start}][${start}\\u00B7\\u0300-\\u036F\\u203F-\\u2040.0-9-]*$`);

/** A name without a colon (Namespaces in XML §3). */
export function isNcName(name: string): boolean {
  return asciiName.test(name) || anyName.test(name);
}

/** Sets an own property even for `__proto__`, which is a legal XML name. */
function put(attrs: Record<string, string>, name: string, value: string): void {
  if (name === '__proto__')
    Object.defineProperty(attrs, name, { value, enumerable: true, writable: true, configurable: true });
  else attrs[name] = value;
}
