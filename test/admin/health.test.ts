// What machines ask: liveness, readiness, metrics, and the OpenAPI document.

import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { healthRoutes } from '../../src/admin/health-api.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { type AdminSide, ask, move, startAdminSide } from './admin-side.ts';

let side: AdminSide;
let key: string;

beforeAll(async () => {
  side = await startAdminSide();
  key = await side.write({});
  await move(side.url, 'bob@example.com', { phase: 'legacy', reason: 'made known' });
});
afterAll(() => side.close());

const withoutToken = { headers: { authorization: '' } };

test('liveness is answered without a token', async () => {
  const { status, body } = await ask(side.url, '/healthz', withoutToken);
  expect({ status, body }).toEqual({ status: 200, body: { alive: true, version: '0.0.0-test' } });
});

test('readiness without a token: 200 when all is up', async () => {
  const { status, body } = await ask(side.url, '/readyz', withoutToken);
  expect({ status, body }).toEqual({
    status: 200,
    body: { ready: true, component: true, attach: true, mqtt: true, ledger: true },
  });
});

test.each(['component', 'attach', 'mqtt', 'ledger'] as const)(
  'readiness: 503 when %s is down, and says so',
  async (name) => {
    side.health[name] = false;
    const { status, body } = await ask(side.url, '/readyz', withoutToken);
    const metrics = await ask(side.url, '/metrics');
    side.health[name] = true;
    expect(status).toBe(503);
    expect(body).toEqual({ ready: false, component: true, attach: true, mqtt: true, ledger: true, [name]: false });
    expect(metrics.text).toContain(
      name === 'ledger' ? 'crossfade_ledger_writable 0' : `crossfade_link_up{link="${name}"} 0`,
    );
  },
);

test('the metrics are these, by name', async () => {
  const { status, type, text } = await ask(side.url, '/metrics');
  expect(status).toBe(200);
  expect(type).toMatch(/^text\/plain; version=/);
  const names = [...text.matchAll(/^# TYPE (crossfade_\w+) (\w+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
  expect(names.sort()).toEqual([
    'crossfade_accepted_total counter',
    'crossfade_answered_total counter',
    'crossfade_automatic_answers_total counter',
    'crossfade_broker_dropped_total counter',
    'crossfade_copies_total counter',
    'crossfade_ephemeral_total counter',
    'crossfade_expired_total counter',
    'crossfade_gaps_total counter',
    'crossfade_handed_back_total counter',
    'crossfade_held_back_total counter',
    'crossfade_in_flight gauge',
    'crossfade_ledger_entries gauge',
    'crossfade_ledger_imbalance gauge',
    'crossfade_ledger_uncommitted_bytes gauge',
    'crossfade_ledger_verified_timestamp_seconds gauge',
    'crossfade_ledger_writable gauge',
    'crossfade_link_up gauge',
    'crossfade_presences_not_kept_total counter',
    'crossfade_refused_total counter',
    'crossfade_repeated_total counter',
    'crossfade_shadow_compared_total counter',
    'crossfade_shadow_copies_total counter',
    'crossfade_users gauge',
    'crossfade_users_to_do gauge',
    'crossfade_webhooks_total counter',
  ]);
});

test('users and ledger entries are counted at the scrape', async () => {
  const before = await ask(side.url, '/metrics');
  expect(before.text).toContain('crossfade_users{phase="legacy"} 1');
  expect(before.text).toContain('crossfade_users{phase="mqtt"} 0');
  expect(before.text).toContain('crossfade_ledger_entries{lane="toMqtt",state="accepted"} 1');
  await move(side.url, 'carol@example.com', { phase: 'legacy', reason: 'made known' });
  await side.write({});
  const { text } = await ask(side.url, '/metrics');
  expect(text).toContain('crossfade_users{phase="legacy"} 2');
  expect(text).toContain('crossfade_ledger_entries{lane="toMqtt",state="accepted"} 2');
});

test('what the last check of the whole ledger has found is in the metrics, with its time', async () => {
  const faults = [
    { kind: 'no-body' as const, lane: 'toMqtt' as const, count: 2, keys: [] },
    { kind: 'body-alone' as const, count: 3 },
  ];
  const lanes = await side.ledger.do('verify', { from: null, limit: 1_000 });
  if (!('account' in lanes)) throw new Error('one piece is all there is');
  const last = { ...lanes.account, faults, at: 1_700_000_000_000, tookMs: 5 };
  const { users, ledger, health } = side;
  const parts = { users, ledger, metrics: makeMetrics(), health: () => health, version: '0', verifier: { last } };
  const scrape = healthRoutes({ ...parts, workOn: () => ({ kind: 'idle' }) }).find(({ path }) => path === '/metrics')!;
  const answer = await scrape.handle({} as never);
  const body = 'body' in answer ? answer.body : undefined;
  expect(body).toContain('crossfade_ledger_imbalance{lane="toMqtt"} 5');
  expect(body).toContain('crossfade_ledger_imbalance{lane="toXmpp"} 3');
  expect(body).toContain('crossfade_ledger_verified_timestamp_seconds 1700000000');
});

const routes = [
  'DELETE /api/v1/shadow',
  'DELETE /api/v1/users/{jid}',
  'GET /api/v1/audit',
  'GET /api/v1/doctor',
  'GET /api/v1/ledger',
  'GET /api/v1/ledger/backup',
  'GET /api/v1/ledger/counts',
  'GET /api/v1/ledger/verify',
  'GET /api/v1/ledger/{key}',
  'GET /api/v1/shadow',
  'GET /api/v1/users',
  'GET /api/v1/users/{jid}',
  'GET /api/v1/users/{jid}/contacts',
  'GET /api/v1/users/{jid}/phase',
  'GET /healthz',
  'GET /metrics',
  'GET /openapi.json',
  'GET /readyz',
  'POST /api/v1/doctor/queue',
  'POST /api/v1/ledger/backup',
  'POST /api/v1/ledger/discard',
  'POST /api/v1/ledger/retry',
  'POST /api/v1/ledger/return',
  'PUT /api/v1/users/{jid}',
  'PUT /api/v1/users/{jid}/legacy-login',
  'PUT /api/v1/users/{jid}/phase',
];
const open = ['GET /healthz', 'GET /openapi.json', 'GET /readyz'];

test('the OpenAPI document names every route, and whether it needs the token', async () => {
  const { status, body } = await ask(side.url, '/openapi.json', withoutToken);
  expect(status).toBe(200);
  expect(body.openapi).toBe('3.1.0');
  const operations = Object.entries<Record<string, { security?: [] }>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security }]) => ({ name: `${method.toUpperCase()} ${path}`, security })),
  );
  expect(operations.map(({ name }) => name).sort()).toEqual(routes);
  expect(
    operations
      .filter(({ security }) => security)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(open);
});

test.each(routes)('%s is served, and answers as the document says', async (route) => {
  const [method = '', path = ''] = route.split(' ');
  const isOwn = path.endsWith('/contacts') || (path.endsWith('{jid}') && method !== 'GET');
  if (isOwn) await side.own.put('bot@gw.example.com', () => ({}), { who: 'admin', reason: 'a test' });
  const jid = isOwn ? 'bot%40gw.example.com' : 'bob%40example.com';
  const real = path.replace('{jid}', jid).replace('{key}', key) + (isOwn && method === 'DELETE' ? '?reason=over' : '');
  const put = path.endsWith('/phase') ? { phase: 'legacy' } : isOwn ? { listed: true } : { legacyLogin: 'allow' };
  const post = path.endsWith('/backup') ? { file: join(side.dir, 'backup.sqlite') } : { keys: [key], reason: 'a test' };
  const asked = { PUT: { ...put, reason: 'again' }, POST: post }[method];
  const body = asked && JSON.stringify(asked);
  const isBackup = path.endsWith('/backup');
  if (isBackup && method === 'GET') {
    side.ledger.backups.begin(join(side.dir, 'first.sqlite'));
    await waitUntil(() => side.ledger.backups.last?.state === 'done');
  }
  const answer = await ask(side.url, real, {
    method,
    body,
    headers: body ? { 'content-type': 'application/json' } : {},
  });
  const status = isBackup && method === 'POST' ? 202 : 200;
  expect(answer.status).toBe(status);
  const document = (await ask(side.url, '/openapi.json')).body;
  const { content } = document.paths[path][method.toLowerCase()].responses[status];
  if (path === '/metrics') return expect(Object.keys(content)).toEqual(['text/plain']);
  const matches = new Ajv({ allowUnionTypes: true, validateFormats: false }).compile(
    content['application/json'].schema,
  );
  expect(matches(answer.body), JSON.stringify(matches.errors)).toBe(true);
});
