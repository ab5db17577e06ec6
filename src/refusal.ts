// An expected "no", as a value: one table that is at once the stanza error (RFC 6120 §8.3.3) and the text for the sender.

export type ErrorType = 'auth' | 'cancel' | 'modify' | 'wait';

const table = {
  'bad-request': ['bad-request', 'modify', 'the request is not understood'],
  conflict: ['conflict', 'cancel', 'this id was used before with other content'],
  'feature-not-implemented': ['feature-not-implemented', 'cancel', 'this is not supported here'],
  forbidden: ['forbidden', 'auth', 'this is not allowed'],
  'internal-server-error': ['internal-server-error', 'wait', 'the gateway failed on this one; it was not accepted'],
  'item-not-found': ['item-not-found', 'cancel', 'there is no such user or item'],
  'jid-malformed': ['jid-malformed', 'modify', 'the address is not a valid JID'],
  'not-acceptable': ['not-acceptable', 'modify', 'this content is not acceptable'],
  'not-migrated': ['not-allowed', 'cancel', 'this user has not been moved to MQTT'],
  'policy-violation': ['policy-violation', 'modify', 'this is larger than the limit'],
  'recipient-unavailable': ['recipient-unavailable', 'wait', 'the recipient is not available'],
  'remote-server-timeout': ['remote-server-timeout', 'wait', 'the server did not answer in time'],
  'resource-constraint': ['resource-constraint', 'wait', 'there is no room for this now'],
  'service-unavailable': ['service-unavailable', 'cancel', 'there is nobody here who takes this'],
} as const satisfies Record<string, readonly [condition: string, type: ErrorType, text: string]>;

export type RefusalName = keyof typeof table;

/** `name` goes to apps (`in/error` condition) and metrics; `condition` and `type` go into a stanza error. */
export interface Refusal {
  readonly refused: true;
  readonly name: RefusalName;
  readonly condition: string;
  readonly type: ErrorType;
  readonly text: string;
}

/** A refusal from the table; `text`, for the sender's eyes, replaces the table's own where more can be said. */
export function refuse(name: RefusalName, text?: string): Refusal {
  const [condition, type, standard] = table[name];
  return { refused: true, name, condition, type, text: text ?? standard };
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && (value as Refusal).refused === true;
}
