// Every "no" of the admin side is a problem document (RFC 9457) with status, type and a text.

import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type AdminSide, ask, startAdminSide, token } from './admin-side.ts';

let side: AdminSide;

beforeAll(async () => {
  side = await startAdminSide(['bot@gw.example.com']);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => side.close());

const json = { 'content-type': 'application/json' };
const put = (body: string, headers: Record<string, string> = json): RequestInit => ({ method: 'PUT', headers, body });
const phase = (phase: string) => put(JSON.stringify({ phase, reason: 'a test' }));
const users = '/api/v1/users';

const rows: { what: string; path: string; init?: RequestInit; status: number; name: string; detail: RegExp }[] = [
  {
    what: 'a route there is not',
    path: '/api/v1/nothing?x=1',
    status: 404,
    name: 'not-found',
    detail: /no GET \/api\/v1\/nothing here/,
  },
  {
    what: 'a method there is not',
    path: '/healthz',
    init: { method: 'DELETE' },
    status: 404,
    name: 'not-found',
    detail: /no DELETE/,
  },
  {
    what: 'no token',
    path: users,
    init: { headers: { authorization: '' } },
    status: 401,
    name: 'unauthorized',
    detail: /token/,
  },
  {
    what: 'a wrong token',
    path: users,
    init: { headers: { authorization: 'Bearer wrong' } },
    status: 401,
    name: 'unauthorized',
    detail: /token/,
  },
  {
    what: 'a token of another kind',
    path: users,
    init: { headers: { authorization: `Basic ${token}` } },
    status: 401,
    name: 'unauthorized',
    detail: /token/,
  },
  {
    what: 'no token for the metrics',
    path: '/metrics',
    init: { headers: { authorization: '' } },
    status: 401,
    name: 'unauthorized',
    detail: /token/,
  },
  {
    what: 'an unknown user',
    path: `${users}/nobody@example.com`,
    status: 404,
    name: 'item-not-found',
    detail: /nobody@example\.com is not known/,
  },
  {
    what: 'a malformed JID',
    path: `${users}/a%20b@example.com`,
    status: 400,
    name: 'jid-malformed',
    detail: /"a b@example.com"/,
  },
  {
    what: 'a domain instead of a user',
    path: `${users}/example.com`,
    status: 400,
    name: 'jid-malformed',
    detail: /not the JID of a user/,
  },
  {
    what: 'a broken percent-encoding',
    path: `${users}/%E0%A4%A`,
    status: 400,
    name: 'bad-request',
    detail: /valid url/,
  },
  {
    what: 'an unknown phase',
    path: `${users}/bob@example.com/phase`,
    init: phase('mqqt'),
    status: 400,
    name: 'bad-request',
    detail: /no phase "mqqt"; choose one of legacy, shadow, dual, mqtt/,
  },
  {
    what: 'a user of another domain',
    path: `${users}/bob@example.org/phase`,
    init: phase('mqtt'),
    status: 404,
    name: 'item-not-found',
    detail: /is not on example\.com/,
  },
  {
    what: "a user of the gateway's own domain",
    path: `${users}/bot@gw.example.com/phase`,
    init: phase('legacy'),
    status: 409,
    name: 'not-acceptable',
    detail: /always in phase mqtt/,
  },
  {
    what: 'a body without reason',
    path: `${users}/bob@example.com/phase`,
    init: put('{"phase":"mqtt"}'),
    status: 400,
    name: 'bad-request',
    detail: /reason/,
  },
  {
    what: 'a body with more',
    path: `${users}/bob@example.com/phase`,
    init: put('{"phase":"mqtt","reason":"x","who":"eve"}'),
    status: 400,
    name: 'bad-request',
    detail: /additional properties/,
  },
  {
    what: 'a number for a phase',
    path: `${users}/bob@example.com/phase`,
    init: put('{"phase":1,"reason":"x"}'),
    status: 400,
    name: 'bad-request',
    detail: /phase must be string/,
  },
  {
    what: 'malformed JSON',
    path: `${users}/bob@example.com/phase`,
    init: put('{"phase":'),
    status: 400,
    name: 'bad-request',
    detail: /JSON/,
  },
  {
    what: 'no body',
    path: `${users}/bob@example.com/phase`,
    init: { method: 'PUT' },
    status: 400,
    name: 'bad-request',
    detail: /body must be object/,
  },
  {
    what: 'another media type',
    path: `${users}/bob@example.com/phase`,
    init: put('phase=mqtt', { 'content-type': 'text/plain' }),
    status: 415,
    name: 'unsupported-media-type',
    detail: /must be application\/json/,
  },
  {
    what: 'a large body',
    path: `${users}/bob@example.com/phase`,
    init: put(JSON.stringify({ phase: 'mqtt', reason: 'x'.repeat(65_536) })),
    status: 413,
    name: 'too-large',
    detail: /larger than 64 KiB/,
  },
  { what: 'limit 0', path: `${users}?limit=0`, status: 400, name: 'bad-request', detail: /limit must be >= 1/ },
  {
    what: 'limit 1001',
    path: '/api/v1/ledger?limit=1001',
    status: 400,
    name: 'bad-request',
    detail: /limit must be <= 1000/,
  },
  {
    what: 'a limit that is no number',
    path: '/api/v1/audit?limit=ten',
    status: 400,
    name: 'bad-request',
    detail: /limit must be integer/,
  },
  {
    what: 'a cursor that is none',
    path: '/api/v1/ledger?cursor=x',
    status: 400,
    name: 'bad-request',
    detail: /cursor must match/,
  },
  {
    what: 'an unknown filter',
    path: '/api/v1/ledger?usr=bob',
    status: 400,
    name: 'bad-request',
    detail: /additional properties/,
  },
  {
    what: 'an unknown state',
    path: '/api/v1/ledger?state=lost',
    status: 400,
    name: 'bad-request',
    detail: /allowed values/,
  },
  {
    what: 'a malformed JID as filter',
    path: '/api/v1/ledger?user=@',
    status: 400,
    name: 'jid-malformed',
    detail: /"@" is not a JID/,
  },
  {
    what: 'an unknown entry',
    path: '/api/v1/ledger/none-1',
    status: 404,
    name: 'item-not-found',
    detail: /no entry none-1/,
  },
];

test.each(rows)('$what: $status $name', async ({ path, init, status, name, detail }) => {
  const answer = await ask(side.url, path, init);
  expect(answer.type).toBe('application/problem+json; charset=utf-8');
  expect(answer.status).toBe(status);
  expect(answer.body).toEqual({
    type: `urn:crossfade:problem:${name}`,
    title: expect.stringMatching(/^[A-Z]/),
    status,
    detail: expect.stringMatching(detail),
  });
});

test('a fault of ours is a problem without a word about the inside', async () => {
  vi.spyOn(side.ledger, 'do').mockRejectedValue(new Error('the inside: /var/lib/secret'));
  const { status, type, body, text } = await ask(side.url, '/api/v1/ledger/counts');
  expect({ status, type, name: body.type }).toEqual({
    status: 500,
    type: 'application/problem+json; charset=utf-8',
    name: 'urn:crossfade:problem:internal-server-error',
  });
  expect(text).not.toMatch(/inside:|secret|\.ts|stack/);
});

test('nobody who was refused has become a known user', async () => {
  const { body } = await ask(side.url, users);
  expect(body.items.map((user: { jid: string }) => user.jid)).toEqual(['bot@gw.example.com']);
});

const hosts = [
  { host: '127.0.0.1:7400', status: 200 },
  { host: 'localhost', status: 200 },
  { host: 'LOCALHOST:1', status: 200 },
  { host: '[::1]:7400', status: 200 },
  { host: 'rebound.example', status: 421 },
  { host: '127.0.0.1.rebound.example', status: 421 },
  { host: 'localhost@rebound.example', status: 421 },
];

test.each(hosts)('Host: $host is answered with $status, token or not', async ({ host, status }) => {
  const statusOf = (path: string) =>
    new Promise((resolve, reject) => {
      const headers = { host, authorization: `Bearer ${token}`, connection: 'close' };
      request(side.url + path, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  expect(await statusOf('/healthz')).toBe(status);
  expect(await statusOf(users)).toBe(status);
});
