// What the doctor finds out through a gateway that runs: of the legacy server, where a second connection would take its place; of the broker's queues, where its alarm would ring.

import type { Finding } from '../doctor/finding.ts';
import { type Route, shape, text } from './route.ts';

export interface DoctorParts {
  /** Asks the server now; takes up to some seconds. */
  examine(): Promise<Finding[]>;
  /** Fills a queue of the broker's that nobody else has, and empties it; takes some seconds. */
  tryQueue(): Promise<Finding[]>;
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

const answers = { 200: { description: 'The findings.', schema: shape({ items: { type: 'array', items: finding } }) } };

export function doctorRoutes(parts: DoctorParts): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/doctor',
      summary: 'What the legacy server says about itself, and what that means; asks it at once.',
      answers,
      handle: async () => ({ status: 200, body: { items: await parts.examine() } }),
    },
    {
      method: 'POST',
      path: '/api/v1/doctor/queue',
      summary:
        'How many messages the broker keeps for a client that is away: fills a queue of nobody else’s, and empties it. What is dropped for it counts as no drop.',
      answers,
      handle: async () => ({ status: 200, body: { items: await parts.tryQueue() } }),
    },
  ];
}
