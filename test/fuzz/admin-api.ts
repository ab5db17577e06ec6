// Hostile requests to the admin API, from the token's holder: methods, paths and bodies with mistakes in them.

import fc from 'fast-check';
import { token } from '../admin/admin-side.ts';
import { mistaken } from './generators.ts';

const paths = [
  '/api/v1/users?phase=mqtt&match=b*',
  '/api/v1/users/bob%40example.com',
  '/api/v1/users/bob%40example.com/phase',
  '/api/v1/users/bob%40example.com/legacy-login',
  '/api/v1/users/bot%40gw.example.com?reason=r',
  '/api/v1/users/bot%40gw.example.com/contacts',
  '/api/v1/ledger?limit=5&user=a',
  '/api/v1/ledger/k-1',
  '/api/v1/ledger/retry',
  '/api/v1/ledger/return',
  '/api/v1/ledger/discard',
  '/api/v1/ledger/verify?since=x',
  '/api/v1/audit?cursor=1',
  '/api/v1/shadow?user=a&namespace=b',
  '/readyz',
];
const bodies = [
  '{"phase":"mqtt","reason":"r"}',
  '{"keys":["k-1"],"reason":"r"}',
  '{"legacyLogin":null,"reason":"x"}',
  '{"subscriptions":"ask","listed":true,"profile":{"name":"Bot","link":"https://example.com/"},"reason":"x"}',
];
const asked = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
  path: mistaken(paths),
  body: mistaken(bodies),
  isJson: fc.boolean(),
});

/** So many requests by one seed; rejects with the smallest to which the answer is wrong: a fault of the server, or a refusal that is no problem document. */
export async function askAdmin(base: string, { seed, count }: { seed: number; count: number }): Promise<void> {
  await fc.assert(
    fc.asyncProperty(asked, async ({ method, path, body, isJson }) => {
      const hasBody = method === 'PUT' || method === 'POST';
      const url = URL.canParse(path, base) ? new URL(path, base) : null;
      if (!url || url.host !== new URL(base).host) return;
      const headers: Record<string, string> = { authorization: `Bearer ${token}` };
      if (hasBody && isJson) headers['content-type'] = 'application/json';
      const answer = await fetch(url, { method, headers, body: hasBody ? body : undefined });
      if (answer.status === 500) throw new Error('a fault of the server');
      const type = answer.headers.get('content-type') ?? '';
      if (answer.status >= 400 && method !== 'HEAD' && !type.includes('problem+json'))
        throw new Error(`${answer.status} as ${type}`);
      await answer.arrayBuffer();
    }),
    { seed, numRuns: count },
  );
}
