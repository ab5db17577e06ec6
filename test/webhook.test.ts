// The webhook's one call, against a real HTTP server: what is sent, what counts as taken, and that nothing of it hangs or tells secrets.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { Webhook } from '../src/webhook.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?app=1`;
}

test('it is a POST of JSON, with the secret where one is set', async () => {
  const seen: (Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { body: string })[] = [];
  const url = await listen(async (request, response) => {
    const { method, url, headers } = request;
    seen.push({ method, url, headers, body: await text(request) });
    response.end('thank you');
  });
  expect(await new Webhook({ url, secret: 'not-a-real-secret', timeoutMs: 5_000 }).post('{"a":1}')).toEqual({
    kind: 'sent',
  });
  expect(await new Webhook({ url, timeoutMs: 5_000 }).post('{}')).toEqual({ kind: 'sent' });
  expect(seen.map(({ method, url, body }) => [method, url, body])).toEqual([
    ['POST', '/hook?app=1', '{"a":1}'],
    ['POST', '/hook?app=1', '{}'],
  ]);
  expect(seen.map(({ headers }) => [headers['content-type'], headers.authorization])).toEqual([
    ['application/json', 'Bearer not-a-real-secret'],
    ['application/json', undefined],
  ]);
});

test.each([
  [200, { kind: 'sent' }],
  [204, { kind: 'sent' }],
  [301, { kind: 'never', reason: 'status 301' }],
  [400, { kind: 'never', reason: 'status 400' }],
  [404, { kind: 'never', reason: 'status 404' }],
  [408, { kind: 'again', reason: 'status 408' }],
  [429, { kind: 'again', reason: 'status 429' }],
  [500, { kind: 'again', reason: 'status 500' }],
  [503, { kind: 'again', reason: 'status 503' }],
])('an answer with status %i', async (status, posted) => {
  const url = await listen((_, response) => {
    response.writeHead(status, { location: '/elsewhere' }).end();
  });
  expect(await new Webhook({ url, timeoutMs: 5_000 }).post('{}')).toEqual(posted);
});

test('a redirect is not followed', async () => {
  const paths: (string | undefined)[] = [];
  const url = await listen((request, response) => {
    paths.push(request.url);
    response.writeHead(307, { location: '/elsewhere' }).end();
  });
  await new Webhook({ url, secret: 'not-a-real-secret', timeoutMs: 5_000 }).post('{}');
  expect(paths).toEqual(['/hook?app=1']);
});

test('who does not answer in time, breaks off, or is not there, may be asked again; the reason names no address', async () => {
  const mute = await listen(() => {});
  const broken = await listen((request) => request.socket.destroy());
  const server = servers.at(-1)!;
  const results = [
    await new Webhook({ url: mute, timeoutMs: 50 }).post('{}'),
    await new Webhook({ url: broken, timeoutMs: 5_000 }).post('{}'),
  ];
  server.close();
  await once(server, 'close');
  results.push(await new Webhook({ url: broken, timeoutMs: 5_000 }).post('{}'));
  expect(results).toEqual([
    { kind: 'again', reason: 'TimeoutError' },
    { kind: 'again', reason: 'UND_ERR_SOCKET' },
    { kind: 'again', reason: 'ECONNREFUSED' },
  ]);
});

test('an endless answer is not read', async () => {
  const url = await listen((_, response) => {
    const pour = () => {
      while (response.writable && response.write('x'.repeat(65_536)));
      response.once('drain', pour);
    };
    pour();
  });
  expect(await new Webhook({ url, timeoutMs: 5_000 }).post('{}')).toEqual({ kind: 'sent' });
});

test('what is under way ends at once when the gateway closes', async () => {
  const reached = Promise.withResolvers<void>();
  const hook = new Webhook({ url: await listen(() => reached.resolve()), timeoutMs: 60_000 });
  const posted = hook.post('{}');
  await reached.promise;
  hook.close();
  expect((await posted).kind).toBe('again');
});
