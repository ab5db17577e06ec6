// Errors as problem details (RFC 9457): one shape for refusals, faulty requests, missing routes and our own faults.

import { STATUS_CODES } from 'node:http';
import type { Refusal, RefusalName } from '../refusal.ts';

export const problemType = 'application/problem+json';

export interface Problem {
  /** `urn:crossfade:problem:` and a name that stays the same. */
  type: string;
  title: string;
  status: number;
  /** What was wrong with this request, for people. */
  detail: string;
}

/** `name` is a refusal's name, or one of the HTTP side's own: unauthorized, misdirected, not-found, … */
export function problem(status: number, name: string, detail: string): Problem {
  return { type: `urn:crossfade:problem:${name}`, title: STATUS_CODES[status] ?? 'Error', status, detail };
}

const statuses: Partial<Record<RefusalName, number>> = {
  'bad-request': 400,
  'jid-malformed': 400,
  forbidden: 403,
  'item-not-found': 404,
  conflict: 409,
  'not-acceptable': 409,
  'policy-violation': 413,
  'internal-server-error': 500,
  'resource-constraint': 503,
};

/** An expected "no", with its own text. */
export function refusalProblem({ name, text }: Refusal): Problem {
  return problem(statuses[name] ?? 422, name, text);
}

/** A fault of the framework's, or of ours; only what the client did wrong is told. */
export function faultProblem(error: unknown, bodyLimit = 64 * 1024): Problem {
  const { statusCode = 500, code, message } = error as { statusCode?: number; code?: string; message: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return problem(413, 'too-large', `the body is larger than ${bodyLimit / 1024} KiB`);
  if (statusCode === 415) return problem(415, 'unsupported-media-type', 'the body must be application/json');
  if (statusCode >= 400 && statusCode < 500) return problem(statusCode, 'bad-request', message);
  return problem(500, 'internal-server-error', 'the gateway failed on this request; its log says more');
}
