// What a route is: one row that the server serves from and the OpenAPI document is made of.

import type { Refusal } from '../refusal.ts';

export type Schema = Record<string, unknown>;

/** What a request brings, checked against the route's schemas; `jid` and the like are texts as they came. */
export interface Asked {
  params: Record<string, string>;
  query: Record<string, string | number | undefined>;
  body: Record<string, unknown>;
}

export interface Answer {
  status: number;
  body: unknown;
  /** Default: application/json. */
  type?: string;
}

export interface Route {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As in OpenAPI: parameters in braces. */
  path: string;
  summary: string;
  /** Answers without the token. */
  open?: true;
  params?: Record<string, Schema>;
  query?: Record<string, Schema>;
  body?: Schema;
  /** Bytes of the body, where it may be larger than usual. */
  bodyLimit?: number;
  /** By status. Whatever a schema does not name does not leave: no body or payload can slip out. `null`: no JSON. */
  answers: Record<number, { description: string; schema: Schema | null }>;
  handle(asked: Asked): Promise<Answer | Refusal> | Answer | Refusal;
}

/** An object of which only the named parts exist. `optional` ones may be absent. */
export function shape(properties: Record<string, Schema>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

export function listOf(items: Schema): Schema {
  const next = { type: ['string', 'null'], description: 'The cursor of the next page; null on the last.' };
  return shape({ items: { type: 'array', items }, next });
}

export const text: Schema = { type: 'string' };
export const flag: Schema = { type: 'boolean' };
export const count: Schema = { type: 'integer' };
export const time: Schema = { type: 'string', format: 'date-time', description: 'RFC 3339, milliseconds, UTC' };

/** Query parameters of every list. */
export const paging = (cursor: Schema): Record<string, Schema> => ({
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'Items on a page.' },
  cursor: { ...cursor, description: '`next` of the page before.' },
});
/** The cursor where lists are ordered by number. */
export const numberCursor: Schema = { type: 'string', pattern: '^[0-9]{1,15}$' };

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
