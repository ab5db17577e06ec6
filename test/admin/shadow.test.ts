// The shadow report over HTTP and as an operator sees it on the terminal.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { compare } from '../../src/shadow/compare.ts';
import { outlineOf } from '../../src/shadow/outline.ts';
import { crossfade } from '../cli/command.ts';
import { mappings, stanzaOf } from '../mapping/mappings.ts';
import { type AdminSide, ask, startAdminSide, token } from './admin-side.ts';

let side: AdminSide;
beforeAll(async () => {
  side = await startAdminSide();
});
afterAll(() => side.close());

const user = 'bob@example.com';
const run = (args: string[]) =>
  crossfade(args, { cwd: side.dir, env: { CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token } });

function wasSent(inner: string): void {
  const stanza = stanzaOf(`<message from='${user}/phone' to='alice@example.com' id='m1'>${inner}</message>`);
  const comparison = compare(mappings, stanza, 'out');
  side.report.add({ comparison, user, dir: 'out', at: 0, outline: () => outlineOf(stanza) });
}

test('before anything was compared the report says so', async () => {
  const { code, out, err } = await run(['shadow', 'report']);
  expect([code, err]).toEqual([0, 'nothing was compared; is a user in phase shadow?\n']);
  expect(out).toMatch(/^compared {3}0 \(0 received, 0 sent\)$/m);
});

test('the report tells totals first, then what would be lost, with samples of structure, and no word that was said', async () => {
  wasSent('<body>SECRET</body>');
  wasSent("<body>SECRET</body><private xmlns='urn:xmpp:carbons:2'/>");
  const { out } = await run(['shadow', 'report']);
  const lines = out.split('\n');
  expect(lines[1]).toMatch(/^compared {3}2 \(0 received, 2 sent\)$/);
  expect(lines[2]).toMatch(/^equal {6}1 \(50 %\)$/);
  expect(out).toMatch(/^ {2}jabber:client {7}body {5}\s+2\s+2$/m);
  expect(out).toMatch(/^What would be lost$/m);
  expect(out).toMatch(/^ {2}\{urn:xmpp:carbons:2\}private {2}refused {2}sent\s+1$/m);
  expect(out).toContain('  <message from id to><body>…</body><private xmlns="urn:xmpp:carbons:2"/></message>\n');
  expect(out).not.toMatch(/SECRET|alice/);
});

test('the API gives the same, filtered by namespace and user', async () => {
  const { status, body } = await ask(side.url, `/api/v1/shadow?namespace=urn:xmpp:carbons:2&user=${user}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    ...{ stanzas: { in: 0, out: 2 }, equal: 1, different: 1, failed: 0, beyond: 0 },
    elements: [{ name: 'private', stanzas: 1, kept: 0 }],
    losses: [{ kind: 'refused', dir: 'out', samples: [{ user, at: '1970-01-01T00:00:00.000Z' }] }],
    users: [{ user, stanzas: 2, different: 1 }],
  });
  expect((await ask(side.url, '/api/v1/shadow?namespace=urn:none')).body).toMatchObject({ elements: [], losses: [] });
});

test('a reset shows the report, begins anew, and stands in the audit', async () => {
  const { out, err } = await run(['shadow', 'report', '--reset', '--json']);
  expect(JSON.parse(out)).toMatchObject({ equal: 1, different: 1 });
  expect(err).toBe('counting begins anew\n');
  expect((await ask(side.url, '/api/v1/shadow')).body).toMatchObject({ equal: 0, different: 0, losses: [], users: [] });
  expect((await ask(side.url, '/api/v1/audit')).body.items).toMatchObject([{ what: 'shadow.reset', who: 'admin' }]);
});
