// One key of the configuration as the schema describes it, and the keys that hold others.

/** What a key may be; the keywords after `default` are our own, for reading and for the docs. */
export interface Schema {
  type: 'object' | 'string' | 'integer' | 'boolean' | 'array';
  description: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: false;
  items?: { type: 'string'; pattern?: string };
  uniqueItems?: boolean;
  minItems?: number;
  pattern?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  default?: unknown;
  /** What would be right, in words, where type and pattern do not say it. */
  hint?: string;
  /**
   * `path`: taken from the configuration's folder. `duration`: a word such as 10s, milliseconds for the program. `address`:
   * host:port. `domain`, `users`: in prepared form, however they are written.
   */
  reads?: 'path' | 'duration' | 'address' | 'domain' | 'users';
  /** The value may stand in a file of its own, named by `…File`. */
  inFile?: boolean;
}

export const folder = (description: string, properties: Record<string, Schema>, required: string[] = []): Schema => ({
  type: 'object',
  description,
  properties,
  required,
  additionalProperties: false,
});

/** A span of time, a word for people and milliseconds for the program. `such`: examples for whoever got it wrong. */
export const duration = (description: string, such: string, standard?: string): Schema => ({
  type: 'string',
  description,
  ...(standard !== undefined && { default: standard }),
  pattern: '^\\d{1,9}(?:ms|s|m|h|d)$',
  hint: `a duration such as ${such}`,
  reads: 'duration',
});
