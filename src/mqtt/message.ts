// Payloads: one JSON object (RFC 8259) in UTF-8; reading what apps send and writing the gateway's own answers. Pure.

import { isRefusal, type Refusal, refuse } from '../refusal.ts';

export type Payload = Record<string, unknown>;

const maxDepth = 16;
const maxIdBytes = 256;
const maxKeyLength = 64;
const maxKeys = 1000;
const maxTextBytes = 1024;
export const shows = ['away', 'chat', 'dnd', 'xa'] as const;

export type Show = (typeof shows)[number];

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * One JSON object of at most `maxBytes` bytes. Refused: other JSON, invalid UTF-8, a byte order mark, more than 16 levels,
 * a key `__proto__` (it would change the object it is copied to), a lone surrogate (the ledger could not keep it as it is).
 */
export function readPayload(bytes: Uint8Array, limits: { maxBytes: number }): Payload | Refusal {
  if (bytes.length > limits.maxBytes)
    return refuse('policy-violation', `the payload has more than ${limits.maxBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    return refuse('bad-request', 'the payload is not JSON in UTF-8');
  }
  if (!isObject(value)) return refuse('bad-request', 'the payload is not a JSON object');
  // or the app's own object would pass for a refusal of ours
  if (isRefusal(value)) return refuse('bad-request', 'refused is no field of a payload');
  const fault = faultIn(value, 1);
  return fault === null ? value : refuse('bad-request', fault);
}

/** The sender's id: a string of 1 to 256 bytes. */
export function readId(payload: Payload): string | Refusal {
  const { id } = payload;
  if (isText(id, maxIdBytes)) return id;
  return refuse('bad-request', `id must be a string of 1 to ${maxIdBytes} bytes`);
}

/** The id of a payload that was refused as a whole, so that its sender can be told which; undefined if it cannot be made out. */
export function idOfRefused(bytes: Uint8Array): string | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    const id = isObject(value) ? readId(value) : undefined;
    return typeof id === 'string' && id.isWellFormed() ? id : undefined;
  } catch {
    return undefined; // no JSON, so it has no id
  }
}

/** `out/ack`: the keys an app has stored, at most 1000, and the device (an MQTT client id) that says so. */
export function readAck(payload: Payload): { keys: string[]; device?: string } | Refusal {
  const { keys, device } = payload;
  if (!Array.isArray(keys) || keys.length > maxKeys || !keys.every((key) => isText(key, maxKeyLength)))
    return refuse('bad-request', `keys must be a list of at most ${maxKeys} keys`);
  if (device === undefined) return { keys };
  if (isText(device, maxIdBytes)) return { keys, device };
  return refuse('bad-request', `device must be a string of 1 to ${maxIdBytes} bytes`);
}

/** A device's own presence, as it or its will says it. (An empty payload is no presence: it clears a retained one.) */
export function readPresence(payload: Payload): { online: boolean; show?: Show; text?: string } | Refusal {
  const { online, show, text } = payload;
  if (typeof online !== 'boolean') return refuse('bad-request', 'online must be true or false');
  if (show !== undefined && !isShow(show)) return refuse('bad-request', `show must be one of ${shows.join(', ')}`);
  if (text !== undefined && text !== '' && !isText(text, maxTextBytes))
    return refuse('bad-request', `text must be a string of at most ${maxTextBytes} bytes`);
  return { online, ...(show !== undefined && { show }), ...(text !== undefined && { text: text as string }) };
}

/** `in/ack`: the gateway has these on disk. */
export function writeAck(ids: readonly string[]): string {
  return JSON.stringify({ ids });
}

/** `in/error`: `id` if the refused thing had one; `key` and `from` for a contact's error stanza. */
export function writeError(error: {
  id?: string;
  condition: string;
  text?: string;
  key?: string;
  from?: string;
}): string {
  const { id, condition, text, key, from } = error;
  return JSON.stringify({ id, condition, text, key, from });
}

/** The form of every `at`: RFC 3339, milliseconds, UTC. Many messages come in one millisecond. */
export function formatAt(ms: number): string {
  if (ms !== formatted.ms) formatted = { ms, text: new Date(ms).toISOString() };
  return formatted.text;
}

let formatted = { ms: 0, text: new Date(0).toISOString() };

function faultIn(value: unknown, depth: number): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? null : 'a string holds a lone surrogate';
  if (typeof value !== 'object' || value === null) return null;
  if (depth > maxDepth) return `the payload has more than ${maxDepth} levels`;
  if (Array.isArray(value)) return firstFault(value, depth);
  for (const key of Object.keys(value)) {
    if (key === '__proto__') return 'no field may be called __proto__';
    if (!key.isWellFormed()) return 'a field name holds a lone surrogate';
  }
  return firstFault(Object.values(value), depth);
}

function firstFault(values: unknown[], depth: number): string | null {
  for (const value of values) {
    const fault = faultIn(value, depth + 1);
    if (fault !== null) return fault;
  }
  return null;
}

function isObject(value: unknown): value is Payload {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= maxBytes;
}

export function isShow(value: unknown): value is Show {
  return (shows as readonly unknown[]).includes(value);
}
