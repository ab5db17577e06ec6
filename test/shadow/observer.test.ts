// Observed messages are counted and copied under the shadow root; whatever happens, nothing is thrown, and nothing said is kept.

import { expect, test } from 'vitest';
import { silentLog } from '../../src/log.ts';
import type { Mappings } from '../../src/mapping/compile.ts';
import { makeMetrics } from '../../src/metrics.ts';
import type { Broker, Publish, PublishResult } from '../../src/mqtt/broker.ts';
import { Observer } from '../../src/shadow/observer.ts';
import { waitFor } from '../harness/wait-for.ts';
import { mappings, stanzaOf } from '../mapping/mappings.ts';

const now = Date.UTC(2026, 5, 1);
const user = 'bob@example.com';
const message = (inner: string) =>
  stanzaOf(`<message from='alice@example.com/desk' to='bob@example.com' id='m1' type='chat'>${inner}</message>`);
const odd = (n: number) => message(`<body>SECRET</body><x${n} xmlns='urn:example:${n}' a='SECRET'/>`);

function observerOn(publish: (message: Publish) => Promise<PublishResult>, others: { mappings?: Mappings } = {}) {
  const metrics = makeMetrics();
  const broker = { publish } as Broker;
  const clock = { now: () => now, random: () => 0, after: () => ({ cancel() {} }) };
  const parts = { domain: 'example.com', shadowRoot: 'chat-shadow', mappings, broker, clock, metrics, log: silentLog };
  return { observer: new Observer({ ...parts, ...others }), metrics };
}

test('a copy goes under the shadow root, QoS 0 and not retained: in as the app would get it, out as it would say it', async () => {
  const published: Publish[] = [];
  const { observer } = observerOn(async (one) => {
    published.push(one);
    return { kind: 'acked', code: 0 };
  });
  observer.observe(message('<body>hi</body>'), { user, dir: 'in', seen: false });
  observer.observe(message('<body>hi</body>'), { user, dir: 'out', seen: false });
  expect(published.map(({ topic, qos, retain }) => [topic, qos, retain])).toEqual([
    ['chat-shadow/bob/in/message', 0, false],
    ['chat-shadow/bob/out/message', 0, false],
  ]);
  const payloads = published.map(({ payload }) => JSON.parse(payload));
  expect(payloads[0]).toMatchObject({
    id: 'm1',
    from: 'alice@example.com/desk',
    body: 'hi',
    at: '2026-06-01T00:00:00.000Z',
    copy: true,
  });
  expect(payloads[0]).not.toHaveProperty('key');
  expect(payloads[1]).toEqual({ id: 'm1', to: 'bob@example.com', type: 'chat', body: 'hi' });
  await waitFor(() => expect(observer.report.view().copies).toEqual({ published: 2, dropped: 0 }));
});

test.each([
  ['the broker is away', async (): Promise<PublishResult> => ({ kind: 'lost' })],
  ['the broker refuses it', async (): Promise<PublishResult> => ({ kind: 'acked', code: 135 })],
  ['publishing fails', async (): Promise<PublishResult> => Promise.reject(new Error('no'))],
])('a copy is dropped and counted where %s; the comparison counts all the same', async (_, publish) => {
  const { observer, metrics } = observerOn(publish);
  observer.observe(message('<body>hi</body>'), { user, dir: 'in', seen: false });
  await waitFor(() => expect(observer.report.view()).toMatchObject({ equal: 1, copies: { published: 0, dropped: 1 } }));
  expect(await metrics.registry.metrics()).toContain('crossfade_shadow_copies_total{result="dropped"} 1');
});

test('a comparison that fails is counted and thrown to nobody', async () => {
  const broken = new Proxy(mappings, {
    get() {
      throw new Error('broken');
    },
  });
  const { observer, metrics } = observerOn(async () => ({ kind: 'lost' }), { mappings: broken });
  observer.observe(message('<body>hi</body>'), { user, dir: 'in', seen: false });
  expect(observer.report.view()).toMatchObject({ failed: 1, equal: 0, different: 0 });
  expect(await metrics.registry.metrics()).toContain('crossfade_shadow_compared_total{dir="in",result="failed"} 1');
});

test('the report counts per mapping, element, loss, rule and user, and no sample says what was said', () => {
  const { observer } = observerOn(async () => ({ kind: 'lost' }));
  observer.observe(message("<body>SECRET</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"), {
    user,
    dir: 'in',
    seen: false,
  });
  for (const _ of [1, 2])
    observer.observe(message("<body>SECRET</body><private xmlns='urn:xmpp:carbons:2'/>"), {
      user,
      dir: 'out',
      seen: false,
    });
  const view = observer.report.view();
  expect(view).toMatchObject({
    ...{ since: now, stanzas: { in: 1, out: 2 }, equal: 1, different: 2, failed: 0, beyond: 0 },
    mappings: [{ mapping: 'rfc6121-message', channel: 'message', stanzas: 3, equal: 1 }],
    elements: [
      { namespace: 'jabber:client', name: 'body', stanzas: 3, kept: 3 },
      { namespace: 'urn:xmpp:carbons:2', name: 'private', stanzas: 2, kept: 0 },
    ],
    users: [{ user, stanzas: 3, different: 2, lastAt: now }],
  });
  // Two stanzas of the same structure are one sample.
  const outline = '<message from id to type><body>…</body><private xmlns="urn:xmpp:carbons:2"/></message>';
  expect(view.losses).toEqual([
    {
      path: '{urn:xmpp:carbons:2}private',
      namespace: 'urn:xmpp:carbons:2',
      kind: 'refused',
      dir: 'out',
      stanzas: 2,
      samples: [{ at: now, user, outline }],
    },
  ]);
  expect(view.rules).toContainEqual(expect.objectContaining({ rule: 'delay', stanzas: 1 }));
  expect(JSON.stringify(view)).not.toMatch(/SECRET|alice/);
});

test('filters choose a namespace, and the samples of a user', () => {
  const { observer } = observerOn(async () => ({ kind: 'lost' }));
  const unsaid = message("<body>b</body><private xmlns='urn:xmpp:carbons:2'/>");
  observer.observe(unsaid, { user, dir: 'out', seen: false });
  const { elements, losses } = observer.report.view({ namespace: 'jabber:client' });
  expect([elements.map(({ name }) => name), losses]).toEqual([['body'], []]);
  const other = observer.report.view({ user: 'carol@example.com' });
  expect([other.users, other.losses.map(({ stanzas, samples }) => [stanzas, samples.length])]).toEqual([[], [[1, 0]]]);
});

test('a flood of made-up names leaves the report bounded, and does not push out or keep out real ones', () => {
  const { observer } = observerOn(async () => ({ kind: 'lost' }));
  const real = message("<body>b</body><real xmlns='urn:example:real'/>");
  for (let n = 0; n < 2_000; n++) observer.observe(odd(n), { user, dir: 'in', seen: false });
  for (const _ of [1, 2]) observer.observe(real, { user, dir: 'in', seen: false });
  for (let n = 2_000; n < 4_000; n++) observer.observe(odd(n), { user, dir: 'in', seen: false });
  const { elements, beyond } = observer.report.view();
  expect(elements.length).toBeLessThanOrEqual(500);
  expect(elements).toContainEqual({ namespace: 'urn:example:real', name: 'real', stanzas: 2, kept: 2 });
  expect(beyond).toBeGreaterThan(3_000);
});

test('a reset forgets everything', () => {
  const { observer } = observerOn(async () => ({ kind: 'lost' }));
  observer.observe(odd(1), { user, dir: 'in', seen: false });
  observer.report.reset(now + 1);
  expect(observer.report.view()).toMatchObject({ since: now + 1, stanzas: { in: 0, out: 0 }, elements: [], users: [] });
});
