// The fuzz targets, bounded and with one seed: npm run fuzz takes others, for as long as it is told.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AdminSide, startAdminSide, token } from '../admin/admin-side.ts';
import { junk, mistaken } from './generators.ts';
import { targets } from './targets.ts';

const runs: Record<string, number> = { 'mapping file': 150 };

test.each(Object.entries(targets))(
  '%s: whatever comes, nothing is thrown past it, and what it says holds',
  (name, target) => {
    fc.assert(target(), { seed: 1, numRuns: runs[name] ?? 2_000 });
  },
);

test('a reader, a payload and a topic that were wrong would be found', () => {
  const cases: [fc.Arbitrary<string>, (text: string) => boolean][] = [
    [mistaken(["<a b='c'>d</a>"]), (text) => !text.includes('<!--')],
    [mistaken(['{"id":"m1"}']), (text) => !text.includes('\ud800')],
    [junk, (text) => !text.includes('%C0%80')],
  ];
  for (const [texts, holds] of cases)
    expect(() => fc.assert(fc.property(texts, holds), { seed: 1, numRuns: 5_000 })).toThrow(/Property failed/);
});

test('whatever is asked of the admin API, the answer is never a fault of the server, and it goes on', async () => {
  const side: AdminSide = await startAdminSide();
  const paths = [
    '/api/v1/users',
    '/api/v1/users/bob%40example.com/phase',
    '/api/v1/ledger?limit=5&user=a',
    '/api/v1/ledger/k-1',
    '/api/v1/audit?cursor=1',
    '/api/v1/ledger/verify?since=x',
    '/readyz',
  ];
  const bodies = ['{"phase":"mqtt","reason":"r"}', '{"keys":["k-1"]}', '{"legacyLogin":null,"reason":"x"}'];
  const asked = fc.record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
    path: mistaken(paths),
    body: mistaken(bodies),
    isJson: fc.boolean(),
  });
  try {
    await fc.assert(
      fc.asyncProperty(asked, async ({ method, path, body, isJson }) => {
        const hasBody = method === 'PUT' || method === 'POST';
        const url = URL.canParse(path, side.url) ? new URL(path, side.url) : null;
        if (!url || url.host !== new URL(side.url).host) return;
        const headers: Record<string, string> = { authorization: `Bearer ${token}` };
        if (hasBody && isJson) headers['content-type'] = 'application/json';
        const answer = await fetch(url, { method, headers, body: hasBody ? body : undefined });
        expect(answer.status).not.toBe(500);
        if (answer.status >= 400 && method !== 'HEAD')
          expect(answer.headers.get('content-type')).toContain('problem+json');
        await answer.arrayBuffer();
      }),
      { seed: 1, numRuns: 400 },
    );
    const good = await fetch(`${side.url}/healthz`);
    expect(good.status).toBe(200);
  } finally {
    await side.close();
  }
});
