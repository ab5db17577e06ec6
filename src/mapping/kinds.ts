// What stands at the end of a path, as text in a stanza and as a value in JSON: the scalar kinds of the mapping language.

import { isXmlText } from '../xmpp/xml-text.ts';
import type { Kind } from './language.ts';

// XEP-0082 DateTime, which is a profile of RFC 3339.
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
const integerPattern = /^-?(?:0|[1-9]\d{0,15})$/;

const isTime = (text: string) => timePattern.test(text) && !Number.isNaN(Date.parse(text));

/** The JSON value of a text or attribute, or undefined where it is not of that kind. A time stays as it is written. */
export function valueFrom(kind: Kind, text: string): string | number | undefined {
  if (kind === 'integer') {
    const value = integerPattern.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(value) && String(value) === text ? value : undefined;
  }
  if (kind === 'time') return isTime(text) ? text : undefined;
  return text;
}

/** The text for a JSON value, or else what would have been right (for the sender's eyes). */
export function textOf(kind: Kind, value: unknown): { text: string } | { wanted: string } {
  if (kind === 'integer') return Number.isSafeInteger(value) ? { text: String(value) } : { wanted: 'a whole number' };
  if (typeof value !== 'string') return { wanted: kind === 'time' ? 'a time (RFC 3339)' : 'a string' };
  if (!isXmlText(value)) return { wanted: 'free of characters that XML cannot carry' };
  return kind === 'time' && !isTime(value) ? { wanted: 'a time (RFC 3339)' } : { text: value };
}
