// Addresses (RFC 7622) in prepared form, so that the same user is the same key everywhere; XEP-0106 escaping of local parts.

import tr46 from 'tr46';

/** The three parts, prepared; an absent part is ''. */
export interface Jid {
  readonly local: string;
  readonly domain: string;
  readonly resource: string;
}

/** Bytes of UTF-8 in each part (RFC 7622 §3.2–3.4). */
const maxPartBytes = 1023;
/** Bytes of a domain: no name in the DNS has more, and a longer one takes IDNA milliseconds. */
const maxDomainBytes = 253;

/**
 * Reads an address and prepares its parts. Null if it is malformed: an empty part, one over 1023 bytes (a domain over
 * 253), or a code point its profile forbids. Pure ASCII is decided by table; docs/decisions/jid-preparation.md says what is done for the rest.
 */
export function parseJid(text: string): Jid | null {
  const slash = text.indexOf('/');
  const at = text.indexOf('@');
  const end = slash < 0 ? text.length : slash;
  const hasLocal = at >= 0 && at < end;
  const domain = prepareDomain(text.slice(hasLocal ? at + 1 : 0, end));
  if (domain === null) return null;
  const local = hasLocal ? prepareLocal(text.slice(0, at)) : '';
  if (local === null) return null;
  const resource = slash < 0 ? '' : prepareResource(text.slice(slash + 1));
  return resource === null ? null : { local, domain, resource };
}

/** `local@domain`, or the domain alone. */
export function bareOf(jid: Jid): string {
  return jid.local === '' ? jid.domain : `${jid.local}@${jid.domain}`;
}

/** The address as text, with the resource where it has one. */
export function fullOf(jid: Jid): string {
  return jid.resource === '' ? bareOf(jid) : `${bareOf(jid)}/${jid.resource}`;
}

/** The prepared bare address of a bare or full one: the key of a user or a peer. Null if malformed. */
export function prepareBare(text: string): string | null {
  const jid = parseJid(text);
  return jid && bareOf(jid);
}

// One entry per ASCII code: may it stand in a part as it is (1), after lower-casing (2), or not without a closer look (0)?
const localTable = new Uint8Array(128);
const domainTable = new Uint8Array(128);
const resourceTable = new Uint8Array(128);
for (let code = 0x20; code < 0x7f; code += 1) {
  const char = String.fromCharCode(code);
  const upper = /[A-Z]/.test(char);
  resourceTable[code] = 1;
  if (!/[ "&'/:<>@]/.test(char)) localTable[code] = upper ? 2 : 1;
  if (/[A-Za-z0-9._-]/.test(char)) domainTable[code] = upper ? 2 : 1;
}

/** The part if the table allows all of it; undefined if the slow way has to decide. */
function asciiPart(part: string, table: Uint8Array): string | undefined {
  const { length } = part;
  if (length === 0 || length > maxPartBytes) return undefined;
  let upper = false;
  for (let at = 0; at < length; at += 1) {
    const code = part.charCodeAt(at);
    const allowed = code < 128 ? table[code] : 0;
    if (allowed === 0) return undefined;
    if (allowed === 2) upper = true;
  }
  return upper ? part.toLowerCase() : part;
}

/** RFC 7622 §3.3: UsernameCaseMapped (RFC 8265 §3.3) without the eight characters XMPP forbids. */
function prepareLocal(part: string): string | null {
  const ascii = asciiPart(part, localTable);
  if (ascii !== undefined) return ascii;
  const prepared = untilStable(part, (text) => withoutWidths(text).toLowerCase().normalize('NFC'));
  if (prepared === null || notInUsername.test(prepared) || hasLooseJoiner(prepared)) return null;
  for (const char of prepared) if (char >= '\u0080' && char.normalize('NFKC') !== char.normalize('NFC')) return null;
  return withinLimit(prepared);
}

/** RFC 7622 §3.4: OpaqueString (RFC 8265 §4.2), with the joiners and variation selectors that emoji are made of. */
function prepareResource(part: string): string | null {
  const ascii = asciiPart(part, resourceTable);
  if (ascii !== undefined) return ascii;
  if (!part.isWellFormed()) return null;
  const prepared = part.replace(/\p{Zs}/gu, ' ').normalize('NFC');
  return notInResource.test(prepared) ? null : withinLimit(prepared);
}

/**
 * RFC 7622 §3.2, with 253 bytes at most: IDNA by UTS 46, A-labels become U-labels, a final dot goes. Underscores are let
 * through, as servers do.
 */
export function prepareDomain(part: string): string | null {
  if (part.length > maxDomainBytes) return null;
  const ascii = asciiPart(part, domainTable);
  if (ascii !== undefined && plainDomain.test(ascii)) return ascii;
  if (Buffer.byteLength(part) > maxDomainBytes) return null;
  const simple = ascii !== undefined && !ascii.includes('xn--') ? ascii : undefined;
  const text = simple ?? (ipv6.test(part) ? part.toLowerCase() : idna(part));
  if (text === null) return null;
  const domain = text.endsWith('.') ? text.slice(0, -1) : text;
  if (domain.startsWith('.') || domain.endsWith('.') || domain.includes('..')) return null;
  return domain === '' || Buffer.byteLength(domain) > maxDomainBytes ? null : domain;
}

/** Letters, digits and single dots between them: nothing to look at. */
const plainDomain = /^[a-z0-9]+(?:\.[a-z0-9]+)*$/;
const ipv6 = /^\[[0-9a-f:.]{2,45}\]$/i;

function idna(part: string): string | null {
  if (!part.isWellFormed()) return null;
  const { domain, error } = tr46.toUnicode(part, { checkBidi: true, checkJoiners: true });
  const settled = error ? null : domain;
  return settled === null || notInDomain.test(settled) ? null : settled;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is named by its range
const notInDomain = /(?![a-z0-9._-])[\u0000-\u007f]/;

// IdentifierClass (RFC 8264 §4.2): letters, digits, marks and ASCII; what RFC 5892 §2.6 excepts is named one by one.
// Compatibility forms are refused in prepareLocal, Old Hangul Jamo and default-ignorable code points here.
const notInUsername =
  /["&'/:<>@]|[^\x21-\x7e\p{Ll}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}\u06fd\u06fe\u0f0b\u3007\u200c\u200d]|(?!\u200c|\u200d)\p{Default_Ignorable_Code_Point}|[\u0640\u07fa\u302e\u302f\u3031-\u3035\u303b\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]/u;
const notInResource =
  /\p{Cc}|\p{Noncharacter_Code_Point}|(?!\u200c|\u200d|[\ufe00-\ufe0f])\p{Default_Ignorable_Code_Point}/u;

/** RFC 5892 appendix A.1 and A.2: a joiner stands after a virama (the rule for joining scripts is left out on purpose). */
function hasLooseJoiner(text: string): boolean {
  return /(?<![\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2])[\u200c\u200d]/.test(text);
}

/** RFC 8265 §3.3.1: full-width and half-width forms become what they are forms of. */
function withoutWidths(text: string): string {
  return text.replace(/[\u3000\uff01-\uffee]/g, (char) => char.normalize('NFKC'));
}

/** RFC 8264 §7: a preparation is repeated until nothing changes, three times at most. */
function untilStable(text: string, prepare: (text: string) => string): string | null {
  if (text.length > maxPartBytes || !text.isWellFormed()) return null;
  let before = text;
  for (let round = 0; round < 4; round += 1) {
    const after = prepare(before);
    if (after === before) return after;
    before = after;
  }
  return null;
}

function withinLimit(part: string): string | null {
  const bytes = Buffer.byteLength(part);
  return bytes === 0 || bytes > maxPartBytes ? null : part;
}

const escapes: Record<string, string> = {
  ' ': '\\20',
  '"': '\\22',
  '&': '\\26',
  "'": '\\27',
  '/': '\\2f',
  ':': '\\3a',
  '<': '\\3c',
  '>': '\\3e',
  '@': '\\40',
  '\\': '\\5c',
};
const unescapes = new Map(Object.entries(escapes).map(([char, code]) => [code, char]));

/** XEP-0106: any name as a local part. Null where it begins or ends with a space (§4.1), or is empty. */
export function escapeLocal(name: string): string | null {
  if (name === '' || name.startsWith(' ') || name.endsWith(' ')) return null;
  // A backslash is escaped only where it would read as the start of an escape.
  return name.replace(/[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)/g, (char) => escapes[char] ?? char);
}

/** XEP-0106: a local part as the name it was made of. */
export function unescapeLocal(local: string): string {
  return local.replace(/\\(?:20|22|26|27|2f|3a|3c|3e|40|5c)/g, (code) => unescapes.get(code) ?? code);
}
