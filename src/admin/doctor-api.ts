// What the doctor finds out about the legacy server over the connection that the gateway has; a second one would take its place.

import type { Finding } from '../doctor/finding.ts';
import { type Route, shape, text } from './route.ts';

export interface DoctorParts {
  /** Asks the server now; takes up to some seconds. */
  examine(): Promise<Finding[]>;
}

const finding = shape(
  {
    id: { type: 'string', description: 'What was looked at: `server.module`.' },
    level: { type: 'string', enum: ['ok', 'warning', 'fault', 'unknown'] },
    what: text,
    why: { type: 'string', description: 'Why it matters.' },
    todo: { type: 'string', description: 'What to type.' },
  },
  ['why', 'todo'],
);

export function doctorRoutes(parts: DoctorParts): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/doctor',
      summary: 'What the legacy server says about itself, and what that means; asks it at once.',
      answers: { 200: { description: 'The findings.', schema: shape({ items: { type: 'array', items: finding } }) } },
      handle: async () => ({ status: 200, body: { items: await parts.examine() } }),
    },
  ];
}
