// The OpenAPI 3.1 document, made of the routes that are served.

import { problemType } from './problem.ts';
import { count, type Route, type Schema, shape, text } from './route.ts';

const problemSchema = shape({ type: text, title: text, status: count, detail: text });

/** `routes` in the order in which they should be read. */
export function openapi(routes: readonly Route[], version: string): Schema {
  const paths: Record<string, Record<string, Schema>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Crossfade admin API', version },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: problemSchema },
      responses: {
        Problem: {
          description: 'What was wrong (RFC 9457).',
          content: { [problemType]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

function operation({ summary, open, params, query, body, answers }: Route): Schema {
  const named = (place: string, schemas: Record<string, Schema> = {}) =>
    Object.entries(schemas).map(([name, schema]) => ({ name, in: place, required: place === 'path', schema }));
  const responses = Object.entries(answers).map(([status, { description, schema }]) => {
    const content = schema ? { 'application/json': { schema } } : { 'text/plain': { schema: text } };
    return [status, { description, content }];
  });
  return {
    summary,
    ...(open && { security: [] }),
    parameters: [...named('path', params), ...named('query', query)],
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: { ...Object.fromEntries(responses), default: { $ref: '#/components/responses/Problem' } },
  };
}
